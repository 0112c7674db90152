"""What a run has said and done until now, read off its events: what remains of one that does not end by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from turnlane.runtime.conversation import JsonObject

_DELTAS: Final = {"text.delta": "message", "reasoning.delta": "reasoning"}
_WHOLE: Final = {"message": "message", "reasoning": "reasoning", "input.required": "input.required"}


@dataclass(slots=True)
class _Item:
    """An output item; `pieces` is what a model has written of it while it is not whole."""

    data: JsonObject
    pieces: list[str] = field(default_factory=list)


class OutputSoFar:
    """Folds events into output items (see `OUTPUT_ITEMS`), in the order in which they first appeared."""

    def __init__(self) -> None:
        self._items: dict[str, _Item] = {}

    def add(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take an event; kinds that belong to no item are passed over."""
        if kind in _DELTAS:
            self._add_piece(_DELTAS[kind], data)
        elif kind in _WHOLE:
            self._items[data["item"]] = _Item({"type": _WHOLE[kind], **data})
        elif kind == "tool.call":
            self._items[data["item"]] = _Item({"type": "tool", **data, "output": None, "error": None})
        elif kind == "tool.result" and (called := self._items.get(data["item"])) is not None:
            called.data |= {"output": data["output"], "error": data["error"]}

    def items(self) -> list[JsonObject]:
        """Of a message that is not whole the text until now; of a tool that did not come back no output."""
        return [_whole(item) for item in self._items.values()]

    def _add_piece(self, kind: str, data: Mapping[str, Any]) -> None:
        item = self._items.get(data["item"])
        if item is None:
            item = _Item({"type": kind, "item": data["item"], "agent": data["agent"]})
            self._items[data["item"]] = item
        item.pieces.append(data["text"])


def _whole(item: _Item) -> JsonObject:
    if not item.pieces:
        return _with_phase(item.data)
    text = "".join(item.pieces)
    if item.data["type"] == "reasoning":
        return {**item.data, "text": text}
    return {**item.data, "text": text, "phase": "commentary", "incomplete": "interrupted", "structured": None}


def _with_phase(data: JsonObject) -> JsonObject:
    # Of a team only the end shows which message is the answer; here there is none.
    return {**data, "phase": data["phase"] or "commentary"} if data["type"] == "message" else {**data}
