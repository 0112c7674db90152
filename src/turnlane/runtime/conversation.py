"""The nouns of Turnlane: conversation, turn, event, item, failure. Plain values, no I/O.

Everything here survives a round trip through JSON, because an engine keeps it: `to_json` and
`from_json` are the only way in and out.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Literal, Self, TypeAlias

JsonObject: TypeAlias = dict[str, Any]

LOCAL_KEY: Final = "local"
"""The owner of everything on a server that runs without API keys (loopback)."""

EVENTS_PER_ATTEMPT: Final = 1_000_000
"""Attempt n numbers its events from (n - 1) * EVENTS_PER_ATTEMPT.

An event may have reached a reader and been lost with the process before it was durable. Its number is
never used again, because the next attempt starts in the next block; so a reader that comes back with
the last number it saw can't miss an event of the new attempt (promise 8).
"""

Status: TypeAlias = Literal[
    "queued", "running", "completed", "incomplete", "failed", "cancelled", "interrupted", "needs_attention"
]
"""How far a turn is. `interrupted`: a later message stopped it, and what was said until then stays in the
conversation. `needs_attention`: its owner died inside a tool that must not be run twice; a person has to look."""

WhenBusy: TypeAlias = Literal["enqueue", "reject", "interrupt", "rollback", "merge", "debounce"]
"""What a new turn does while its conversation has turns that have not ended ("double texting").

enqueue: wait in the lane. reject: 409. interrupt: stop them and keep what was said: the new turn's agent sees
their input and what they answered. rollback: stop them and forget them: they stay in the history as cancelled,
and no agent sees them again, also when one was quicker than its stop. merge: join the last turn that still waits
and has not run yet, so that both are one turn; wait like `enqueue` when there is none. debounce: like `merge`, and
the turn starts only after `NewTurn.delay` seconds without another message.
"""

StopAsk: TypeAlias = Literal["cancel", "interrupt", "rollback"]
"""Why a turn is to stop: a user cancelled it, or a later message interrupts it or rolls it back."""


def new_id(prefix: str) -> str:
    """An unguessable id (144 random bits), such as `resp_...` for turns and `conv_...` for conversations."""
    return f"{prefix}_{secrets.token_hex(18)}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of all model calls of a turn, as the provider counted them."""

    input_tokens: int = 0
    output_tokens: int = 0
    model_calls: int = 0
    retries: int = 0

    def plus(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.model_calls + other.model_calls,
            self.retries + other.retries,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """The first error of a turn: what users and operators see instead of "500".

    `message` is what a user may read: for exceptions of tools it holds no exception text (hazard TL405).
    `stack` is for the log and the operator's `turnlane turns show`, never for the HTTP answer.
    `kind` decides the HTTP status: whose fault it was.
    """

    type: str
    message: str
    kind: Literal["provider", "agent", "tool", "input", "deadline", "cancelled", "state", "turnlane", "attempts"]
    code: str = "agent_error"
    hazard: str | None = None
    agent: str | None = None
    tool: str | None = None
    retryable: bool = False
    stack: str | None = None
    private: bool = False
    """the text may hold what users must not read; only operators see it"""

    def to_json(self) -> JsonObject:
        return {k: v for k, v in asdict(self).items() if v is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        # A newer version may have written fields that this one does not know: left out, not fatal.
        known = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in data.items() if k in known})


CANCELLED: Final = Failure(type="Cancelled", message="the turn was cancelled", kind="cancelled", code="cancelled")

ROLLED_BACK: Final = Failure(
    type="RolledBack",
    message="a later message of the conversation took the place of this turn",
    kind="cancelled",
    code="rolled_back",
)


@dataclass(frozen=True, slots=True)
class TurnEvent:
    """Something that happened in an attempt. `seq` is unique and rising within the turn.

    The kinds and their data are listed in `EVENT_KINDS`.
    """

    seq: int
    kind: str
    at: float
    """Seconds since the epoch."""
    data: JsonObject

    @property
    def attempt(self) -> int:
        return self.seq // EVENTS_PER_ATTEMPT + 1

    def to_json(self) -> list[Any]:
        return [self.seq, self.kind, self.at, self.data]

    @classmethod
    def from_json(cls, row: Sequence[Any]) -> Self:
        return cls(seq=row[0], kind=row[1], at=row[2], data=row[3])


