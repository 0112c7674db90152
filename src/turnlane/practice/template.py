"""Texts with names in braces: `{order_id}` from a pattern's group, `{tool_result.status}` from the request."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from .prompt import PracticeRequest, ToolResult
from .structured import structured
from .team import handoff, participant

BUILT_IN = ("user_message", "first_message", "model", "call", "tool_name", "tool_result", "tool_results")
"""Names every template knows; `tool_result` also with a path, as in `{tool_result.error.message}`."""

FITTING: Final[Mapping[str, Callable[[PracticeRequest], str | None]]] = {
    "participant": participant,
    "handoff": handoff,
    "json": structured,
}
"""Names that only some requests fill; a rule that uses one applies to those only."""

# Braces around anything else are left alone, so that JSON can be said without escaping. {{name}} is a literal
# {name}.
_NAME = re.compile(r"\{(\{)?([A-Za-z_]\w*(?:\.\w+)*)\}(?(1)\})")


def names_in(value: object) -> set[str]:
    """The names that a text, or any text inside a list or mapping, refers to; without their paths."""
    if isinstance(value, str):
        return {m[2].partition(".")[0] for m in _NAME.finditer(value) if not m[1]}
    if isinstance(value, Mapping):
        return {name for item in value.values() for name in names_in(item)}
    if isinstance(value, list | tuple):
        return {name for item in value for name in names_in(item)}
    return set()


class Filling:
    """The values for one answer: the groups that the rule's patterns caught, and what the request holds."""

    def __init__(self, request: PracticeRequest, groups: Mapping[str, str], result: ToolResult | None) -> None:
        self._request = request
        self._groups = groups
        self._result = result

    def fill(self, value: Any) -> Any:
        """`value` with all names in it replaced, inside lists and mappings too."""
        if isinstance(value, str):
            return _NAME.sub(self._replace, value) if "{" in value else value
        if isinstance(value, Mapping):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill(item) for item in value]
        return value

    def _replace(self, match: re.Match[str]) -> str:
        if match[1]:
            return f"{{{match[2]}}}"
        name, _, path = match[2].partition(".")
        found = self._look_up(name, path)
        return match[0] if found is None else found

    def _look_up(self, name: str, path: str) -> str | None:
        if name in self._groups:
            return self._groups[name]
        if name == "tool_result" and path:
            return _at(self._result.text if self._result else "", path)
        if name == "tool_result":
            return self._result.text if self._result else ""
        if name == "tool_name":
            return self._result.name if self._result else ""
        if name == "tool_results":
            return "\n".join(r.text for r in self._request.tool_results)
        if name in FITTING:
            return FITTING[name](self._request)
        return str(getattr(self._request, name)) if name in BUILT_IN else None


def _at(text: str, path: str) -> str:
    """The value at a dotted path in a tool's result; empty if it is not there."""
    value = _parsed(text)
    for key in path.split("."):
        if isinstance(value, dict):
            value = value.get(key, "")
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    # AutoGen turns a tool's dict into text with str(), which is Python's notation and not JSON.
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
