"""Changes of conversations, and cancelling: each is one call in a batch of the front end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from turnlane.runtime.conversation import Conversation, JsonObject, Turn
from turnlane.runtime.engine import ConversationNotFound, EngineError
from turnlane.runtime.engines.postgres import rows
from turnlane.runtime.engines.postgres.accepting import (
    Told,
    create_conversation,
    insert_items,
    stop_turns,
    stopped_effects,
)
from turnlane.runtime.engines.postgres.batches import Call, Effect
from turnlane.runtime.engines.postgres.connection import Connection
from turnlane.runtime.engines.stored_json import item_rows, to_text, told_as_json

Change: TypeAlias = Callable[[Connection, bool], Awaitable[tuple[Any, list[Effect]]]]
"""Given the connection and whether it may have been done already: the answer, and what is told after the commit.
It refuses by raising `EngineError` before it has written."""


async def make(call: Call, connection: Connection) -> list[Effect]:
    """Do a change in the transaction that is open."""
    change: Change = call.what
    try:
        answer, effects = await change(connection, call.tries > 0)
    except EngineError as refusal:
        return [partial(call.fail, refusal)]
    return [*effects, partial(call.succeed, answer)]


async def create(
    conversation: Conversation, items: Sequence[JsonObject], connection: Connection, again: bool
) -> tuple[None, list[Effect]]:
    """Raises: NotJson, or EngineError when the id is taken."""
    await connection.execute("SELECT turnlane.hold_lanes($1)", [conversation.id])
    there = await rows.read_conversation(connection, conversation.id)
    if there is not None:
        if again and there.key == conversation.key:
            return None, []
        raise EngineError(f"there is a conversation {conversation.id!r} already: use another id")
    with told_as_json("an item"):
        stored = item_rows(0, items)
    number = await create_conversation(
        connection,
        conversation.id,
        conversation.key,
        conversation.agent,
        conversation.metadata,
        conversation.created_at,
    )
    if stored:
        await insert_items(connection, number, stored)
    return None, []


async def update(
    conversation_id: str, metadata: Mapping[str, str], connection: Connection, again: bool
) -> tuple[Conversation | None, list[Effect]]:
    await connection.execute(
        "UPDATE turnlane.conversation SET metadata = $1 WHERE id = $2",
        to_text(dict(metadata)),
        rows.storable(conversation_id),
    )
    return await rows.read_conversation(connection, conversation_id), []


async def delete(
    conversation_id: str, deleted: Callable[[Sequence[str]], None], connection: Connection, again: bool
) -> tuple[bool, list[Effect]]:
    number = await _held(connection, conversation_id)
    if number is None:
        return again, []
    work = await connection.fetch(
        "SELECT id, queue, message FROM turnlane.work WHERE conversation = $1 ORDER BY turn FOR UPDATE", number
    )
    for row in work:
        await connection.execute("SELECT pgmq.delete($1, $2::bigint)", row["queue"], row["message"])
    for statement in _DELETE:
        await connection.execute(statement, number)
    return True, [partial(deleted, [row["id"] for row in work])]


# What belongs to turns goes before the turns.
_DELETE = (
    *(
        f"DELETE FROM turnlane.{table} o USING turnlane.turn t WHERE o.turn = t.n AND t.conversation = $1"  # noqa: S608
        for table in ("event_chunk", "ledger", "idempotency")
    ),
    *(
        f"DELETE FROM turnlane.{table} WHERE conversation = $1"  # noqa: S608
        for table in ("work", "item", "state", "turn")
    ),
    "DELETE FROM turnlane.conversation WHERE n = $1",
)


async def add_items(
    conversation_id: str, items: Sequence[JsonObject], connection: Connection, again: bool
) -> tuple[None, list[Effect]]:
    """Raises: ConversationNotFound, NotJson."""
    found = await connection.fetchrow("SELECT * FROM turnlane.look($1)", [rows.storable(conversation_id)])
    if found is None:
        raise ConversationNotFound(conversation_id)
    ids = [item["id"] for item in items if item.get("id") is not None]
    if again and ids and await _has_items(connection, found["n"], ids):
        return None, []
    last = -1 if found["last_position"] is None else found["last_position"]
    with told_as_json("an item"):
        stored = item_rows(last + 1, items)
    if stored:
        await insert_items(connection, found["n"], stored)
    return None, []


async def delete_item(
    conversation_id: str, item_id: str, connection: Connection, again: bool
) -> tuple[bool, list[Effect]]:
    number = await _held(connection, conversation_id)
    if number is None:
        return False, []
    done = await connection.execute(
        """DELETE FROM turnlane.item WHERE conversation = $1 AND id = $2 AND position > greatest(
            coalesce((SELECT absorbed FROM turnlane.state WHERE conversation = $1), -1),
            coalesce((SELECT max(position) FROM turnlane.work WHERE conversation = $1
                AND status = 'running'), -1))""",
        number,
        rows.storable(item_id),
    )
    return done != "DELETE 0" or again, []


async def cancel(
    turn_id: str, told: Told, connection: Connection, again: bool
) -> tuple[Turn | None, list[Effect]]:
    """End a turn that waits; ask for a running one to be stopped."""
    home = await connection.fetchval(
        "SELECT c.id FROM turnlane.turn t JOIN turnlane.conversation c ON c.n = t.conversation WHERE t.id = $1",
        rows.storable(turn_id),
    )
    if home is None:
        return None, []
    await connection.execute("SELECT turnlane.hold_lanes($1)", [home])
    found = await connection.fetch("SELECT turn, id, status FROM turnlane.work WHERE id = $1", turn_id)
    stopped = await stop_turns(connection, found, "cancel")
    return await rows.read_turn(connection, turn_id), stopped_effects(told, stopped)


async def _held(connection: Connection, conversation_id: str) -> int | None:
    """The number of a conversation, whose lane is held from now on."""
    asked = rows.storable(conversation_id)
    await connection.execute("SELECT turnlane.hold_lanes($1)", [asked])
    number: int | None = await connection.fetchval("SELECT n FROM turnlane.conversation WHERE id = $1", asked)
    return number


async def _has_items(connection: Connection, number: int, ids: Sequence[str]) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT true FROM turnlane.item WHERE conversation = $1 AND id = ANY ($2) LIMIT 1",
            number,
            [rows.storable(one) for one in ids],
        )
    )
