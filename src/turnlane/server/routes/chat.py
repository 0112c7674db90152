"""`/v1/chat/completions`, for everything that speaks it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from turnlane.runtime.conversation import JsonObject, Turn
from turnlane.server.acceptance import Wish, accept, joined_header
from turnlane.server.answer import Answer, EventStream, as_json, data_frame
from turnlane.server.answer_shapes import ChatCompletionShape
from turnlane.server.call import Call
from turnlane.server.chat_completion import ChatChunks, RunAgain, completion
from turnlane.server.double_texting import HEADERS
from turnlane.server.input_items import normal_chat_message
from turnlane.server.operation import Operation
from turnlane.server.parameters import check_chat_parameters
from turnlane.server.problem import WITHOUT_ANSWER, Problem, invalid, of_turn
from turnlane.server.request_shapes import ChatCreate
from turnlane.server.turn_end import broken, end_of, ended_turn, events_of

CONVERSATION_HEADER: Final = b"turnlane-conversation"
DONE: Final = b"data: [DONE]\n\n"


async def create_chat_completion(call: Call) -> Answer:
    request = await call.body(ChatCreate)
    check_chat_parameters(request)
    accepted = await accept(call, _wish(call, request))
    headers = joined_header(accepted)
    if request.stream:
        usage = request.stream_options is not None and bool(request.stream_options.include_usage)
        mapper = ChatChunks(accepted.turn, include_usage=usage)
        return EventStream(_frames(call, accepted.turn, mapper), call.server.settings.heartbeat, headers)
    ended = await end_of(call, accepted.turn)
    if ended.status in WITHOUT_ANSWER:
        raise of_turn(ended, operator=call.caller.admin)
    return as_json({**completion(ended), "joined": accepted.joined}, headers=headers)


async def _frames(call: Call, turn: Turn, mapper: ChatChunks) -> AsyncGenerator[bytes, None]:
    try:
        async for chunks in _chunks(call, turn, mapper):
            yield b"".join(data_frame(chunk) for chunk in chunks)
    except RunAgain:
        yield data_frame(_run_again(turn).to_json(call.request_id))
    except Exception as error:
        yield data_frame(broken(call, error).to_json(call.request_id))
    yield DONE


async def _chunks(call: Call, turn: Turn, mapper: ChatChunks) -> AsyncGenerator[list[JsonObject], None]:
    yield mapper.begin()
    async with aclosing(events_of(call, turn)) as events:
        async for event in events:
            yield mapper.feed(event)
    ended = await ended_turn(call, turn)
    if ended.status in WITHOUT_ANSWER:
        raise of_turn(ended, operator=call.caller.admin)
    yield mapper.end(ended)


def _wish(call: Call, request: ChatCreate) -> Wish:
    *earlier, last = request.messages
    if last.role != "user":
        raise invalid("the last message must be the user's", param=f"messages[{len(earlier)}].role")
    conversation = _conversation(call, request)
    history = [] if conversation is not None else [normal_chat_message(message) for message in earlier]
    metadata = {k: v for k, v in (request.metadata or {}).items() if k != "conversation"}
    return Wish(
        agent=request.model,
        input=[normal_chat_message(last)],
        history=history,
        conversation=conversation,
        metadata=metadata,
        turnlane=request.turnlane,
    )


def _conversation(call: Call, request: ChatCreate) -> str | None:
    in_body = (request.metadata or {}).get("conversation")
    in_header = call.header(CONVERSATION_HEADER)
    if in_body is not None and in_header is not None and in_body != in_header:
        raise invalid(
            "metadata.conversation and the header Turnlane-Conversation name different conversations",
            param="metadata.conversation",
        )
    return in_body if in_body is not None else in_header


def _run_again(turn: Turn) -> Problem:
    return Problem(
        409,
        f"the turn was started again after part of its answer was sent; read the answer with "
        f"GET /v1/responses/{turn.id}",
        type="server_error",
        code="run_again",
        extra={"response_id": turn.id, "conversation_id": turn.conversation},
    )


OPERATIONS: Final[Sequence[Operation]] = (
    Operation(
        "POST",
        "/v1/chat/completions",
        create_chat_completion,
        "The same as a chat completion, plain or streamed.",
        ChatCompletionShape,
        body=ChatCreate,
        headers=("Idempotency-Key", "Turnlane-Conversation", *HEADERS),
        errors=(404, 409, 429, 500, 502, 503, 504),
        streams=True,
    ),
)
