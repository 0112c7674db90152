"""What an engine may hold, as records: made by hypothesis, put into a store, and read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from turnlane.runtime.conversation import (
    EVENTS_PER_ATTEMPT,
    Conversation,
    Failure,
    LedgerEntry,
    Status,
    Turn,
    TurnEvent,
    Usage,
)
from turnlane.runtime.engines.moving import BATCH, ConversationRecord, Store, TurnRecord

AGENTS = ("support", "sales")

TEXTS = st.text(max_size=12) | st.sampled_from(["\0", "\ud800", "ж", "a" * 3000])
"""What users and models say: anything, also what databases refuse as text."""

NAMES = st.text("abcxyz-_.é", min_size=1, max_size=8)
"""Names and ids that clients may choose."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)

TIMES = st.floats(0, 4e9)

USAGES = st.builds(Usage, *[st.integers(0, 10**12)] * 4)

LEDGER_ENTRIES = st.builds(
    LedgerEntry,
    kind=st.sampled_from(["model", "tool"]),
    phase=st.sampled_from(["begun", "ended"]),
    asked=NAMES,
    call=NAMES,
    name=NAMES,
    once=st.booleans(),
    answer=JSON,
    usage=USAGES,
)

FAILURES = st.builds(
    Failure,
    type=NAMES,
    message=TEXTS,
    kind=st.sampled_from(["provider", "tool", "cancelled"]),
    stack=st.none() | TEXTS,
    private=st.booleans(),
)

STATUSES = st.sampled_from(
    ["completed", "incomplete", "failed", "cancelled", "interrupted", "needs_attention", "queued", "running"]
)


@dataclass
class Holding:
    """Everything that a store holds."""

    conversations: Sequence[ConversationRecord]
    turns: Sequence[TurnRecord]


@st.composite
def holdings(draw: st.DrawFn) -> Holding:
    """Some conversations, each with items, a state and turns; turns of all in one order of acceptance."""
    conversations: list[ConversationRecord] = []
    lanes: list[list[TurnRecord]] = []
    for number in range(draw(st.integers(0, 4))):
        conversation = Conversation(
            id=f"conv_{number}",
            key=draw(NAMES),
            agent=draw(st.sampled_from((None, *AGENTS))),
            metadata=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
            created_at=draw(TIMES),
        )
        entries = draw(st.lists(st.sampled_from(["item", "turn"]), max_size=4))
        items, turns = [], []
        for position, entry in enumerate(entries):
            if entry == "item":
                items.append((position, {"id": draw(st.none() | NAMES), "text": draw(TEXTS)}))
            else:
                last = "turn" not in entries[position + 1 :]
                turns.append(draw(_turns(conversation, position, last)))
        state = draw(st.none() | st.fixed_dictionaries({"kind": NAMES, "version": NAMES, "data": JSON}))
        absorbed = draw(st.integers(0, 5)) if state is not None else -1
        conversations.append(ConversationRecord(conversation, items, state, absorbed))
        lanes.append(turns)
    return Holding(conversations, draw(_shuffled(lanes)))


@st.composite
def _turns(draw: st.DrawFn, conversation: Conversation, position: int, last: bool) -> TurnRecord:
    # Only the first turn of a lane that has not ended may run; the last turn is enough to have both kinds.
    status: Status = draw(
        STATUSES if last else STATUSES.filter(lambda status: status not in ("queued", "running"))
    )
    ended = status not in ("queued", "running")
    attempt = draw(st.integers(1 if status == "running" else 0, 3))
    events = [event for number in range(attempt) for event in draw(_events(number))]
    own = draw(st.none() | NAMES)
    turn = Turn(
        id=f"resp_{conversation.id}_{position}",
        conversation=conversation.id,
        agent=draw(st.sampled_from(AGENTS)),
        key=conversation.key,
        position=position,
        status=status,
        attempt=attempt,
        input=draw(st.lists(st.fixed_dictionaries({"text": TEXTS}), max_size=2)),
        output=draw(st.lists(st.fixed_dictionaries({"text": TEXTS}), max_size=2)) if ended else (),
        usage=draw(USAGES) if ended else Usage(),
        failure=draw(st.none() | FAILURES) if ended else None,
        incomplete=draw(st.sampled_from([None, "max_output_tokens"])) if ended else None,
        metadata=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
        options=draw(st.dictionaries(TEXTS, JSON, max_size=2)),
        request_id=draw(st.none() | NAMES),
        idempotency_key=f"{own}{conversation.id}{position}" if own is not None else None,
        stop_asked=draw(st.sampled_from([None, "cancel", "interrupt", "rollback"]))
        if status != "queued"
        else None,
        not_before=draw(st.none() | TIMES),
        created_at=draw(TIMES),
        started_at=draw(TIMES) if attempt else None,
        finished_at=draw(TIMES) if ended else None,
    )
    joined = draw(st.dictionaries(NAMES, st.none() | NAMES, max_size=2)) if status == "queued" else {}
    keeps_ledger = attempt and status in ("queued", "running", "needs_attention")
    return TurnRecord(
        turn=turn,
        fingerprint=draw(st.none() | NAMES) if own is not None else None,
        joined=sorted((f"{key}-{turn.id}", fingerprint) for key, fingerprint in joined.items()),
        joins=len(joined),
        events=events,
        events_from=draw(st.integers(0, attempt)) * EVENTS_PER_ATTEMPT,
        ledger=draw(st.lists(LEDGER_ENTRIES, max_size=3)) if keeps_ledger else [],
    )


@st.composite
def _events(draw: st.DrawFn, attempt: int) -> list[TurnEvent]:
    many = draw(st.sampled_from([0, 1, 3, 450]))
    first = attempt * EVENTS_PER_ATTEMPT
    data = draw(st.dictionaries(TEXTS, JSON, max_size=2))
    return [TurnEvent(first + i, "text.delta", 1.5 * i, data) for i in range(many)]


@st.composite
def _shuffled(draw: st.DrawFn, lanes: list[list[TurnRecord]]) -> list[TurnRecord]:
    """Turns of all lanes in one order, that of each lane kept."""
    lanes = [list(lane) for lane in lanes]
    order: list[TurnRecord] = []
    while left := [lane for lane in lanes if lane]:
        order.append(draw(st.sampled_from(left)).pop(0))
    return order


async def fill(store: Store, holding: Holding) -> None:
    async with store.restored() as restore:
        await restore.add_conversations(holding.conversations)
        for start in range(0, len(holding.turns), BATCH):
            await restore.add_turns(holding.turns[start : start + BATCH])


async def held(store: Store) -> Holding:
    async with store.exported() as export:
        conversations = [record async for record in export.conversations()]
        return Holding(conversations, [record async for record in export.turns()])


def many(turns: int, **changes: Any) -> Holding:
    """One conversation for each two turns, so that pages and batches have ends."""
    conversations = [ConversationRecord(Conversation(f"conv_{n}")) for n in range((turns + 1) // 2)]
    made = [
        TurnRecord(
            Turn(
                **{
                    "id": f"resp_{n}",
                    "conversation": f"conv_{n // 2}",
                    "agent": "support",
                    "key": "local",
                    "position": n % 2,
                    "status": "completed",
                    "attempt": 1,
                    "input": [],
                    **changes,
                }
            )
        )
        for n in range(turns)
    ]
    return Holding(conversations, made)
