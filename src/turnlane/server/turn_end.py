"""Waiting for a turn's end, or following it there, on behalf of a request."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final, cast

from turnlane.runtime.conversation import Turn, TurnEvent
from turnlane.runtime.engine import EngineError, EngineUnavailable
from turnlane.server.call import Call
from turnlane.server.problem import (
    ENGINE_UNAVAILABLE,
    NO_RETRY,
    TRY_AGAIN,
    Problem,
    bug,
    not_found,
    of_exception,
)
from turnlane.server.unexpected import report


async def end_of(call: Call, turn: Turn) -> Turn:
    """The turn when it has ended. When the client goes meanwhile, the turn goes on.

    Raises:
        Problem: 404, it was deleted meanwhile; 503, the server stopped or the store went away before.
    """
    if turn.ended:
        return turn
    try:
        return _checked(turn, await call.engine.wait(turn.id))
    except EngineUnavailable as error:
        raise _away(call, turn, error) from None


async def events_of(call: Call, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
    """The turn's events to its end. To be closed when they are left early, as every generator.

    Raises:
        Problem: 503, the server stopped or the store went away before the end.
    """
    source = cast("AsyncGenerator[Any, None]", call.engine.events(turn.id))
    try:
        async with aclosing(source) as events:
            async for event in events:
                yield event
    except EngineUnavailable as error:
        raise _away(call, turn, error) from None


async def ended_turn(call: Call, turn: Turn) -> Turn:
    """The same once the events have come to their end: nothing to wait for."""
    try:
        return _checked(turn, await call.engine.turn(turn.id))
    except EngineUnavailable as error:
        raise _away(call, turn, error) from None


def broken(call: Call, error: Exception) -> Problem:
    """What a stream says at its end when it can't go on."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, EngineError):
        return of_exception(error, operator=call.caller.admin)
    report(error, call.scope)
    return bug(call.request_id)


def _checked(turn: Turn, now: Turn | None) -> Turn:
    if now is None:
        raise not_found("response", turn.id)
    if not now.ended:
        raise _kept(turn, STOPPED, code="server_stopped")
    return now


STOPPED: Final = "the server stopped before the turn ended; the turn is kept and runs again: retrieve {turn} later"

AWAY: Final = "the store can't be used at the moment; the turn is kept: retrieve {turn} in a few seconds"


def _away(call: Call, turn: Turn, error: EngineUnavailable) -> Problem:
    """The store went away under an accepted turn: because we stop, or by itself."""
    if call.engine.trouble is None:
        return _kept(turn, STOPPED, code="server_stopped")
    operators = f" ({error})" if call.caller.admin else ""
    return _kept(turn, AWAY + operators, code=ENGINE_UNAVAILABLE, headers=TRY_AGAIN)


def _kept(turn: Turn, said: str, *, code: str, headers: Mapping[str, str] | None = None) -> Problem:
    """503. Not to be repeated on its own, unlike others: the turn is kept, a second request were a second turn."""
    return Problem(
        503,
        said.format(turn=turn.id),
        type="server_error",
        code=code,
        headers={**NO_RETRY, **(headers or {})},
        extra={"response_id": turn.id, "conversation_id": turn.conversation},
    )
