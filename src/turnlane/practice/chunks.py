"""An answer as the wire carries it: one JSON object, or a stream of server-sent events."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from .answer import Answer
from .prompt import PracticeRequest, prompt_text

_TOKEN = re.compile(r"\s*\S{1,6}|\s+")
DONE = b"data: [DONE]\n\n"


class Events(Protocol):
    """The server-sent events of one answer, in the shape of the API that was called."""

    def opening(self) -> bytes:
        """What comes before the first piece."""

    def pieces(self) -> Iterator[bytes]:
        """One event or more per token."""

    def closing(self) -> bytes:
        """What comes after the last piece."""

    def garbage(self) -> bytes:
        """An event whose data is no JSON."""

    def empty(self, *, choices: bool) -> bytes:
        """All events of an answer with nothing in it: no choices, or one without content."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts: an estimate that depends on the texts alone."""

    prompt: int
    completion: int
    reasoning: int

    def as_json(self) -> dict[str, Any]:
        """OpenAI's usage object."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning, "audio_tokens": 0},
        }


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer with all that the wire needs: ids, the time, the finish reason, usage."""

    id: str
    created: int
    model: str
    text: str | None
    tool_calls: tuple[tuple[str, str, str], ...]
    """Id, tool and arguments of each call."""
    reasoning: str | None
    finish_reason: str
    usage: Usage

    def as_json(self) -> bytes:
        """The `chat.completion` object."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": None}
        if self.reasoning is not None:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = [_call_json(*call) for call in self.tool_calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
        return self.with_choices([choice])

    def events(self, *, include_usage: bool) -> Events:
        """The same as a stream."""
        return Stream(self, include_usage=include_usage)

    def with_choices(self, choices: list[dict[str, Any]]) -> bytes:
        """The same object with other choices, such as none at all."""
        return json.dumps(
            {
                "id": self.id,
                "object": "chat.completion",
                "created": self.created,
                "model": self.model,
                "choices": choices,
                "usage": self.usage.as_json(),
                "service_tier": "default",
                "system_fingerprint": "fp_practice",
            }
        ).encode()


def tokens_of(text: str) -> list[str]:
    """The pieces in which a text is streamed and counted."""
    return _TOKEN.findall(text)


def compose(request: PracticeRequest, answer: Answer, identity: str) -> Completion:
    """Make `answer` complete; `identity` is a text of which its ids are made."""
    tokens = tokens_of(answer.text or "")
    bound: int = request.body.get("max_completion_tokens") or request.body.get("max_tokens") or len(tokens)
    cut = len(tokens) > bound
    whole = answer.text if answer.text is not None or answer.tool_calls else ""
    text = "".join(tokens[:bound]) if cut else whole
    calls = tuple(
        (f"call_{identity}{place}", call.tool, call.arguments()) for place, call in enumerate(answer.tool_calls)
    )
    reasoning = _count(answer.reasoning or "")
    usage = Usage(
        prompt=_count(prompt_text(request.body)) + 4 * len(request.messages),
        completion=max(
            1, min(len(tokens), bound) + reasoning + sum(_count(name + arguments) for _, name, arguments in calls)
        ),
        reasoning=reasoning,
    )
    ending = "length" if cut else "tool_calls" if calls else "stop"
    return Completion(
        id=f"chatcmpl-{identity}",
        created=int(time.time()),
        model=request.model,
        text=text,
        tool_calls=calls,
        reasoning=answer.reasoning,
        finish_reason=answer.finish_reason or ending,
        usage=usage,
    )


def identity_of(raw: bytes, number: int) -> str:
    """A text that differs for every request and is the same in every run of the same requests."""
    return hashlib.blake2b(raw, digest_size=12, salt=number.to_bytes(16, "big")).hexdigest()


class Stream:
    """The server-sent events of one completion: `opening`, then `pieces`, then `closing`."""

    def __init__(self, completion: Completion, *, include_usage: bool) -> None:
        self._completion = completion
        self._include_usage = include_usage
        head: dict[str, Any] = {
            "id": completion.id,
            "object": "chat.completion.chunk",
            "created": completion.created,
            "model": completion.model,
            "service_tier": "default",
            "system_fingerprint": "fp_practice",
        }
        if include_usage:
            head["usage"] = None  # null in all chunks but the last, as OpenAI does
        # Every chunk starts alike; made once, since a stream may have thousands of them.
        self._head = "data: " + json.dumps(head)[:-1] + ', "choices": '

    def opening(self) -> bytes:
        """The chunk with the role."""
        delta: dict[str, Any] = {"role": "assistant", "content": None if self._completion.tool_calls else ""}
        if not self._completion.tool_calls:
            delta["refusal"] = None
        return self.chunk(delta)

    def pieces(self) -> Iterator[bytes]:
        """One event per token: reasoning, text, then tool calls piece by piece."""
        for token in tokens_of(self._completion.reasoning or ""):
            yield self.chunk({"reasoning_content": token})
        for token in tokens_of(self._completion.text or ""):
            yield self.chunk({"content": token})
        for place, (call_id, tool, arguments) in enumerate(self._completion.tool_calls):
            function = {"name": tool, "arguments": ""}
            yield self._call({"index": place, "id": call_id, "type": "function", "function": function})
            for token in tokens_of(arguments):
                yield self._call({"index": place, "function": {"arguments": token}})

    def closing(self) -> bytes:
        """The finish reason, usage if it was asked for, and the end mark."""
        ending = self.chunk({}, self._completion.finish_reason)
        return ending + (self.usage() if self._include_usage else b"") + DONE

    def usage(self) -> bytes:
        """The chunk with usage and no choices."""
        usage = json.dumps(self._completion.usage.as_json())
        return (self._head.replace('"usage": null', f'"usage": {usage}') + "[]}\n\n").encode()

    def empty(self, *, choices: bool) -> bytes:
        """All events of an answer with nothing in it: no choices, or one without content."""
        if choices:
            return self.usage() + DONE
        return self.chunk({"role": "assistant", "content": ""}) + self.chunk({}, "stop") + DONE

    def garbage(self) -> bytes:
        """A line that is no JSON: a chunk that breaks off in the middle."""
        return self._head.encode()[:-7] + b"\n\n"

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        """One event with one choice."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return f"{self._head}[{json.dumps(choice)}]}}\n\n".encode()

    def _call(self, call: dict[str, Any]) -> bytes:
        return self.chunk({"tool_calls": [call]})


def _call_json(call_id: str, tool: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": tool, "arguments": arguments}}


def _count(text: str) -> int:
    """About four characters a token, as a rule of thumb for English."""
    return math.ceil(len(text) / 4)
