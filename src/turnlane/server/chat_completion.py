"""A turn as OpenAI's chat completion, whole and in chunks. Pure.

A chat completion has one message, a turn may have many: their texts are joined by a blank line, and a
question to the user comes last, unless a message has already put it. The stream has exactly the same text,
so messages that agents write side by side are shown one after the other.

Types: `ChatCompletion` and `ChatCompletionChunk` of the openai package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from turnlane.runtime.conversation import JsonObject, Turn, TurnEvent, Usage
from turnlane.server.output_items import input_required

BETWEEN: Final = "\n\n"
FINISH_REASON: Final = {None: "stop", "max_output_tokens": "length", "content_filter": "content_filter"}

CUT: Final = "length"
"""Of an interrupted turn: OpenAI has no word for it, and of its words this is the one for "not to its end"."""


def completion(turn: Turn) -> JsonObject:
    """The whole answer. Extra fields: `conversation`, `response_id`, `turn_status`, `input_required`."""
    message = {"role": "assistant", "content": content_of(turn), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(turn)}
    return {
        **_head(turn, "chat.completion"),
        "choices": [choice],
        "usage": chat_usage(turn.usage),
        "turn_status": turn.status,
        "input_required": input_required(turn.output),
    }


def content_of(turn: Turn) -> str:
    """All texts for the user, in the order in which they began."""
    texts: list[str] = []
    for item in turn.output:
        text = _said(item, texts)
        if text:
            texts.append(text)
    return BETWEEN.join(texts)


def chat_usage(usage: Usage) -> JsonObject:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


class RunAgain(Exception):
    """The turn was started again after text was sent, which a chat completion can't take back."""


@dataclass
class _Text:
    """A message on its way into the stream. `whole` is set when it has ended."""

    agent: Any
    pieces: list[str] = field(default_factory=list)
    sent: int = 0
    whole: str | None = None

    @property
    def text(self) -> str:
        return self.whole if self.whole is not None else "".join(self.pieces)


class ChatChunks:
    """Maps one turn's events to chunks. Call `begin`, then `feed` with each event, then `end`."""

    def __init__(self, turn: Turn, *, include_usage: bool) -> None:
        self._turn = turn
        self._include_usage = include_usage
        self._texts: dict[str, _Text] = {}
        self._finished: set[str] = set()
        self._said: list[str] = []
        self._sent_any = False
        self._attempt = 0

    def begin(self) -> list[JsonObject]:
        return [self._chunk({"role": "assistant", "content": "", "refusal": None})]

    def feed(self, event: TurnEvent) -> list[JsonObject]:
        """The chunks of one event.

        Raises:
            RunAgain: the text that was sent is not part of the answer any more.
        """
        if event.attempt != self._attempt:
            self._begin_attempt(event.attempt)
        self._take_in(event.kind, event.data)
        return self._flow()

    def end(self, turn: Turn) -> list[JsonObject]:
        """What is left, the finish reason, and the usage if it was asked for. `turn` has completed."""
        for item in turn.output:
            self._take_in(item["type"], item)
        for text in self._texts.values():
            text.whole = text.text
        last = self._chunk({}, finish=finish_reason(turn))
        last["turn_status"] = turn.status
        last["input_required"] = input_required(turn.output)
        chunks = [*self._flow(), last]
        if self._include_usage:
            chunks.append({**_head(turn, "chat.completion.chunk"), "choices": [], "usage": chat_usage(turn.usage)})
        return chunks

    def _begin_attempt(self, attempt: int) -> None:
        if self._sent_any:
            raise RunAgain
        self._attempt = attempt
        self._texts.clear()
        self._finished.clear()
        self._said.clear()

    def _take_in(self, kind: str, data: Mapping[str, Any]) -> None:
        if kind == "tool.call":
            # What an agent said before it calls a tool has ended, also without a `message`.
            for text in self._texts.values():
                if text.agent == data.get("agent") and text.whole is None:
                    text.whole = text.text
        if kind not in ("text.delta", "message", "input.required") or data["item"] in self._finished:
            return
        text = self._texts.setdefault(data["item"], _Text(data.get("agent")))
        if text.whole is not None:
            return
        if kind == "text.delta":
            text.pieces.append(data["text"])
        else:
            text.whole = _said({**data, "type": kind}, self._said)
            self._said.append(text.whole)

    def _flow(self) -> list[JsonObject]:
        """Send what may be sent: the first message as far as it is known, the next when that has ended."""
        chunks = []
        for item, text in list(self._texts.items()):
            piece = text.text[text.sent :]
            if piece:
                between = BETWEEN if self._sent_any and text.sent == 0 else ""
                chunks.append(self._chunk({"content": between + piece}))
                text.sent += len(piece)
                self._sent_any = True
            if text.whole is None:
                break
            self._finished.add(item)
            del self._texts[item]
        return chunks

    def _chunk(self, delta: JsonObject, *, finish: str | None = None) -> JsonObject:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**_head(self._turn, "chat.completion.chunk"), "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return chunk


def _said(item: Mapping[str, Any], before: Sequence[str]) -> str:
    """What the user reads of an item, when he has read `before`."""
    if item["type"] == "message":
        return item.get("text") or ""
    prompt = (item.get("prompt") or "") if item["type"] == "input.required" else ""
    return "" if prompt in before else prompt


def _head(turn: Turn, kind: str) -> JsonObject:
    return {
        "id": f"chatcmpl-{turn.id.partition('_')[2]}",
        "object": kind,
        "created": int(turn.created_at),
        "model": turn.agent,
        "service_tier": "default",
        "system_fingerprint": None,
        "conversation": turn.conversation,
        "response_id": turn.id,
    }


def finish_reason(turn: Turn) -> str:
    """OpenAI's word for how a turn with an answer ended."""
    if turn.status == "interrupted":
        return CUT
    return FINISH_REASON.get(turn.incomplete, "stop")
