"""What the practice provider answers while it is probed: the user's words come back, and every tool is called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from turnlane.practice import Answer, PracticeRequest, Script, ToolCall, default_script
from turnlane.practice.answer import Latency
from turnlane.practice.prompt import content_text
from turnlane.practice.structured import WORD, structured
from turnlane.practice.team import HANDOFF, participant
from turnlane.probe.canary import echoes, ordered_text

LATENCY: Final = (0.05, 0.25)
"""Seconds an answer takes: a real model takes longer, but runs overlap from a few hundredths on."""

MAX_TOOLS: Final = 4
"""Tools called for one message of a user; the provider's cost must not grow with the program's tools."""


def probing_script(
    *, without_tools: frozenset[str] | None = frozenset(), latency: Latency = LATENCY, seed: int = 0
) -> Script:
    """The probe's own script.

    Args:
        without_tools: tools that it does not call; None for no tool at all.
        latency: seconds before an answer, or a range of them.
        seed: what the range is drawn from.
    """
    usual = default_script()

    async def answer(request: PracticeRequest) -> Answer:
        said = await usual.answer(request)
        if _is_machinery(request, said):
            return said
        if (call := _next_call(request, without_tools)) is not None:
            return Answer(tool_calls=(call,))
        text = said.text if not said.tool_calls else "Very well."
        return replace(said, text=_noted(text or "", request), tool_calls=())

    return Script(answer=answer, latency=latency, seed=seed, name="the probe's script")


def with_latency(script: Script, latency: Latency) -> Script:
    """`script` with another latency for all of its answers."""

    async def answer(request: PracticeRequest) -> Answer:
        return replace(await script.answer(request), latency=None)

    return altered(script, answer=answer, latency=latency)


def altered(script: Script, **settings: Any) -> Script:
    """`script` with other settings: arguments of `Script`."""
    kept = ("answer", "latency", "tokens_per_second", "faults", "budget", "models", "seed", "name")
    return Script(**{**{name: getattr(script, name) for name in kept}, **settings})


def _is_machinery(request: PracticeRequest, said: Answer) -> bool:
    """Whether a framework asks, and not for a user: which member speaks next, a JSON value, a handoff."""
    hands_over = any(call.tool.startswith(HANDOFF) for call in said.tool_calls)
    is_json = bool(said.text) and said.text is not None and said.text.lstrip().startswith("{")
    return hands_over or is_json or participant(request) is not None or structured(request) is not None


def _noted(text: str, request: PracticeRequest) -> str:
    """`text` with the echo of the newest word that the prompt holds."""
    found = echoes(_newest_user_text(request)) or echoes(ordered_text(request.body))
    return f"{text} (Noted: {found[-1]}.)".strip() if found else text


def _newest_user_text(request: PracticeRequest) -> str:
    texts = (content_text(message) for message in reversed(request.messages) if message["role"] == "user")
    return next((text for text in texts if echoes(text)), "")


def _next_call(request: PracticeRequest, without: frozenset[str] | None) -> ToolCall | None:
    """The next offered tool that was not called yet for the user's newest message."""
    if without is None or not _asked_by_user(request):
        return None
    done = _called_since_user(request)
    offered = [tool for tool in request.tools if not tool.startswith(HANDOFF) and tool not in without]
    waiting = [tool for tool in offered[:MAX_TOOLS] if tool not in done]
    return ToolCall(waiting[0], _arguments(request, waiting[0])) if waiting else None


def _asked_by_user(request: PracticeRequest) -> bool:
    """Whether the prompt ends with somebody's words or a tool's result; not with the agent's own."""
    return request.messages[-1]["role"] in ("user", "tool")


def _called_since_user(request: PracticeRequest) -> set[str]:
    names: set[str] = set()
    for message in reversed(request.messages):
        if message["role"] == "user" and echoes(content_text(message)):
            break
        names.update(call["function"]["name"] for call in message.get("tool_calls") or ())
    return names


def _arguments(request: PracticeRequest, tool: str) -> str:
    """Arguments that fit the tool's schema; free texts are the echo of the user's word."""
    schema = next(t["function"].get("parameters") for t in request.body["tools"] if t["function"]["name"] == tool)
    wanted = {"type": "json_schema", "json_schema": {"schema": schema or {"type": "object"}}}
    made = structured(PracticeRequest({**request.body, "response_format": wanted}))
    word = (echoes(_newest_user_text(request)) or (WORD,))[-1]
    return json.dumps(_with_word(json.loads(made or "{}"), word))


def _with_word(value: Any, word: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_word(item, word) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_word(item, word) for item in value]
    return word if value == WORD else value
