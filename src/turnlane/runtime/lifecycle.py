"""Which moves a turn may make: a pure table. Engines obey it and decide nothing themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from turnlane.runtime.conversation import Status

Move: TypeAlias = Literal["claim", "complete", "cut", "fail", "cancel", "interrupt", "hold", "release", "orphan"]
"""claim: an owner starts an attempt. complete/cut/fail/cancel: it ends (cut: the answer is incomplete). interrupt:
a later message ends it. hold: it ends because a person has to look first. release: the owner gives the turn back
(drain). orphan: the owner died."""

MOVES: Final[Mapping[Status, Mapping[Move, Status]]] = {
    "queued": {"claim": "running", "cancel": "cancelled", "interrupt": "interrupted", "fail": "failed"},
    "running": {
        "complete": "completed",
        "cut": "incomplete",
        "fail": "failed",
        "cancel": "cancelled",
        "interrupt": "interrupted",
        "hold": "needs_attention",
        "release": "queued",
        "orphan": "queued",
    },
    "completed": {},
    "incomplete": {},
    "failed": {},
    "cancelled": {},
    "interrupted": {},
    "needs_attention": {},
}

ENDED: Final[frozenset[Status]] = frozenset(status for status, moves in MOVES.items() if not moves)

ENDING_MOVE: Final[Mapping[Status, Move]] = {
    "completed": "complete",
    "incomplete": "cut",
    "failed": "fail",
    "cancelled": "cancel",
    "interrupted": "interrupt",
    "needs_attention": "hold",
}


class IllegalMove(Exception):
    """A move that the table does not allow; an error of ours, never of the user."""

    def __init__(self, status: Status, move: Move) -> None:
        allowed = ", ".join(MOVES[status]) or "nothing: it has ended"
        super().__init__(f"a turn that is {status} cannot {move}; allowed: {allowed}")
        self.status = status
        self.move = move


def after(status: Status, move: Move) -> Status:
    """The status after `move`.

    Raises:
        IllegalMove: the table does not allow it.
    """
    try:
        return MOVES[status][move]
    except KeyError:
        raise IllegalMove(status, move) from None
