"""OpenAI's Responses API on top of the same scripts: a request becomes a chat request, the answer a response.

Vercel's AI SDK and agent_framework call it unless they are told otherwise. Tools of OpenAI's own, such as web
search, are left out; whatever else is unknown is passed over, as a script could not look at it.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from .chunks import Completion, tokens_of
from .refusal import Refusal

Message = dict[str, Any]

_KEPT: Final = 5_000
_PASSED: Final = ("model", "stream", "temperature", "top_p", "user", "parallel_tool_calls", "metadata", "store")
_ROLES: Final = ("system", "developer", "user", "assistant")


class ResponseLog:
    """The messages that `previous_response_id` and `conversation` stand for; the oldest are forgotten."""

    def __init__(self, keep: int = _KEPT) -> None:
        self._keep = keep
        self._messages: OrderedDict[str, list[Message]] = OrderedDict()

    def messages(self, body: Mapping[str, Any]) -> list[Message]:
        """What was said before this request.

        Raises:
            Refusal: 404 for a response that is not known here.
        """
        before = body.get("previous_response_id")
        if before is not None and before not in self._messages:
            raise Refusal(
                f"Previous response with id '{before}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return list(self._messages.get(before or conversation_of(body) or "", ()))

    def remember(self, names: Sequence[str | None], messages: Sequence[Message]) -> None:
        """Keep the messages, with the answer, under a response's id and its conversation's."""
        for name in filter(None, names):
            self._messages[name] = list(messages)
            self._messages.move_to_end(name)
            if len(self._messages) > self._keep:
                self._messages.popitem(last=False)


def conversation_of(body: Mapping[str, Any]) -> str | None:
    """The id of the conversation that a request belongs to."""
    given = body.get("conversation")
    found = given.get("id") if isinstance(given, Mapping) else given
    return found if isinstance(found, str) else None


def as_chat_body(body: object, log: ResponseLog) -> dict[str, Any]:
    """The chat request that means the same.

    Raises:
        Refusal: 400 for a body that is no request for a response.
    """
    if not isinstance(body, dict):
        raise Refusal("Invalid type for 'body': expected an object.", code="invalid_type")
    if "input" not in body:
        raise Refusal("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    system = [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []
    made: dict[str, Any] = {name: body[name] for name in _PASSED if body.get(name) is not None}
    made["messages"] = [*system, *log.messages(body), *messages_of(body["input"])]
    if tools := _tools(body.get("tools")):
        made["tools"] = tools
        made["tool_choice"] = _tool_choice(body.get("tool_choice"))
    if (shape := _response_format(body.get("text"))) is not None:
        made["response_format"] = shape
    if body.get("max_output_tokens") is not None:
        made["max_completion_tokens"] = body["max_output_tokens"]
    return made


def messages_of(given: object) -> list[Message]:
    """The messages that an input means. Calls that follow each other, and a text before them, are one message.

    Raises:
        Refusal: 400 for an input of another type.
    """
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise Refusal(
            "Invalid type for 'input': expected a string or an array.", param="input", code="invalid_type"
        )
    messages: list[Message] = []
    for item in given:
        if isinstance(item, Mapping):
            _add(messages, item)
    return messages


def _add(messages: list[Message], item: Mapping[str, Any]) -> None:
    kind = item.get("type", "message")
    if kind == "function_call":
        if not messages or messages[-1]["role"] != "assistant":
            messages.append({"role": "assistant", "content": None})
        function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        messages[-1].setdefault("tool_calls", []).append(call)
    elif kind == "function_call_output":
        text = _text(item.get("output"))
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": text})
    elif kind == "message" and item.get("role") in _ROLES:
        messages.append({"role": item["role"], "content": _text(item.get("content"))})


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return "" if content is None else json.dumps(content)


def _tools(given: object) -> list[dict[str, Any]]:
    kept = [tool for tool in given if isinstance(tool, Mapping)] if isinstance(given, list) else []
    names = ("name", "description", "parameters", "strict")
    return [
        {"type": "function", "function": {name: tool[name] for name in names if tool.get(name) is not None}}
        for tool in kept
        if tool.get("type") == "function"
    ]


def _tool_choice(given: object) -> object:
    if isinstance(given, Mapping) and given.get("type") == "function":
        return {"type": "function", "function": {"name": given.get("name")}}
    return given if given in ("none", "required") else "auto"


def _response_format(text: object) -> dict[str, Any] | None:
    shape = text.get("format") if isinstance(text, Mapping) else None
    if not isinstance(shape, Mapping) or shape.get("type") not in ("json_schema", "json_object"):
        return None
    if shape["type"] == "json_object":
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "json_schema": {"name": shape.get("name") or "answer", "schema": shape.get("schema")},
    }


@dataclass(frozen=True, slots=True)
class ResponseCompletion(Completion):
    """An answer as the Responses API carries it."""

    @classmethod
    def of(cls, completion: Completion) -> ResponseCompletion:
        """The same answer."""
        return cls(**{entry.name: getattr(completion, entry.name) for entry in fields(Completion)})

    @property
    def response_id(self) -> str:
        """The id that a later request names as `previous_response_id`."""
        return "resp_" + self.id.removeprefix("chatcmpl-")

    def message(self) -> Message:
        """The answer as a chat message, for the log."""
        made: Message = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            made["tool_calls"] = [
                {"id": call_id, "type": "function", "function": {"name": tool, "arguments": arguments}}
                for call_id, tool, arguments in self.tool_calls
            ]
        return made

    def as_json(self) -> bytes:
        return json.dumps(self.response(self.items())).encode()

    def with_choices(self, choices: list[dict[str, Any]]) -> bytes:
        items = [self._message_item(choice["message"]["content"] or "", 0) for choice in choices]
        return json.dumps(self.response(items)).encode()

    def events(self, *, include_usage: bool) -> ResponseStream:
        return ResponseStream(self)

    def items(self) -> list[dict[str, Any]]:
        """The output items: the text, then the calls."""
        texts = [self._message_item(self.text, 0)] if self.text is not None else []
        return [*texts, *(self._call_item(*call, place) for place, call in enumerate(self.tool_calls))]

    def response(self, items: Sequence[Mapping[str, Any]], status: str | None = None) -> dict[str, Any]:
        """The response object with these items."""
        ending = "incomplete" if self.finish_reason in ("length", "content_filter") else "completed"
        reason = {"length": "max_output_tokens"}.get(self.finish_reason, self.finish_reason)
        done = status is None
        return {
            "id": self.response_id,
            "object": "response",
            "created_at": self.created,
            "status": status or ending,
            "error": None,
            "incomplete_details": {"reason": reason} if done and ending == "incomplete" else None,
            "instructions": None,
            "metadata": {},
            "model": self.model,
            "output": list(items),
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": self._usage() if done else None,
        }

    def _usage(self) -> dict[str, Any]:
        usage = self.usage
        return {
            "input_tokens": usage.prompt,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": usage.completion,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.prompt + usage.completion,
        }

    def _message_item(self, text: str, place: int) -> dict[str, Any]:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        return {
            "id": f"msg_{self.id.removeprefix('chatcmpl-')}{place}",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [part],
        }

    def _call_item(self, call_id: str, tool: str, arguments: str, place: int) -> dict[str, Any]:
        return {
            "id": f"fc_{self.id.removeprefix('chatcmpl-')}{place}",
            "type": "function_call",
            "status": "completed",
            "call_id": call_id,
            "name": tool,
            "arguments": arguments,
        }


class ResponseStream:
    """The server-sent events of one response: `opening`, then `pieces`, then `closing`."""

    def __init__(self, completion: ResponseCompletion) -> None:
        self._completion = completion
        self._number = -1

    def opening(self) -> bytes:
        """The response as it begins."""
        begun = self._completion.response([], "in_progress")
        return self._event("response.created", response=begun) + self._event(
            "response.in_progress", response=begun
        )

    def pieces(self) -> Iterator[bytes]:
        """One event or more per token; each item is begun with its first and ended with its last."""
        for place, item in enumerate(self._completion.items()):
            pieces = self._text(item, place) if item["type"] == "message" else self._call(item, place)
            begun = self._added(item, place)
            for piece in pieces:
                yield begun + piece
                begun = b""
            yield self._event("response.output_item.done", output_index=place, item=item)

    def closing(self) -> bytes:
        """The whole response."""
        whole = self._completion.response(self._completion.items())
        return self._event(f"response.{whole['status']}", response=whole)

    def garbage(self) -> bytes:
        """An event whose data is no JSON."""
        return b'event: response.output_text.delta\ndata: {"type": "response.output_text.delta", "delta": \n\n'

    def empty(self, *, choices: bool) -> bytes:
        """All events of a response with nothing in it: no items, or a message without text."""
        items = [] if choices else [self._completion._message_item("", 0)]
        whole = self._completion.response(items)
        return self.opening() + self._event("response.completed", response=whole)

    def _text(self, item: Mapping[str, Any], place: int) -> Iterator[bytes]:
        text = item["content"][0]["text"]
        where = {"item_id": item["id"], "output_index": place, "content_index": 0}
        for token in tokens_of(text):
            yield self._event("response.output_text.delta", **where, delta=token, logprobs=[])
        done = self._event("response.output_text.done", **where, text=text, logprobs=[])
        yield done + self._event("response.content_part.done", **where, part=item["content"][0])

    def _call(self, item: Mapping[str, Any], place: int) -> Iterator[bytes]:
        where = {"item_id": item["id"], "output_index": place}
        for token in tokens_of(item["arguments"]):
            yield self._event("response.function_call_arguments.delta", **where, delta=token)
        yield self._event(
            "response.function_call_arguments.done", **where, name=item["name"], arguments=item["arguments"]
        )

    def _added(self, item: Mapping[str, Any], place: int) -> bytes:
        is_text = item["type"] == "message"
        begun = {**item, "status": "in_progress", **({"content": []} if is_text else {"arguments": ""})}
        added = self._event("response.output_item.added", output_index=place, item=begun)
        if not is_text:
            return added
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        where = {"item_id": item["id"], "output_index": place, "content_index": 0}
        return added + self._event("response.content_part.added", **where, part=part)

    def _event(self, kind: str, **data: object) -> bytes:
        self._number += 1
        shown = {"type": kind, "sequence_number": self._number, **data}
        return f"event: {kind}\ndata: {json.dumps(shown)}\n\n".encode()
