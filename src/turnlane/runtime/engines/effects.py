"""What a durable change means for those who wait on the event loop: applied there, after the commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from turnlane.runtime.conversation import Claim, StopAsk, Turn, TurnEvent
from turnlane.runtime.engines.lanes import Seat


@dataclass(frozen=True, slots=True)
class Queued:
    """The turn was accepted and waits."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attempt begins: the worker of `seat` gets the claim."""

    seat: Seat
    claim: Claim


@dataclass(frozen=True, slots=True)
class Ended:
    """The turn has ended; `events` are those that no reader has seen yet."""

    turn: Turn
    events: Sequence[TurnEvent]
    unowned: bool = False
    """No worker ended it."""


@dataclass(frozen=True, slots=True)
class Requeued:
    """The attempt was given back; the turn waits for another."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """The turn and everything of it is gone."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class StopAsked:
    """What runs in `seat` is to stop."""

    seat: Seat
    turn_id: str
    attempt: int
    why: StopAsk


@dataclass(frozen=True, slots=True)
class OwnerLost:
    """What runs in `seat` no longer owns its turn."""

    seat: Seat
    turn_id: str
    attempt: int


Effect: TypeAlias = Queued | Claimed | Ended | Requeued | Deleted | StopAsked | OwnerLost
