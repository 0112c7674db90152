"""Scripts that spoil certain answers of another script, which standing faults cannot aim at."""

from __future__ import annotations

import itertools
from dataclasses import replace

from turnlane.practice import Answer, Fault, PracticeRequest, Script
from turnlane.probe.answers import altered


def failing_after_tools(script: Script, fault: Fault) -> Script:
    """`script`, but the call that brings a tool's result meets `fault`: the tool has run by then."""

    async def answer(request: PracticeRequest) -> Answer:
        said = await script.answer(request)
        return replace(said, fault=fault) if request.messages[-1]["role"] == "tool" else said

    return altered(script, answer=answer, faults=(), budget=None)


def refusing_call(script: Script, number: int) -> Script:
    """`script`, but the call of this number, from 1, is refused in a way that nobody retries."""
    numbers = itertools.count(1)

    async def answer(request: PracticeRequest) -> Answer:
        said = await script.answer(request)
        return replace(said, fault=Fault("unauthorized")) if next(numbers) == number else said

    return altered(script, answer=answer, faults=(), budget=None)


def cut_short(script: Script) -> Script:
    """`script`, but every text ends in its middle, as a model's does that has no tokens left."""

    async def answer(request: PracticeRequest) -> Answer:
        said = await script.answer(request)
        text = said.text
        # JSON is what frameworks ask for themselves: half of it fails to parse, which is no truncated answer.
        if not text or said.tool_calls or text.lstrip().startswith("{"):
            return said
        return replace(said, text=text[: max(1, len(text) // 2)], finish_reason="length")

    return altered(script, answer=answer, faults=(), budget=None)
