"""Our own routes for operators: health, metrics, lanes and turns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from turnlane import hazards
from turnlane.runtime.conversation import JsonObject, LedgerEntry, NewTurn, Turn, new_id
from turnlane.runtime.engine import Engine
from turnlane.server.answer import Answer, Bytes, as_json
from turnlane.server.answer_shapes import LanesShape, StatusShape, TurnList, TurnShape
from turnlane.server.call import Call
from turnlane.server.input_items import with_ids_of_turn
from turnlane.server.operation import Operation
from turnlane.server.problem import TRY_AGAIN, Problem, conflict, message_of, not_found
from turnlane.server.request_shapes import LanesQuery, TurnsQuery
from turnlane.server.validation import is_identifier
from turnlane.telemetry.redact import redact

MARKDOWN: Final = "text/markdown; charset=utf-8"


async def healthz(call: Call) -> Answer:
    return as_json({"status": "ok"})


async def readyz(call: Call) -> Answer:
    reason = _not_ready(call)
    if reason is None:
        return as_json({"status": "ready"})
    raise Problem(503, reason, type="server_error", code="not_ready", headers=dict(TRY_AGAIN))


def _not_ready(call: Call) -> str | None:
    """Why no new turns can be accepted, if they can't be."""
    if call.server.intake.draining:
        return "the server is stopping"
    if (trouble := call.engine.trouble) is not None:
        # Needs no key: a sentence that names a database must not bring its password here.
        return redact(trouble)
    readiness = call.server.ready()
    return None if readiness.ready else readiness.reason or "not ready"


async def metrics(call: Call) -> Answer:
    if call.server.metrics is None:
        raise Problem(404, "metrics are switched off", code="not_found")
    body, content_type = call.server.metrics()
    return Bytes(body, content_type)


async def lanes(call: Call) -> Answer:
    query = call.query(LanesQuery)
    key = None if call.caller.admin else call.caller.owner
    found = await call.engine.lanes(key=key, limit=query.limit)
    stats = asdict(await call.engine.stats()) if call.caller.admin else None
    return as_json({"lanes": [asdict(lane) for lane in found], "stats": stats})


async def list_turns(call: Call) -> Answer:
    query = call.query(TurnsQuery)
    if query.before is not None:
        await _operated(call, query.before)
    found = await call.engine.turns(
        key=None if call.caller.admin else call.caller.owner,
        conversation=query.conversation,
        status=query.status,
        limit=query.limit + 1,
        before=query.before,
    )
    shown = [turn_json(turn, operator=call.caller.admin, stack=False) for turn in found[: query.limit]]
    return as_json({"turns": shown, "has_more": len(found) > query.limit})


async def show_turn(call: Call) -> Answer:
    turn = await _operated(call, call.path("turn_id"))
    return as_json(await whole_turn(call.engine, turn, operator=call.caller.admin))


async def cancel_turn(call: Call) -> Answer:
    turn = await _operated(call, call.path("turn_id"))
    cancelled = await call.engine.cancel(turn.id)
    if cancelled is None:
        raise not_found("turn", turn.id)
    return as_json(turn_json(cancelled, operator=call.caller.admin))


async def rerun_turn(call: Call) -> Answer:
    turn = await _operated(call, call.path("turn_id"))
    if not turn.ended:
        raise conflict(f"turn {turn.id} has not ended; wait for it or cancel it", code="turn_not_ended")
    turn_id = new_id("resp")
    again = NewTurn(
        id=turn_id,
        conversation=turn.conversation,
        agent=turn.agent,
        input=with_ids_of_turn(turn.input, turn_id),
        key=turn.key,
        metadata=turn.metadata,
        options={"background": True, "rerun_of": turn.id},
        request_id=call.request_id,
        created_at=time.time(),
    )
    accepted = await call.server.intake.submit(again, peer=call.peer, port=call.port)
    return as_json(turn_json(accepted.turn, operator=call.caller.admin))


