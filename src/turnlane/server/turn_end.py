"""Waiting for a turn's end, or following it there, on behalf of a request."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from turnlane.runtime.conversation import Turn, TurnEvent
from turnlane.runtime.engine import EngineUnavailable
from turnlane.server.call import Call
from turnlane.server.problem import NO_RETRY, Problem, not_found


async def end_of(call: Call, turn: Turn) -> Turn:
    """The turn when it has ended. When the client goes meanwhile, the turn goes on.

    Raises:
        Problem: 404, it was deleted meanwhile; 503, the server stopped before.
    """
    if turn.ended:
        return turn
    try:
        return _checked(turn, await call.engine.wait(turn.id))
    except EngineUnavailable:
        raise _stopped(turn) from None


async def events_of(call: Call, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
    """The turn's events to its end. To be closed when they are left early, as every generator.

    Raises:
        Problem: 503, the server stopped before the end.
    """
    source = cast("AsyncGenerator[Any, None]", call.engine.events(turn.id))
    try:
        async with aclosing(source) as events:
            async for event in events:
                yield event
    except EngineUnavailable:
        raise _stopped(turn) from None


async def ended_turn(call: Call, turn: Turn) -> Turn:
    """The same once the events have come to their end: nothing to wait for."""
    return _checked(turn, await call.engine.turn(turn.id))


def _checked(turn: Turn, now: Turn | None) -> Turn:
    if now is None:
        raise not_found("response", turn.id)
    if not now.ended:
        raise _stopped(turn)
    return now


def _stopped(turn: Turn) -> Problem:
    """503. Not to be repeated on its own, unlike others: the turn is kept, a second request were a second turn."""
    return Problem(
        503,
        f"the server stopped before the turn ended; the turn is kept and runs again: retrieve {turn.id} later",
        type="server_error",
        code="server_stopped",
        headers=NO_RETRY,
        extra={"response_id": turn.id, "conversation_id": turn.conversation},
    )
