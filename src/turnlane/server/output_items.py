"""Output items: from the neutral shape to the item types of OpenAI's Responses API.

The one place that knows these shapes: streams, `retrieve` and conversation items all come through here, so
they can't disagree. Types: `ResponseOutputItem` of the openai package (3.52).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from turnlane.runtime.conversation import JsonObject

ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]

ASK_USER: Final = "request_user_input"
"""The name of the function call that stands for a question to a human."""


def to_wire(neutral: Mapping[str, Any]) -> JsonObject:
    """The item of a neutral output item (`OUTPUT_ITEMS` in runtime/conversation.py)."""
    return _MAKERS[neutral["type"]](neutral)


def message(data: Mapping[str, Any], status: ItemStatus | None = None) -> JsonObject:
    """An agent's message. Extra fields: `agent`, and `structured` when the answer is an object."""
    item: JsonObject = {
        "id": message_id(data),
        "type": "message",
        "role": "assistant",
        "status": status or ("incomplete" if data.get("incomplete") else "completed"),
        "content": [] if status == "in_progress" else [text_part(data.get("text") or "")],
        "phase": data.get("phase"),
        "agent": data.get("agent"),
    }
    if data.get("structured") is not None:
        item["structured"] = data["structured"]
    return item


def reasoning(data: Mapping[str, Any], status: ItemStatus = "completed") -> JsonObject:
    """A model's reasoning, as summary text."""
    return {
        "id": reasoning_id(data),
        "type": "reasoning",
        "summary": [] if status == "in_progress" else [summary_part(data.get("text") or "")],
        "status": status,
        "agent": data.get("agent"),
    }


def tool(data: Mapping[str, Any], status: Literal["in_progress"] | None = None) -> JsonObject:
    """A tool call that the server executed: `mcp_call` is OpenAI's item for that. `server_label` is the agent."""
    error = tool_error(data.get("error"))
    return {
        "id": tool_id(data),
        "type": "mcp_call",
        "name": data.get("name") or "",
        "arguments": data.get("arguments") or "",
        "server_label": data.get("agent") or "",
        "output": data.get("output") if error is None else None,
        "error": error,
        "status": status or _tool_status(data),
        "approval_request_id": None,
        "call_id": data.get("call"),
        "agent": data.get("agent"),
    }


def question(data: Mapping[str, Any], status: ItemStatus = "completed") -> JsonObject:
    """A question to a human, as a function call that the client answers."""
    return {
        "id": question_id(data),
        "type": "function_call",
        "name": ASK_USER,
        "call_id": data["call"],
        "arguments": "" if status == "in_progress" else question_arguments(data),
        "status": status,
        "agent": data.get("agent"),
    }


def question_arguments(data: Mapping[str, Any]) -> str:
    return json.dumps({name: data.get(name) for name in ("prompt", "agent", "reason")}, ensure_ascii=False)


def input_required(output: Iterable[Mapping[str, Any]]) -> JsonObject | None:
    """The question that ended a turn, from its output in the neutral shape."""
    for item in output:
        if item["type"] == "input.required":
            asked: JsonObject = {name: item.get(name) for name in ("prompt", "agent", "reason")}
            return {"call_id": item["call"], **asked}
    return None


def text_part(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def summary_part(text: str) -> JsonObject:
    return {"type": "summary_text", "text": text}


def message_id(data: Mapping[str, Any]) -> str:
    return f"msg_{data['item']}"


def reasoning_id(data: Mapping[str, Any]) -> str:
    return f"rs_{data['item']}"


def tool_id(data: Mapping[str, Any]) -> str:
    return f"mcp_{data['item']}"


def question_id(data: Mapping[str, Any]) -> str:
    return f"fc_{data['item']}"


def tool_error(error: Any) -> JsonObject | None:
    """The error of an `mcp_call`: its `content` is free text for the SDK; type and hazard stand beside it."""
    if error is None:
        return None
    said = error if isinstance(error, Mapping) else {"message": str(error)}
    return {
        "type": "mcp_tool_execution_error",
        "content": [{"type": "text", "text": str(said.get("message", ""))}],
        "error_type": said.get("type"),
        "hazard": said.get("hazard"),
    }


def _tool_status(data: Mapping[str, Any]) -> str:
    if data.get("error") is not None:
        return "failed"
    return "incomplete" if data.get("output") is None else "completed"


_MAKERS: Final[Mapping[str, Callable[[Mapping[str, Any]], JsonObject]]] = {
    "message": message,
    "reasoning": reasoning,
    "tool": tool,
    "input.required": question,
}