async def whole_turn(engine: Engine, turn: Turn, *, operator: bool) -> JsonObject:
    """Everything about a turn: its events, and what is kept of what it did for when it is run again."""
    events = [event.to_json() async for event in engine.events(turn.id, follow=False)]
    superseded = [event.to_json() for event in await engine.superseded_events(turn.id)]
    ledger = [ledger_json(entry, operator=operator) for entry in await engine.ledger(turn.id)]
    return {
        **turn_json(turn, operator=operator),
        "events": events,
        "superseded_events": superseded,
        "ledger": ledger,
    }


def ledger_json(entry: LedgerEntry, *, operator: bool) -> JsonObject:
    """What an attempt did. What models and tools answered is for operators: users read it as output items."""
    shown = asdict(entry)
    if not operator:
        shown.pop("answer")
    return shown


def turn_json(turn: Turn, *, operator: bool, stack: bool = True) -> JsonObject:
    """The turn in our own words; an operator also reads private failures, and the stack if it is wanted."""
    # `cancel_requested` is what `turnlane turns` of version 0.1 reads.
    shown = {**asdict(turn), "cancel_requested": turn.cancel_requested}
    if turn.failure is not None:
        failure = {**turn.failure.to_json(), "message": message_of(turn.failure, turn, operator=operator)}
        if not (operator and stack):
            failure.pop("stack", None)
        shown["failure"] = failure
    return shown


async def _operated(call: Call, turn_id: str) -> Turn:
    turn = await call.engine.turn(turn_id) if is_identifier(turn_id) else None
    if turn is None or not call.caller.may_operate(turn.key):
        raise not_found("turn", turn_id)
    return turn


async def hazard_index(call: Call) -> Answer:
    lines = [f"- [{hazard.code} {hazard.name}]({hazard.url}): {hazard.summary}" for hazard in hazards.all()]
    return Bytes("\n".join(["# The hazards", "", *lines, ""]).encode(), MARKDOWN)


async def hazard_page(call: Call) -> Answer:
    try:
        return Bytes(hazards.get(call.path("code")).page().encode(), MARKDOWN)
    except hazards.UnknownHazard as error:
        raise Problem(404, str(error), code="not_found") from None


OPERATIONS: Final[Sequence[Operation]] = (
    Operation(
        "GET", "/hazards", hazard_index, "The hazards, a line each, as markdown.", "text/markdown", open=True
    ),
    Operation(
        "GET",
        "/hazards/{code}",
        hazard_page,
        "What a hazard is, why it happens and the right form, as markdown; `hazard_url` of an error leads here.",
        "text/markdown",
        errors=(404,),
        open=True,
    ),
    Operation("GET", "/healthz", healthz, "The process lives.", StatusShape, open=True),
    Operation(
        "GET",
        "/readyz",
        readyz,
        "New turns can be accepted; 503 with the reason if not.",
        StatusShape,
        errors=(503,),
        open=True,
    ),
    Operation("GET", "/metrics", metrics, "Prometheus metrics.", "text/plain", errors=(404,)),
    Operation(
        "GET",
        "/lanes",
        lanes,
        "Conversations with turns that have not ended.",
        LanesShape,
        query=LanesQuery,
        errors=(503,),
    ),
    Operation(
        "GET",
        "/turns",
        list_turns,
        "Turns, the newest first.",
        TurnList,
        query=TurnsQuery,
        errors=(404, 503),
    ),
    Operation(
        "GET",
        "/turns/{turn_id}",
        show_turn,
        "Everything about a turn, with its events; the stack of a failure for admin keys only.",
        TurnShape,
        errors=(404, 503),
    ),
    Operation(
        "POST",
        "/turns/{turn_id}/cancel",
        cancel_turn,
        "End a turn in bounded time.",
        TurnShape,
        errors=(404, 503),
    ),
    Operation(
        "POST",
        "/turns/{turn_id}/rerun",
        rerun_turn,
        "A new turn with the same input, at the end of the lane. 409 unless the turn has ended.",
        TurnShape,
        errors=(404, 409, 429, 503),
    ),
)
