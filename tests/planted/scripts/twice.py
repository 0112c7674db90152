"""A model that calls the first tool offered twice in one answer."""

from __future__ import annotations

from turnlane.practice import Answer, PracticeRequest, ToolCall

TEXT = {"order": "1001", "id": "A-17", "item": "lamp", "sku": "lamp", "seat": "12A", "date": "2026-05-02"}


def answer(request: PracticeRequest) -> Answer:
    """Two calls at once, then what they gave."""
    if request.tool_results or not request.tools:
        return Answer(text="Done: " + ", ".join(result.text for result in request.tool_results), latency=0.1)
    function = request.body["tools"][0]["function"]
    arguments = {name: _value(name, schema) for name, schema in function["parameters"]["properties"].items()}
    return Answer(
        tool_calls=[ToolCall(function["name"], arguments), ToolCall(function["name"], arguments)], latency=0.1
    )


def _value(name: str, schema: dict[str, str]) -> object:
    return 1 if schema.get("type") in {"integer", "number"} else TEXT.get(name, "lamp")