EVENT_KINDS: Final[Mapping[str, str]] = {
    "started": "an attempt began: attempt, agent",
    "text.delta": "a piece of an agent's message while the model writes it: item, agent, text",
    "reasoning.delta": "a piece of a model's reasoning: item, agent, text",
    "message": "an agent's whole message: item, agent, text, phase (commentary or final_answer), "
    "incomplete (null, max_output_tokens or content_filter), structured (JSON or null)",
    "reasoning": "a model's whole reasoning: item, agent, text",
    "tool.call": "a tool is called by an agent: item, agent, call, name, arguments (JSON text)",
    "tool.result": "a tool came back: item, agent, call, name, output (text), error (null or an object "
    "with type, hazard, message)",
    "handoff": "an agent hands over to another: agent, target, text",
    "input.required": "the turn ends asking a human: item, call, agent, prompt, reason (user_proxy or handoff)",
    "note": "anything else the framework reported: agent, type, text",
    "model.call": "a model call ended: agent, model, input_tokens, output_tokens, retries, seconds, "
    "finish_reason; replayed is true when an earlier attempt had got the answer",
    "finished": "the attempt ended and is committed: status",
}
"""Every event kind, with its data. `turnlane` keeps the reference page of events equal to this table."""

INPUT_ITEMS: Final[Mapping[str, str]] = {
    "message": "id, role (user, assistant, system or developer), content: a list of parts, each one of "
    "{type: input_text, text}, {type: input_image, image_url, detail} and, of an assistant, "
    "{type: output_text, text}",
    "function_call_output": "id, call_id, output (text): a human's answer to the `input.required` with that call",
}
"""The items of `NewTurn.input`, `NewTurn.items` and of a conversation, by their `type`: OpenAI's input items,
in one normal form. Every item has an `id`, under which `Engine.delete_item` finds it."""

