"""TL206 without a file: a state that one user's request saved is loaded by another's, whatever kept it in between.

States are known again by a few of their parts: how many messages there are, the first and the last. Only requests
that say whose they are, and say different people, are compared: a state that many start from is saved by nobody's.
What another process has saved, or this one before it was started again, is not known, and may be alike: so it
takes two states of others, and no user who finds his own again after somebody else has saved.

Within a conversation a turn is lost when two go on from one state, and later the state of one of them is loaded.
A store that refuses the second is right: its request has failed, or has done the turn again.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from turnlane.guard import journals, locks, requests, stacks
from turnlane.guard.journal import Sighting
from turnlane.guard.meetings import with_stacks
from turnlane.guard.requests import Request
from turnlane.guard.stacks import Stack

CODE: Final = "TL206"
MAX_STATES: Final = 1024
MAX_SAVERS: Final = 4
MAX_DEPTH: Final = 6
ENOUGH: Final = 2
"""States of others that were loaded at one place before it is told."""
MANY: Final = 4
"""So many users who load what one of them alone has saved read one place."""
MAX_TEXT: Final = 300

Mark = tuple[tuple[int, str, str], ...]
MAX_CONVERSATIONS: Final = 256
MAX_TURNS: Final = 8


class Turn(NamedTuple):
    """A request has saved the state that a load of `base` has become; both are numbered in their order."""

    request: Request
    base: Mark
    loaded: int
    saved: int
    mark: Mark
    stack: Stack


_numbers = itertools.count(1)
_turns: OrderedDict[str, deque[Turn]] = OrderedDict()
"""The latest of each conversation."""
_saved: OrderedDict[Mark, list[tuple[Request, Stack]]] = OrderedDict()
_last: list[Request] = []
"""Who has saved last, of all."""
_loads: dict[str, dict[Mark, set[str | None]]] = {}
"""By the place that loads: which states of others were met there, and whose requests met them."""
_keyed: set[str] = set()
_lock = locks.free_after_fork()


def install() -> None:
    """Tell at a request's end: by then it is known whether a file was seen to be the place."""
    requests.ending.append(_tell)


def uninstall() -> None:
    """Forget all states."""
    with _lock:
        _saved.clear()
        _turns.clear()
        _last.clear()
        _loads.clear()
        _keyed.clear()


def saved(state: object, stack: Stack) -> None:
    """The present request has saved `state`."""
    request = requests.current.get()
    mark = mark_of(state)
    if request is None or not request.keys or not mark:
        return
    with _lock:
        _last[:] = [request]
        savers = _saved.setdefault(mark, [])
        if len(savers) < MAX_SAVERS:
            savers.append((request, stack))
        _saved.move_to_end(mark)
        while len(_saved) > MAX_STATES:
            _saved.popitem(last=False)
        _keep_turn(request, mark, stack)


def _keep_turn(request: Request, mark: Mark, stack: Stack) -> None:
    base, loaded = request.notes.get("state_base", ((), 0))
    conversation = request.conversation
    if not base or conversation is None or not request.same_conversation(request):
        return
    turns = _turns.setdefault(conversation, deque(maxlen=MAX_TURNS))
    turns.append(Turn(request, base, loaded, next(_numbers), mark, stack))
    _turns.move_to_end(conversation)
    while len(_turns) > MAX_CONVERSATIONS:
        _turns.popitem(last=False)


def _lost_turn(request: Request, mark: Mark) -> tuple[Turn, Turn] | None:
    """The turn that saved this state, and one that went on from the same state meanwhile, if there is one."""
    turns = _turns.get(request.conversation or "", ())
    latest = {id(turn.request): turn for turn in turns if (turn.request.status or 200) < 400}
    kept = next((turn for turn in reversed(latest.values()) if turn.mark == mark), None)
    if kept is None or len(_saved.get(kept.base, ())) != 1:  # several states that are alike: nobody knows which
        return None
    for turn in latest.values():
        if turn is not kept and turn.base == kept.base and kept.loaded < turn.saved < kept.saved:
            return kept, turn
    return None


def loaded(state: object, stack: Stack) -> None:
    """The present request loads `state`."""
    request = requests.current.get()
    mark = mark_of(state)
    if request is None or not mark:
        return
    place = str(stacks.place_of(stack))
    with _lock:
        lost = _lost_turn(request, mark)
        if lost is not None:
            request.notes.setdefault("lost_turn", (*lost, stack))
        request.notes["state_base"] = (mark, next(_numbers))
        savers = tuple(_saved.get(mark, ()))
        own = any(request.same_conversation(saver) for saver, _ in savers)
        if own and _last and request.same_conversation(_last[0]) is False:
            _keyed.add(place)
    if place in _keyed:
        return
    # What its own conversation has saved as well is its own, however alike another's is; what so many have saved
    # that not all of them are known, such as a greeting and its answer, may be its own.
    if 0 < len(savers) < MAX_SAVERS and all(request.same_conversation(saver) is False for saver, _ in savers):
        met = _loads.setdefault(place, {})
        readers = met.setdefault(mark, set())
        readers.add(request.conversation)
        everybody = len(savers) == 1 and len(readers) >= MANY
        if len(met) >= ENOUGH or everybody:
            request.notes.setdefault("foreign_state", (*savers[-1], stack))
            met.clear()


def mark_of(state: object) -> Mark:
    """What a state is known again by; empty for one without messages."""
    return tuple(_marks(state, MAX_DEPTH))


def _marks(value: object, depth: int) -> Iterator[tuple[int, str, str]]:
    if isinstance(value, list):
        if value and isinstance(value[0], dict):
            yield len(value), _text(value[0]), _text(value[-1])
    elif isinstance(value, dict) and depth > 0:
        for inner in value.values():
            yield from _marks(inner, depth - 1)


def _text(message: dict[str, Any]) -> str:
    """A message by its short values: what a store may change, such as the order of keys, does not count."""
    return "|".join(sorted([value[:MAX_TEXT] for value in message.values() if isinstance(value, str)]))


def _tell(request: Request) -> None:
    foreign, lost = request.notes.pop("foreign_state", None), request.notes.pop("lost_turn", None)
    journal = journals.journal
    if journal is None or journal.seen(CODE):
        return
    if foreign is not None:
        journals.report_aside(_foreign(request, *foreign))
    elif lost is not None:
        journals.report_aside(_lost(request, *lost))


def _foreign(request: Request, saver: Request, saving: Stack, loading: Stack) -> Sighting:
    return Sighting(
        code=CODE,
        message=(
            f"{request.name} {request.id} loads the state that {saver.name} {saver.id}, another user's "
            "request, has saved: one place keeps everybody's state."
        ),
        stack=loading,
        stacks=with_stacks(("saved here, by another user's request", saving), ("loaded here", loading)),
        object="saved state",
        request=request.id,
        conversation=request.conversation,
        requests=[saver.id, request.id],
    )


def _lost(request: Request, kept: Turn, lost: Turn, loading: Stack) -> Sighting:
    return Sighting(
        code=CODE,
        message=(
            f"Two requests of one conversation ({request.conversation}) went on from the same state, and the one "
            f"that {kept.request.name} {kept.request.id} saved has replaced that of {lost.request.name} "
            f"{lost.request.id}: a turn is lost."
        ),
        stack=kept.stack,
        stacks=with_stacks(
            ("saved here, and lost", lost.stack), ("saved here in its place", kept.stack), ("loaded here", loading)
        ),
        object="saved state",
        request=kept.request.id,
        conversation=request.conversation,
        requests=[lost.request.id, kept.request.id],
    )
