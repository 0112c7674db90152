"""Where classic AutoGen keeps a conversation: with two agents together, or with a group chat.

An agent of classic AutoGen keeps one history for each agent that it talks to. So what two runs must not share is
not the agent but the pair, in either direction, or the group chat that a manager speaks for.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from turnlane.guard import locks, objects
from turnlane.guard.objects import Role, Watched


class Pair:
    """What two agents have said to each other; lives as long as both of them. Holds neither."""

    __slots__ = ("__weakref__",)


_pairs: WeakKeyDictionary[Any, WeakKeyDictionary[Any, Pair]] = WeakKeyDictionary()
_lock = locks.free_after_fork()


def pair_of(one: Any, other: Any) -> Pair:
    """The pair of two agents, the same whoever comes first."""
    first, second = (one, other) if id(one) <= id(other) else (other, one)
    with _lock:
        found = _pairs.setdefault(first, WeakKeyDictionary()).get(second)
        if found is not None:
            return found
        made = Pair()
        _know(made, one, other)
        _pairs[first][second] = made
        return made


def _know(pair: Pair, one: Any, other: Any) -> None:
    """A pair is as old as the younger of the two, and was made where that was made."""
    watched = objects.watch(pair, "chat")
    parts = [objects.watch(agent, "agent") for agent in (one, other)]
    watched.label = " and ".join(part.name(agent) for part, agent in zip(parts, (one, other), strict=True))
    watched.notes["parts"] = (weakref.ref(one), weakref.ref(other))
    watched.made = parts[1].made or parts[0].made
    watched.request = parts[1].request or parts[0].request


def conversation_of(sender: Any, recipient: Any) -> tuple[Any, Role]:
    """What holds the text of a chat between the two."""
    for agent in (recipient, sender):
        group = getattr(agent, "_groupchat", None)
        if group is not None:
            return group, "chat"
    return pair_of(sender, recipient), "chat"


def length(sender: Any, recipient: Any) -> int:
    """How many messages the two, or their group, have on record."""
    held = [agent._oai_messages.get(other, ()) for agent, other in ((sender, recipient), (recipient, sender))]
    groups = [getattr(agent, "_groupchat", None) for agent in (sender, recipient)]
    return max(map(len, [*held, *(group.messages for group in groups if group is not None)]))


def chats_of(agent: Any) -> Iterator[Watched]:
    """What is known of every pair that `agent` is part of."""
    with _lock:
        mine = list(_pairs.get(agent, {}).values())
        mine += [others[agent] for others in _pairs.values() if agent in others]
    for pair in mine:
        watched = objects.known(pair)
        if watched is not None:
            yield watched
