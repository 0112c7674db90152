"""A model that calls a tool before it answers: the one that the user names, or else the first one offered."""

from __future__ import annotations

from typing import Any

from turnlane.practice import Answer, PracticeRequest, ToolCall

TEXT = {"order": "1001", "id": "A-17", "item": "lamp", "city": "Lisbon", "month": "May", "path": "report.txt"}


def answer(request: PracticeRequest) -> Answer:
    """One call, then what it gave."""
    offered = [tool["function"] for tool in request.body.get("tools", ())]
    if request.tool_results or not offered:
        said = f" The tool says: {request.tool_results[-1].text}" if request.tool_results else ""
        return Answer(text=f"About your question, {request.user_message[:80]}:{said}", latency=0.15)
    named = [tool for tool in offered if tool["name"] in request.user_message]
    tool = (named or offered)[0]
    return Answer(tool_calls=[ToolCall(tool["name"], arguments(tool, request.user_message))], latency=0.15)


def arguments(tool: dict[str, Any], said: str) -> dict[str, Any]:
    """A value for each parameter, by its name and type."""
    parameters = tool.get("parameters", {}).get("properties", {})
    return {name: value_of(name, schema, said) for name, schema in parameters.items()}


def value_of(name: str, schema: dict[str, Any], said: str) -> object:
    """What a model would fill in."""
    kind = schema.get("type")
    if kind in {"integer", "number"}:
        return 1
    if kind == "boolean":
        return True
    if kind == "array":
        return []
    return next((text for part, text in TEXT.items() if part in name), said)
