"""From a checked request to an accepted turn: which conversation, which input, and who else is there."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from turnlane.runtime.conversation import Conversation, JsonObject, NewTurn, Turn, new_id
from turnlane.runtime.engine import Accepted
from turnlane.server.call import Call
from turnlane.server.double_texting import strategy_of
from turnlane.server.input_items import with_ids_of_turn, with_new_ids
from turnlane.server.problem import invalid, not_found
from turnlane.server.request_shapes import TurnlaneOptions
from turnlane.server.validation import is_identifier

LOOK_BACK: Final = 20
"""How many of a conversation's last turns are searched for a repeated Idempotency-Key."""

MAX_IDEMPOTENCY_KEY: Final = 255

JOINED_HEADER: Final = "Turnlane-Joined"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request wants, in the same words for responses and chat completions."""

    agent: str
    input: Sequence[JsonObject]
    history: Sequence[JsonObject] = ()
    conversation: str | None = None
    """The conversation to go on with; None makes a new one."""
    previous: str | None = None
    """The response that must be the latest of the conversation."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    turnlane: TurnlaneOptions | None = None


async def accept(call: Call, wish: Wish) -> Accepted:
    """Accept a turn for the caller; durable on return.

    Raises:
        Problem: 400, 404, 409; nothing was stored.
        EngineError, ReentrantRun: what the intake refuses.
    """
    key = _idempotency_key(call)
    settings = call.server.intake.agent(wish.agent).settings
    when_busy, delay = strategy_of(call, wish.turnlane, settings)
    conversation = await _conversation(call, wish)
    await _check_answers(call, wish, conversation, key)
    turn_id, now = new_id("resp"), time.time()
    created = None
    if conversation is None:
        created = Conversation(id=new_id("conv"), key=call.caller.owner, created_at=now)
    new = NewTurn(
        id=turn_id,
        conversation=created.id if created is not None else (conversation or ""),
        agent=wish.agent,
        input=with_ids_of_turn(wish.input, turn_id),
        key=call.caller.owner,
        metadata=wish.metadata,
        options=wish.options,
        request_id=call.request_id,
        idempotency_key=key,
        fingerprint=await _fingerprint(call) if key is not None else None,
        when_busy=when_busy,
        delay=delay,
        max_queue=settings.max_queue,
        follows=wish.previous,
        create_conversation=created,
        items=with_new_ids(wish.history),
        created_at=now,
    )
    return await call.server.intake.submit(new, peer=call.peer, port=call.port)


def joined_header(accepted: Accepted) -> dict[str, str]:
    """Tells, also where the answer is a stream, that the message became part of a turn that was waiting."""
    return {JOINED_HEADER: "true"} if accepted.joined else {}


def _idempotency_key(call: Call) -> str | None:
    key = call.header(b"idempotency-key")
    if key is not None and not (0 < len(key) <= MAX_IDEMPOTENCY_KEY and key.isprintable()):
        raise invalid(
            f"Idempotency-Key must have 1 to {MAX_IDEMPOTENCY_KEY} printable characters", param="Idempotency-Key"
        )
    return key


async def _fingerprint(call: Call) -> str:
    digest = hashlib.sha256(call.scope["path"].encode())
    digest.update(await call.raw_body())
    return digest.hexdigest()


async def _conversation(call: Call, wish: Wish) -> str | None:
    """The conversation to go on with, or None for a new one."""
    if wish.previous is None:
        # Whether it exists and belongs to the caller is the engine's to say, when it accepts.
        if wish.conversation is not None and not is_identifier(wish.conversation):
            raise not_found("conversation", wish.conversation, param="conversation")
        return wish.conversation
    return (await call.own_turn(wish.previous, param="previous_response_id")).conversation


async def _check_answers(call: Call, wish: Wish, conversation: str | None, key: str | None) -> None:
    """An answer to `request_user_input` must answer the question the conversation's last turn ended with."""
    answered = [item["call_id"] for item in wish.input if item["type"] == "function_call_output"]
    if not answered:
        return
    latest: Sequence[Turn] = ()
    if conversation is not None:
        latest = await call.engine.turns(key=call.caller.owner, conversation=conversation, limit=LOOK_BACK)
    if _repeated(latest, key):
        return
    asked = {
        item["call"]
        for turn in latest[:1]
        for item in turn.output
        if turn.ended and item["type"] == "input.required"
    }
    for call_id in answered:
        if call_id not in asked:
            raise invalid(
                f"no question with call_id {call_id!r} waits for an answer in this conversation; "
                f"{'waiting: ' + ', '.join(sorted(asked)) if asked else 'none waits at all'}",
                param="input",
                code="unknown_call_id",
            )


def _repeated(latest: Sequence[Turn], key: str | None) -> bool:
    """Whether this is a request sent again: the engine then finds its turn, whatever came after."""
    return key is not None and any(turn.idempotency_key == key for turn in latest)
