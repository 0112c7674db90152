"""`/v1/responses`: create, retrieve, stream again, cancel, and read the input."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from turnlane.runtime.conversation import EVENTS_PER_ATTEMPT, JsonObject, Turn
from turnlane.server import input_items
from turnlane.server.acceptance import Wish, accept, joined_header
from turnlane.server.answer import Answer, EventStream, as_json, frame
from turnlane.server.answer_shapes import ItemList, ResponseShape
from turnlane.server.call import Call
from turnlane.server.double_texting import HEADERS
from turnlane.server.item_list import page
from turnlane.server.operation import Operation
from turnlane.server.parameters import check_response_parameters
from turnlane.server.problem import WITHOUT_ANSWER, Problem, invalid, not_found, of_turn
from turnlane.server.request_shapes import ConversationReference, ListQuery, ResponseCreate, ResponseQuery
from turnlane.server.response_events import ResponseEvents
from turnlane.server.response_object import response_object
from turnlane.server.turn_end import broken, end_of, ended_turn, events_of


async def create_response(call: Call) -> Answer:
    request = await call.body(ResponseCreate)
    check_response_parameters(request)
    accepted = await accept(call, wish_of(request))
    turn = accepted.turn
    headers = joined_header(accepted)
    if request.stream:
        return stream_of(call, turn, after=-1, headers=headers)
    if not request.background:
        turn = await end_of(call, turn)
        if turn.status in WITHOUT_ANSWER:
            raise of_turn(turn, operator=call.caller.admin)
    shown = response_object(turn, operator=call.caller.admin)
    return as_json({**shown, "joined": accepted.joined}, headers=headers)


async def retrieve_response(call: Call) -> Answer:
    query = call.query(ResponseQuery)
    turn = await call.own_turn(call.path("response_id"))
    if query.stream:
        return stream_of(call, turn, after=-1 if query.starting_after is None else query.starting_after)
    if query.starting_after is not None:
        raise invalid("starting_after needs stream=true", param="starting_after")
    return as_json(response_object(turn, operator=call.caller.admin))


async def cancel_response(call: Call) -> Answer:
    turn = await call.own_turn(call.path("response_id"))
    cancelled = await call.engine.cancel(turn.id)
    if cancelled is None:
        raise not_found("response", turn.id)
    return as_json(response_object(cancelled, operator=call.caller.admin))


async def list_input_items(call: Call) -> Answer:
    query = call.query(ListQuery)
    turn = await call.own_turn(call.path("response_id"))
    items = [input_items.to_wire(item) for item in turn.input]
    return as_json(page(items, query))


def stream_of(call: Call, turn: Turn, after: int, headers: Mapping[str, str] | None = None) -> EventStream:
    """The turn's events with a `sequence_number` above `after`, to its end."""
    return EventStream(_frames(call, turn, after), call.server.settings.heartbeat, headers)


async def _frames(call: Call, turn: Turn, after: int) -> AsyncGenerator[bytes, None]:
    last = after
    try:
        async for shown in _shown(call, turn):
            fresh = [event for event in shown if event["sequence_number"] > last]
            yield b"".join(frame(event) for event in fresh)
            if fresh:
                last = fresh[-1]["sequence_number"]
    except Exception as error:
        yield frame(_error_event(broken(call, error), last, turn))


async def _shown(call: Call, turn: Turn) -> AsyncGenerator[list[JsonObject], None]:
    mapper = ResponseEvents(turn, operator=call.caller.admin)
    yield mapper.begin()
    async with aclosing(events_of(call, turn)) as events:
        async for event in events:
            yield mapper.feed(event)
    yield mapper.end(await ended_turn(call, turn))


def _error_event(problem: Problem, last: int, turn: Turn) -> JsonObject:
    """`ResponseErrorEvent`: the stream broke; the turn itself may be well.

    Its number is that of the event before it, which a client then gives as `starting_after`: nothing is missed.
    """
    before_the_first = max(turn.attempt - 1, 0) * EVENTS_PER_ATTEMPT - 1
    said = {"code": problem.code, "message": problem.message, "param": None}
    return {"type": "error", "sequence_number": max(last, before_the_first, 0), **said}


def wish_of(request: ResponseCreate) -> Wish:
    """What the request wants.

    Raises:
        Problem: 400, there is nothing new in the input.
    """
    items = input_items.normal_input(request.input)
    history, new = input_items.split_history(items)
    if not new:
        raise invalid("the last item must be new input, not a message of the assistant", param="input")
    conversation = request.conversation
    return Wish(
        agent=request.model,
        input=new,
        history=history,
        conversation=conversation.id if isinstance(conversation, ConversationReference) else conversation,
        previous=request.previous_response_id,
        metadata=request.metadata or {},
        options=_options(request),
        turnlane=request.turnlane,
    )


def _options(request: ResponseCreate) -> JsonObject:
    options: JsonObject = {}
    if request.background:
        options["background"] = True
    if request.previous_response_id is not None:
        options["previous_response_id"] = request.previous_response_id
    if request.turnlane is not None and request.turnlane.notes:
        options["notes"] = True
    return options


OPERATIONS: Final[Sequence[Operation]] = (
    Operation(
        "POST",
        "/v1/responses",
        create_response,
        "Send a message to an agent: wait for the answer, stream it, or let it run in the background.",
        ResponseShape,
        body=ResponseCreate,
        headers=("Idempotency-Key", *HEADERS),
        errors=(404, 409, 429, 500, 502, 503, 504),
        streams=True,
    ),
    Operation(
        "GET",
        "/v1/responses/{response_id}",
        retrieve_response,
        "Read a response; `stream=true` streams it from the start, `starting_after` from behind an event.",
        ResponseShape,
        query=ResponseQuery,
        errors=(404, 503),
        streams=True,
    ),
    Operation(
        "POST",
        "/v1/responses/{response_id}/cancel",
        cancel_response,
        "End a response in bounded time. One that has ended is returned as it is.",
        ResponseShape,
        errors=(404, 503),
    ),
    Operation(
        "GET",
        "/v1/responses/{response_id}/input_items",
        list_input_items,
        "The input items of a response.",
        ItemList,
        query=ListQuery,
        errors=(404, 503),
    ),
)
