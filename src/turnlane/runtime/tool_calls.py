"""What a tool's author can say about it (`once`), and what a tool can ask about its call (`tool_call`)."""

from __future__ import annotations

import functools
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

_ONCE: Final = "__turnlane_once__"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The call that a tool runs in."""

    name: str
    """The tool, as the model called it."""
    key: str
    """An idempotency key of 32 letters and digits: the same whenever this call of this turn is run again, and
    never that of another call. What takes such a key (payment and mail services do) acts once, however often it
    is asked."""
    attempt: int
    """1, or more when earlier attempts of the turn died or were given back."""
    turn: str
    conversation: str


current_call: ContextVar[ToolCall | None] = ContextVar("turnlane_tool_call", default=None)


def tool_call() -> ToolCall:
    """The call that the current tool runs in; in sync and in async tools, and in what they call.

    >>> def pay(invoice: str) -> str:
    ...     return bank.pay(invoice, idempotency_key=turnlane.tool_call().key)

    Raises:
        RuntimeError: no tool runs here. In a test of the tool itself, call it inside
            `turnlane.testing.turns.tool_called(name)`.
    """
    call = current_call.get()
    if call is None:
        raise RuntimeError(
            "turnlane.tool_call() was asked outside of a tool that Turnlane runs: call it in the tool itself, not "
            "where the tool is made, nor in a thread of the tool's own; in a test, inside "
            "turnlane.testing.turns.tool_called(...)"
        )
    return call


def once(tool: T) -> T:
    """Decorate a tool that must not run a second time for the same call.

    A tool that was cut off by a crash runs again when its turn does, unless it is decorated: then the turn ends
    as `needs_attention`, because nobody knows whether the tool acted. Use it for what can neither be repeated nor
    be given an idempotency key (`tool_call`). The tool itself stays as it is: name, signature, documentation.

    >>> @turnlane.once
    ... def send_letter(to: str, text: str) -> str: ...

    Tools that can't be decorated, such as those of an MCP server, are named in the agent's setting `once_tools`.

    Args:
        tool: a function, sync or async, or a tool class or object of a framework.

    Raises:
        TypeError: it can't be marked.
    """
    try:
        setattr(tool, _ONCE, True)
    except (AttributeError, TypeError, ValueError):
        raise TypeError(
            f"turnlane.once can't mark {tool!r}: decorate the function itself, or name the tool in the agent's "
            "setting once_tools"
        ) from None
    return tool


def is_once(tool: object) -> bool:
    """Whether `once` decorates it, or the function behind it."""
    while isinstance(tool, functools.partial) and not hasattr(tool, _ONCE):
        tool = tool.func
    return bool(getattr(tool, _ONCE, False))
