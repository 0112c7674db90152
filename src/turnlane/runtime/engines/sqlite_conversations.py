"""Conversations and their items: rows, in the writer's thread.

As in `sqlite_moves`, a method refuses before it writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from turnlane.runtime.conversation import Conversation, JsonObject, NewTurn
from turnlane.runtime.engine import ConversationNotFound, EngineError, WrongAgent
from turnlane.runtime.engines import sqlite_rows as rows
from turnlane.runtime.engines import stored_json
from turnlane.runtime.engines.effects import Deleted, OwnerLost
from turnlane.runtime.engines.sqlite_ownership import Ownership

INSERT_ITEM: Final = "INSERT INTO item (conversation, position, id, data) VALUES (?, ?, ?, ?)"

# Turns and items of a conversation share one row of positions.
_SELECT_HOME: Final = """SELECT n, key, agent, max(
    coalesce((SELECT max(position) FROM turn WHERE turn.conversation = conversation.n), -1),
    coalesce((SELECT max(position) FROM item WHERE item.conversation = conversation.n), -1))
    FROM conversation WHERE id = ?"""

_SELECT_USED: Final = """SELECT max(coalesce((SELECT absorbed FROM state WHERE conversation = ?), -1),
    coalesce((SELECT position FROM turn WHERE n = ?), -1))"""


@dataclass(frozen=True, slots=True)
class Home:
    """A conversation's row, as accepting needs it. `number` None: it is not stored yet."""

    number: int | None
    agent: str | None
    next_position: int


class Conversations:
    """Makes, changes and deletes them; finds the home of a turn."""

    def __init__(self, ownership: Ownership, clock: Callable[[], float]) -> None:
        self._ownership = ownership
        self._clock = clock

    # --- what the engine offers ---

    def create(
        self, conversation: Conversation, items: Sequence[JsonObject], connection: sqlite3.Connection
    ) -> None:
        """Raises: NotJson, or EngineError when the id is taken."""
        if _number_of(connection, conversation.id) is not None:
            raise EngineError(f"there is a conversation {conversation.id!r} already: use another id")
        with stored_json.told_as_json("an item"):
            stored = stored_json.item_rows(0, items)
        number = self._insert(connection, conversation, conversation.key, conversation.agent)
        connection.executemany(INSERT_ITEM, [(number, *item) for item in stored])

    def update(
        self, conversation_id: str, metadata: Mapping[str, str], connection: sqlite3.Connection
    ) -> Conversation | None:
        connection.execute(
            "UPDATE conversation SET metadata = ? WHERE id = ?",
            (stored_json.to_text(dict(metadata)), conversation_id),
        )
        return rows.read_conversation(connection, conversation_id)

    def delete(self, conversation_id: str, connection: sqlite3.Connection) -> bool:
        number = _number_of(connection, conversation_id)
        if number is None:
            return False
        turns = connection.execute("SELECT n FROM turn WHERE conversation = ?", (number,)).fetchall()
        ids = [(rows.chunk_id(n, 0), rows.chunk_id(n + 1, 0)) for (n,) in turns]
        for table in ("event_chunk", "ledger"):
            connection.executemany(f"DELETE FROM {table} WHERE id >= ? AND id < ?", ids)  # noqa: S608
        connection.executemany("DELETE FROM joined_key WHERE turn = ?", turns)
        for table in ("item", "state", "turn"):
            connection.execute(f"DELETE FROM {table} WHERE conversation = ?", (number,))  # noqa: S608
        connection.execute("DELETE FROM conversation WHERE n = ?", (number,))
        self._forget_lane(conversation_id)
        self._ownership.run_what_fits(connection)
        return True

    def add_items(self, conversation_id: str, items: Sequence[JsonObject], connection: sqlite3.Connection) -> None:
        """Raises: ConversationNotFound, NotJson."""
        row = connection.execute(_SELECT_HOME, (conversation_id,)).fetchone()
        if row is None:
            raise ConversationNotFound(conversation_id)
        number, _, _, last_position = row
        with stored_json.told_as_json("an item"):
            stored = stored_json.item_rows(last_position + 1, items)
        connection.executemany(INSERT_ITEM, [(number, *item) for item in stored])

    def delete_item(self, conversation_id: str, item_id: str, connection: sqlite3.Connection) -> bool:
        number = _number_of(connection, conversation_id)
        if number is None:
            return False
        deleted = connection.execute(
            "DELETE FROM item WHERE conversation = ? AND id = ? AND position > ?",
            (number, item_id, self._used_up_to(connection, conversation_id, number)),
        )
        return deleted.rowcount > 0

    # --- for a turn that is being accepted ---

    def home_of(self, connection: sqlite3.Connection, new: NewTurn) -> Home:
        """The row of a turn's conversation.

        Raises:
            ConversationNotFound, WrongAgent: it belongs to another key or another agent.
        """
        row = connection.execute(_SELECT_HOME, (new.conversation,)).fetchone()
        if row is None:
            if new.create_conversation is None:
                raise ConversationNotFound(new.conversation)
            return Home(None, None, 0)
        number, key, agent, last_position = row
        if key != new.key:
            raise ConversationNotFound(new.conversation)
        if agent is not None and agent != new.agent:
            raise WrongAgent(new.conversation, agent, new.agent)
        return Home(number, agent, last_position + 1)

    def settle(self, connection: sqlite3.Connection, home: Home, new: NewTurn) -> int:
        """The number of the conversation's row, which belongs to the turn's agent from now on."""
        if home.number is None:
            assert new.create_conversation is not None
            return self._insert(connection, new.create_conversation, new.key, new.agent)
        if home.agent is None:
            connection.execute("UPDATE conversation SET agent = ? WHERE n = ?", (new.agent, home.number))
        return home.number

    # --- inside ---

    def _insert(
        self, connection: sqlite3.Connection, conversation: Conversation, key: str, agent: str | None
    ) -> int:
        inserted = connection.execute(
            "INSERT INTO conversation (id, key, agent, metadata, created_at) VALUES (?, ?, ?, ?, ?)",
            (
                conversation.id,
                key,
                agent,
                stored_json.to_text(dict(conversation.metadata)),
                conversation.created_at or self._clock(),
            ),
        )
        return rows.number_of_new(inserted)

    def _forget_lane(self, conversation_id: str) -> None:
        lane = self._ownership.lanes.remove(conversation_id)
        if lane is None:
            return
        self._ownership.effects.extend(Deleted(waiting.turn) for waiting in lane.waiting)
        if lane.running is not None:
            self._ownership.effects.append(Deleted(lane.running.turn))
            if (seat := lane.running.seat) is not None:
                self._ownership.effects.append(OwnerLost(seat, lane.running.turn, lane.running.attempt))

    def _used_up_to(self, connection: sqlite3.Connection, conversation_id: str, number: int) -> int:
        """The position up to which a turn has used the history, or is using it."""
        lane = self._ownership.lanes.lane(conversation_id)
        running = lane.running.number if lane and lane.running else None
        position: int
        (position,) = connection.execute(_SELECT_USED, (number, running)).fetchone()
        return position


def _number_of(connection: sqlite3.Connection, conversation_id: str) -> int | None:
    row = connection.execute("SELECT n FROM conversation WHERE id = ?", (conversation_id,)).fetchone()
    return int(row[0]) if row else None
