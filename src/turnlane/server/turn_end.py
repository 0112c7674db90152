"""Waiting for a turn's end on behalf of a request."""

from __future__ import annotations

from typing import Final

from turnlane.runtime.conversation import Turn
from turnlane.runtime.engine import EngineUnavailable
from turnlane.server.call import Call
from turnlane.server.problem import not_found

_STOPPED: Final = "the server stopped before the turn ended; it is kept and runs again: retrieve {} later"


async def end_of(call: Call, turn: Turn) -> Turn:
    """The turn when it has ended. When the client goes meanwhile, the turn goes on.

    Raises:
        Problem: 404, it was deleted meanwhile.
        EngineUnavailable: the server stopped; the turn runs again at its next start.
    """
    return _checked(turn, turn if turn.ended else await call.engine.wait(turn.id))


async def ended_turn(call: Call, turn: Turn) -> Turn:
    """The same once the events have come to their end: nothing to wait for."""
    return _checked(turn, await call.engine.turn(turn.id))


def _checked(turn: Turn, now: Turn | None) -> Turn:
    if now is None:
        raise not_found("response", turn.id)
    if not now.ended:
        raise EngineUnavailable(_STOPPED.format(turn.id))
    return now