OUTPUT_ITEMS: Final[Mapping[str, str]] = {
    "message": "the data of the event `message`; incomplete is `interrupted` where a turn was interrupted in it",
    "reasoning": "the data of the event `reasoning`",
    "tool": "the data of `tool.call` and `tool.result` in one: item, agent, call, name, arguments, output, error; "
    "output and error are null when the tool never came back",
    "input.required": "the data of the event `input.required`",
}
"""The items of `Turn.output`, by their `type`, in the order in which they first appeared in the events: so
what a stream shows and what is read later are the same. An item that began with deltas is closed by its
`message` or `reasoning`, unless the attempt ends before."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """An agent's state between turns. `kind` and `version` are compared before `data` is loaded."""

    kind: str
    version: str
    data: Any

    def to_json(self) -> JsonObject:
        return {"kind": self.kind, "version": self.version, "data": self.data}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(kind=data["kind"], version=data["version"], data=data["data"])


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one user and the agents have said. `key` owns it; `agent` is set by its first turn."""

    id: str
    key: str = LOCAL_KEY
    agent: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a conversation's history, in order: an item somebody added, or a turn.

    `position` orders the entries of one conversation. Exactly one of `item` and `turn` is set.
    """

    position: int
    item: JsonObject | None = None
    turn: Turn | None = None


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """Something an attempt did that another attempt of the turn must not do again, or not pay again.

    A model call has one entry, when it was answered. A tool call has two: `begun` before it runs and `ended` with
    its result; entries of one attempt are kept in the order in which they were recorded.
    """

    kind: Literal["model", "tool"]
    phase: Literal["begun", "ended"]
    asked: str
    """A digest of what was asked: the same question in another attempt gets the same answer."""
    call: str
    """Names the call in its attempt, so that `ended` finds its `begun`."""
    name: str
    """The tool, or the model."""
    once: bool = False
    """The tool must not run a second time for the same call."""
    answer: Any = None
    """JSON, in the framework's own shape; None while `begun`."""
    usage: Usage = Usage()

    def to_json(self) -> list[Any]:
        u = self.usage
        usage = [u.input_tokens, u.output_tokens, u.model_calls, u.retries]
        return [self.kind, self.phase, self.asked, self.call, self.name, self.once, self.answer, usage]

    @classmethod
    def from_json(cls, row: Sequence[Any]) -> Self:
        kind, phase, asked, call, name, once, answer, usage = row
        return cls(kind, phase, asked, call, name, once, answer, Usage(*usage))


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A message that asks to be accepted.

    `input` is a list of input items (see `INPUT_ITEMS`), already validated. `fingerprint`
    is a digest of the request, so that an idempotency key used again with another body is refused.
    """

    id: str
    conversation: str
    agent: str
    input: Sequence[JsonObject]
    key: str = LOCAL_KEY
    metadata: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    when_busy: WhenBusy = "enqueue"
    delay: float = 0.0
    """Seconds without another message before the turn may start; for `when_busy="debounce"`, else 0."""
    max_queue: int | None = None
    """Turns that may wait in this conversation, when the agent asks for less than the engine's bound."""
    follows: str | None = None
    """The turn that must be the conversation's latest when this one is accepted."""
    create_conversation: Conversation | None = None
    """Set when the conversation is new: it is created in the same transaction."""
    items: Sequence[JsonObject] = ()
    """Items to add to the (new) conversation before the turn, in the same transaction."""
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One message in, the agents' run, one answer out."""

    id: str
    conversation: str
    agent: str
    key: str
    position: int
    status: Status
    attempt: int
    input: Sequence[JsonObject]
    output: Sequence[JsonObject] = ()
    """Output items in the neutral shape, see `OUTPUT_ITEMS`."""
    usage: Usage = Usage()
    failure: Failure | None = None
    incomplete: str | None = None
    """Why the answer is incomplete: `max_output_tokens` or `content_filter`."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    idempotency_key: str | None = None
    stop_asked: StopAsk | None = None
    """Set while a running turn is to stop, and kept when it has."""
    not_before: float | None = None
    """Seconds since the epoch; a turn that waits for further messages (debounce) does not start earlier."""
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked for the turn to stop."""
        return self.stop_asked is not None

    @property
    def ended(self) -> bool:
        return self.status not in ("queued", "running")

    def with_(self, **changes: Any) -> Turn:
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one attempt of a turn. `attempt` is the fence: a commit with an older one is refused."""

    turn: Turn
    state: SavedState | None
    items: Sequence[JsonObject] = ()
    """What the saved state has not seen, in order: items added to the conversation since, and of interrupted
    turns since their input and what they had answered (as assistant messages)."""
    ledger: Sequence[LedgerEntry] = ()
    """What earlier attempts of the turn recorded, in order."""

    @property
    def attempt(self) -> int:
        return self.turn.attempt

    @property
    def first_seq(self) -> int:
        return (self.turn.attempt - 1) * EVENTS_PER_ATTEMPT


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. Committed whole, or not at all (promise 4).

    `state` None keeps the conversation's state as it was before the turn.
    """

    status: Status
    output: Sequence[JsonObject] = ()
    usage: Usage = Usage()
    failure: Failure | None = None
    incomplete: str | None = None
    state: SavedState | None = None
    events: Sequence[TurnEvent] = ()
    """The events that were not published before; the last is `finished`."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A conversation with turns that have not ended."""

    conversation: str
    agent: str
    key: str
    running: str | None
    queued: int
    oldest_at: float


def carried_over(turn: Turn) -> list[JsonObject]:
    """What an interrupted turn leaves for the agent of the next: its input, and what was answered until then."""
    items: list[JsonObject] = list(turn.input)
    for said in turn.output:
        if said.get("type") == "message" and said.get("text"):
            content = [{"type": "output_text", "text": said["text"]}]
            items.append(
                {"type": "message", "id": said.get("item", turn.id), "role": "assistant", "content": content}
            )
    return items
