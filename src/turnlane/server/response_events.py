"""Neutral events of a turn as the events of OpenAI's response stream. Pure and deterministic.

The same events give the same stream with the same `sequence_number`s, whoever reads and whenever. So
`starting_after=N` needs no state: the attempt is mapped again from its first event, and what the client has
seen is left out. Attempt n counts from (n - 1) * 1,000,000, like the neutral events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from turnlane.runtime.conversation import EVENTS_PER_ATTEMPT, JsonObject, Status, Turn, TurnEvent
from turnlane.server import output_items
from turnlane.server.response_object import response_at_start, response_object

Data: TypeAlias = Mapping[str, Any]

FINAL_EVENT: Final[Mapping[Status, str]] = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "failed": "response.failed",
    # OpenAI's stream has no event for it; the response inside says `status: cancelled`.
    "cancelled": "response.failed",
    "interrupted": "response.incomplete",
    "needs_attention": "response.failed",
}

NOTE_KINDS: Final = ("handoff", "note", "model.call")


SHOWN_AS: Final[Mapping[str, tuple[str, ...]]] = {
    "started": ("response.in_progress",),
    "text.delta": (
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
    ),
    "message": (
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
    ),
    "reasoning.delta": (
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
    ),
    "reasoning": (
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
    ),
    "tool.call": (
        "response.output_item.added",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.done",
    ),
    "tool.result": ("response.mcp_call.completed", "response.output_item.done"),
    "handoff": ("turnlane.note",),
    "input.required": (
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
    ),
    "note": ("turnlane.note",),
    "model.call": ("turnlane.note",),
    "finished": (),
}
"""For the reference page: the stream events of each neutral event, when it is the first of its item or
follows its deltas. A test compares this with what `ResponseEvents` does."""


@dataclass
class _Shown:
    """An output item that the stream has begun to show."""

    kind: Literal["message", "reasoning", "tool"]
    index: int
    data: JsonObject
    pieces: list[str] = field(default_factory=list)
    done: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class ResponseEvents:
    """Maps one turn's events. Call `begin`, then `feed` with each event, then `end` with the ended turn."""

    def __init__(self, turn: Turn, *, operator: bool = False) -> None:
        self._turn = turn
        self._operator = operator
        self._notes = bool(turn.options.get("notes"))
        self._attempt = 0
        self._number = 0
        self._in_progress = False
        self._items: dict[str, _Shown] = {}
        self._out: list[JsonObject] = []

    def begin(self) -> list[JsonObject]:
        """The first event, so that a client has the id before the turn starts.

        Nothing for a turn that is run again: its next attempt begins with its own events.
        """
        if self._attempt == 0 and self._turn.attempt <= 1:
            self._begin_attempt(1)
        return self._take()

    def feed(self, event: TurnEvent) -> list[JsonObject]:
        """The stream events of one neutral event; most give one, some none."""
        if event.attempt != self._attempt:
            self._begin_attempt(event.attempt)
        self._show(event.kind, event.data)
        return self._take()

    def end(self, turn: Turn) -> list[JsonObject]:
        """Close what is open and say how the turn ended. `turn` has ended."""
        if self._attempt == 0:
            self._begin_attempt(max(1, turn.attempt))
        for shown in self._items.values():
            self._close_unfinished(shown)
        for item in turn.output:
            if item["item"] not in self._items:
                self._show_whole(item)
        self._emit(FINAL_EVENT[turn.status], response=response_object(turn, operator=self._operator))
        return self._take()

    # --- the frame ---

    def _begin_attempt(self, attempt: int) -> None:
        self._attempt = attempt
        self._number = (attempt - 1) * EVENTS_PER_ATTEMPT
        self._items = {}
        self._in_progress = False
        response = response_at_start(
            self._turn, attempt, "queued" if self._turn.options.get("background") else "running"
        )
        self._emit("response.created", response=response)

    def _started(self, _data: Data) -> None:
        if not self._in_progress:
            self._in_progress = True
            response = response_at_start(self._turn, self._attempt, "running")
            self._emit("response.in_progress", response=response)

    def _emit(self, type: str, **fields: Any) -> None:
        self._out.append({"type": type, "sequence_number": self._number, **fields})
        self._number += 1

    def _take(self) -> list[JsonObject]:
        out, self._out = self._out, []
        return out

    def _show(self, kind: str, data: Data) -> None:
        show = _SHOW.get(kind)
        if show is not None:
            self._started(data)
            show(self, data)
        elif kind in NOTE_KINDS and self._notes:
            self._emit("turnlane.note", kind=kind, note=dict(data))

    def _show_whole(self, item: Data) -> None:
        if item["type"] == "tool":
            self._show("tool.call", item)
            self._show("tool.result", item)
        else:
            self._show(item["type"], item)

    # --- items ---

    def _add(self, kind: Literal["message", "reasoning", "tool"], data: Data, item: JsonObject) -> _Shown:
        shown = _Shown(kind, len(self._items), dict(data))
        self._items[data["item"]] = shown
        self._emit("response.output_item.added", output_index=shown.index, item=item)
        return shown

    def _done(self, shown: _Shown, item: JsonObject) -> None:
        shown.done = True
        self._emit("response.output_item.done", output_index=shown.index, item=item)

    def _close_unfinished(self, shown: _Shown) -> None:
        if shown.done:
            return
        if shown.kind == "message":
            self._finish_message(shown, {**shown.data, "text": shown.text}, "incomplete")
        elif shown.kind == "reasoning":
            self._finish_reasoning(shown, {**shown.data, "text": shown.text}, "incomplete")
        else:
            self._done(shown, output_items.tool(shown.data))

    def _close_texts_of(self, agent: Any) -> None:
        """Before a tool call: the model has said what it wanted to say in this message."""
        for shown in self._items.values():
            if shown.kind == "tool" or shown.done or shown.data.get("agent") != agent:
                continue
            data = {**shown.data, "text": shown.text}
            if shown.kind == "message":
                self._finish_message(shown, data, "completed")
            else:
                self._finish_reasoning(shown, data, "completed")

    # --- messages ---

    def _text_delta(self, data: Data) -> None:
        shown = self._items.get(data["item"]) or self._open_message({**data, "text": ""})
        if not shown.done:
            self._text_piece(shown, data["text"])

    def _message(self, data: Data) -> None:
        shown = self._items.get(data["item"]) or self._open_message(data)
        if shown.done:
            return
        rest = _rest(data.get("text") or "", shown.text)
        if rest:
            self._text_piece(shown, rest)
        self._finish_message(shown, data, None)

    def _open_message(self, data: Data) -> _Shown:
        shown = self._add("message", data, output_items.message(data, "in_progress"))
        self._emit("response.content_part.added", **_content(shown), part=output_items.text_part(""))
        return shown

    def _text_piece(self, shown: _Shown, text: str) -> None:
        shown.pieces.append(text)
        self._emit("response.output_text.delta", **_content(shown), delta=text, logprobs=[])

    def _finish_message(
        self, shown: _Shown, data: Data, status: Literal["completed", "incomplete"] | None
    ) -> None:
        text = data.get("text") or ""
        self._emit("response.output_text.done", **_content(shown), text=text, logprobs=[])
        self._emit("response.content_part.done", **_content(shown), part=output_items.text_part(text))
        self._done(shown, output_items.message(data, status))

    # --- reasoning ---

    def _reasoning_delta(self, data: Data) -> None:
        shown = self._items.get(data["item"]) or self._open_reasoning({**data, "text": ""})
        if not shown.done:
            self._reasoning_piece(shown, data["text"])

    def _reasoning(self, data: Data) -> None:
        shown = self._items.get(data["item"]) or self._open_reasoning(data)
        if shown.done:
            return
        rest = _rest(data.get("text") or "", shown.text)
        if rest:
            self._reasoning_piece(shown, rest)
        self._finish_reasoning(shown, data, "completed")

    def _open_reasoning(self, data: Data) -> _Shown:
        shown = self._add("reasoning", data, output_items.reasoning(data, "in_progress"))
        part = output_items.summary_part("")
        self._emit("response.reasoning_summary_part.added", **_summary(shown), part=part)
        return shown

    def _reasoning_piece(self, shown: _Shown, text: str) -> None:
        shown.pieces.append(text)
        self._emit("response.reasoning_summary_text.delta", **_summary(shown), delta=text)

    def _finish_reasoning(self, shown: _Shown, data: Data, status: Literal["completed", "incomplete"]) -> None:
        text = data.get("text") or ""
        self._emit("response.reasoning_summary_text.done", **_summary(shown), text=text)
        part = output_items.summary_part(text)
        self._emit("response.reasoning_summary_part.done", **_summary(shown), part=part)
        self._done(shown, output_items.reasoning(data, status))

    # --- tools and questions ---

    def _tool_call(self, data: Data) -> None:
        if data["item"] in self._items:
            return
        self._close_texts_of(data.get("agent"))
        asked = {**data, "output": None, "error": None}
        shown = self._add("tool", asked, output_items.tool({**asked, "arguments": ""}, "in_progress"))
        place = {"item_id": output_items.tool_id(data), "output_index": shown.index}
        self._emit("response.mcp_call.in_progress", **place)
        self._emit("response.mcp_call_arguments.done", **place, arguments=data.get("arguments") or "")

    def _tool_result(self, data: Data) -> None:
        if data["item"] not in self._items:
            self._tool_call(data)
        shown = self._items[data["item"]]
        if shown.done:
            return
        whole = {**shown.data, "output": data.get("output"), "error": data.get("error")}
        item = output_items.tool(whole)
        outcome = "failed" if item["error"] is not None else "completed"
        self._emit(f"response.mcp_call.{outcome}", item_id=item["id"], output_index=shown.index)
        self._done(shown, item)

    def _question(self, data: Data) -> None:
        if data["item"] in self._items:
            return
        shown = self._add("tool", data, output_items.question(data, "in_progress"))
        place = {"item_id": output_items.question_id(data), "output_index": shown.index}
        arguments = output_items.question_arguments(data)
        self._emit("response.function_call_arguments.delta", **place, delta=arguments)
        self._emit(
            "response.function_call_arguments.done", **place, arguments=arguments, name=output_items.ASK_USER
        )
        self._done(shown, output_items.question(data))


_SHOW: Final[Mapping[str, Callable[[ResponseEvents, Data], None]]] = {
    "started": ResponseEvents._started,
    "text.delta": ResponseEvents._text_delta,
    "message": ResponseEvents._message,
    "reasoning.delta": ResponseEvents._reasoning_delta,
    "reasoning": ResponseEvents._reasoning,
    "tool.call": ResponseEvents._tool_call,
    "tool.result": ResponseEvents._tool_result,
    "input.required": ResponseEvents._question,
}


def _content(shown: _Shown) -> JsonObject:
    return {"item_id": output_items.message_id(shown.data), "output_index": shown.index, "content_index": 0}


def _summary(shown: _Shown) -> JsonObject:
    return {"item_id": output_items.reasoning_id(shown.data), "output_index": shown.index, "summary_index": 0}


def _rest(whole: str, shown: str) -> str:
    """What of a text has not been shown yet; nothing when the shown pieces are not its beginning."""
    return whole[len(shown) :] if whole.startswith(shown) else ""
