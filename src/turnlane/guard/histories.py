"""Lists of messages that the program keeps itself: one list that is given to runs of different users (TL202)."""

from __future__ import annotations

import gc
import re
import types
from collections import OrderedDict
from typing import Any, Final

from turnlane.guard import holders, journals, locks, meetings, runs
from turnlane.guard.meetings import different_users, sighting_of_two
from turnlane.guard.runs import Run

FIELD: Final = re.compile(
    r"(?:chat_?)?(?:histor(?:y|ies)|messages|msgs|conversation|transcript|log|memory|context)$", re.I
)
"""A mapping with such a name in it is a record, not one of histories by conversation."""

MAX_LISTS: Final = 512
MAX_MESSAGES: Final = 500


class Handed:
    """A list that a run was given. Holds nothing of it after the run: lists are told apart by what was in them."""

    __slots__ = ("contents", "messages", "run")

    def __init__(self, messages: list[Any], run: Run) -> None:
        self.run = run
        self.messages: list[Any] | None = messages
        self.contents: tuple[tuple[int, int], ...] = ()

    def ended(self) -> None:
        """The run is over: keep what the list looks like now instead of the list."""
        if self.messages is not None:
            self.contents = _contents(self.messages)
            self.messages = None

    def is_begin_of(self, messages: list[Any]) -> bool:
        """Whether it is this list still, or again: an address alone may belong to another list by now."""
        if self.messages is not None:
            return self.messages is messages
        return bool(self.contents) and _contents(messages[: len(self.contents)]) == self.contents


def _contents(messages: list[Any]) -> tuple[tuple[int, int], ...]:
    return tuple((id(message), hash(_text(message))) for message in messages[:MAX_MESSAGES])


def _text(message: Any) -> str:
    if isinstance(message, dict):
        return str(message.get("content"))
    return str(getattr(message, "text", None) or getattr(message, "content", ""))


_handed: OrderedDict[int, Handed] = OrderedDict()
_lock = locks.free_after_fork()


def install() -> None:
    """Listen to the end of runs."""
    runs.ending.append(ended)


def uninstall() -> None:
    """Forget all lists."""
    _handed.clear()


def handed(run: Run, messages: Any, *, code: str = "TL202", apart: bool = False, cleared: bool = False) -> None:
    """A run was given a list of messages: reports when runs of different users were, unless it is kept by a key.

    Args:
        apart: the list is part of the run's own object: what two runs of that share is told as such.
        cleared: the run begins by emptying the list, so only who is in it at the same time matters.

    Raises:
        HazardError: the settings are strict.
    """
    if run.request is None or not isinstance(messages, list):
        return
    run.notes["handed"] = now = Handed(messages, run)
    with _lock:
        before = _handed.get(id(messages))
        _handed[id(messages)] = now
        _handed.move_to_end(id(messages))
        if len(_handed) > MAX_LISTS:
            _handed.popitem(last=False)
    if before is None or before.run is run or not before.is_begin_of(messages):
        return
    other = before.run
    if (apart and other.watched is run.watched) or (cleared and not other.running):
        return
    if other.request is None or not different_users(other.request, run.request) or _is_kept_by_key(messages):
        return
    _report(run, other, code)


def ended(run: Run) -> None:
    """Listens to the end of runs."""
    given = run.notes.pop("handed", None)
    if given is not None:
        given.ended()


def _report(run: Run, other: Run, code: str) -> None:
    message = (
        f"One list of messages is given to the runs of different requests ({meetings.ids(other, run)}): "
        "each user's text is in the other's prompt."
    )
    journals.report(sighting_of_two(code, message, run, other, run.watched, label="list of messages"))


def _is_kept_by_key(thing: object, depth: int = 3) -> bool:
    """Whether the program keeps this in a mapping, such as histories by conversation, or in an object that is."""
    if depth == 0:
        return False
    referrers = gc.get_referrers(thing)
    return any(_keeps_by_key(holder, thing, depth) for holder in referrers)


def _keeps_by_key(holder: object, thing: object, depth: int) -> bool:
    if not isinstance(holder, dict):
        return holders.is_instance_of_users(holder) and _is_kept_by_key(holder, depth - 1)
    owner = holders.namespace_of(holder)
    if isinstance(owner, types.ModuleType | type):
        return False
    if owner is not None:
        return holders.is_instance_of_users(owner) and _is_kept_by_key(owner, depth - 1)
    if any(value is thing and FIELD.match(str(name)) for name, value in tuple(holder.items())):
        return _is_kept_by_key(holder, depth - 1)  # a record, or the arguments of a call
    return True
