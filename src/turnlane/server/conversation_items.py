"""The items of a conversation in one row: those that were added, and input and output of its turns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from turnlane.runtime.conversation import Entry, JsonObject, Turn
from turnlane.runtime.engine import Engine
from turnlane.server import input_items, output_items
from turnlane.server.item_list import item_list
from turnlane.server.problem import not_found
from turnlane.server.request_shapes import ListQuery

PAGE: Final = 100
"""Entries that are read at once."""


@dataclass(frozen=True, slots=True)
class Found:
    """An item with its place. `turn` is the turn it belongs to; None: it was added by itself."""

    item: JsonObject
    position: int
    turn: Turn | None


def items_of(entry: Entry) -> list[JsonObject]:
    """The items of an entry on the wire, oldest first. Those of a turn tell by `turn_status` how it ended."""
    if (turn := entry.turn) is not None:
        shown = [input_items.to_wire(item) for item in turn.input]
        shown += [output_items.to_wire(item) for item in turn.output]
        return [{**item, "response_id": turn.id, "turn_status": turn.status} for item in shown]
    return [input_items.to_wire(entry.item)] if entry.item is not None else []


async def page(engine: Engine, conversation_id: str, query: ListQuery) -> JsonObject:
    """The page of items that a query asks for.

    Raises:
        Problem: 404, there is no item `after`.
    """
    newest_first = query.order == "desc"
    collected: list[JsonObject] = []
    position: int | None = None
    if query.after is not None:
        found = await find(engine, conversation_id, query.after)
        position = found.position
        collected = _behind(found, newest_first)
    while len(collected) <= query.limit:
        entries = await engine.entries(conversation_id, after=position, limit=PAGE, newest_first=newest_first)
        if not entries:
            break
        collected += _in_order(entries, newest_first)
        position = entries[-1].position
    return item_list(collected[: query.limit], has_more=len(collected) > query.limit)


async def find(engine: Engine, conversation_id: str, item_id: str) -> Found:
    """One item by its id.

    Raises:
        Problem: 404.
    """
    turn_id = input_items.turn_of_item(item_id)
    found = None
    if turn_id is not None:
        found = _in_turn(await engine.turn(turn_id), conversation_id, item_id)
    # What was added by itself, and what joined a turn, whose id its own does not lead to.
    found = found or await _among_all(engine, conversation_id, item_id)
    if found is None:
        raise not_found("item", item_id)
    return found


def _in_turn(turn: Turn | None, conversation_id: str, item_id: str) -> Found | None:
    if turn is None or turn.conversation != conversation_id:
        return None
    return _in_entry(Entry(turn.position, turn=turn), item_id)


def _in_entry(entry: Entry, item_id: str) -> Found | None:
    for item in items_of(entry):
        if item["id"] == item_id:
            return Found(item, entry.position, entry.turn)
    return None


async def _among_all(engine: Engine, conversation_id: str, item_id: str) -> Found | None:
    position: int | None = None
    while entries := await engine.entries(conversation_id, after=position, limit=PAGE):
        for entry in entries:
            if (found := _in_entry(entry, item_id)) is not None:
                return found
        position = entries[-1].position
    return None


def _behind(found: Found, newest_first: bool) -> list[JsonObject]:
    """The items of the same turn that come behind the found one."""
    if found.turn is None:
        return []
    items = _in_order([Entry(found.position, turn=found.turn)], newest_first)
    ids = [item["id"] for item in items]
    return items[ids.index(found.item["id"]) + 1 :]


def _in_order(entries: Iterable[Entry], newest_first: bool) -> list[JsonObject]:
    ordered: list[JsonObject] = []
    for entry in entries:
        items = items_of(entry)
        ordered += reversed(items) if newest_first else items
    return ordered
