"""What a script answers: text, tool calls, pace, and what goes wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .faults import Fault, FaultKind, as_fault
from .mistake import ScriptError

Latency = float | Sequence[float]
"""Seconds before the first byte: fixed, or a range (a pair) that is drawn from with the script's seed."""

FINISH_REASONS = ("stop", "length", "content_filter", "tool_calls")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call to make.

    `args` is a mapping, or a string sent as it is (to try arguments that are no JSON). In a rule, strings inside
    are templates.
    """

    tool: str
    args: Mapping[str, Any] | str = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.tool, str) or not self.tool:
            raise ScriptError(f"'tool' must be a tool's name, not {self.tool!r}")
        if not isinstance(self.args, str | Mapping):
            raise ScriptError(f"'args' must be a mapping or text, not {self.args!r}")

    def arguments(self) -> str:
        """The arguments as the wire carries them: JSON text."""
        return self.args if isinstance(self.args, str) else json.dumps(self.args, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the model.

    Attributes:
        text: what is said; None for nothing, as beside tool calls.
        tool_calls: calls made at once, in one message.
        reasoning: sent as `reasoning_content` before the text.
        latency: seconds before the first byte, or a range; None takes the script's.
        tokens_per_second: pace of a streamed answer; None takes the script's, 0 sends all at once.
        finish_reason: None for `stop`, `tool_calls` with tool calls, `length` when `max_tokens` cuts the text.
        fault: what goes wrong with this answer, or instead of it.
    """

    text: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    reasoning: str | None = None
    latency: Latency | None = None
    tokens_per_second: float | None = None
    finish_reason: str | None = None
    fault: Fault | FaultKind | None = None

    def __post_init__(self) -> None:
        for name in ("text", "reasoning"):
            if not isinstance(getattr(self, name), str | None):
                raise ScriptError(f"'{name}' of an answer must be text, not {getattr(self, name)!r}")
        if self.finish_reason is not None and self.finish_reason not in FINISH_REASONS:
            raise ScriptError(f"'finish_reason' must be one of {', '.join(FINISH_REASONS)}")
        check_latency(self.latency)
        check_pace(self.tokens_per_second)
        if self.fault is not None:
            object.__setattr__(self, "fault", as_fault(self.fault))


def check_latency(latency: object) -> None:
    """Raise ScriptError unless `latency` is None, seconds from 0, or a pair of them in order."""
    if latency is None or _is_seconds(latency):
        return
    if isinstance(latency, list | tuple) and len(latency) == 2 and all(map(_is_seconds, latency)):
        low, high = latency
        if low <= high:
            return
    raise ScriptError(f"'latency' must be seconds from 0, or a range such as [0.1, 0.3], not {latency!r}")


def check_pace(tokens_per_second: object) -> None:
    """Raise ScriptError unless `tokens_per_second` is None or a number from 0."""
    if tokens_per_second is not None and not _is_seconds(tokens_per_second):
        raise ScriptError(f"'tokens_per_second' must be a number from 0, not {tokens_per_second!r}")


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
