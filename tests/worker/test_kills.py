"""A worker process killed again and again: what each turn paid and did, counted outside of it."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from turnlane.practice import Answer, PracticeProvider, ToolCall
from turnlane.testing.child_process import ChildProcess

ROOT = Path(__file__).resolve().parents[2]
SEED = 11
KILLS = 3
TURNS = 18
LIMIT = 120.0
"""Seconds after which a process that does not end is taken for broken."""


async def answer(request: Any) -> Answer:
    """Look, pay, note, done; 20 to 60 ms each."""
    done = len([message for message in request.messages if message["role"] == "tool"])
    await asyncio.sleep(random.Random(f"{request.user_message} {done}").uniform(0.02, 0.06))
    if done == 3:
        return Answer(text=f"done with {request.user_message}")
    return Answer(tool_calls=[ToolCall(("look", "pay", "note")[done], {"message": request.user_message})])


def start(folder: Path, provider: PracticeProvider, *options: str) -> ChildProcess:
    command = [sys.executable, "-m", "tests.worker.killed_process", str(folder), provider.base_url, str(TURNS)]
    return ChildProcess([*command, *options], output=folder / "out", cwd=ROOT)


def kill_in_the_middle(child: ChildProcess, provider: PracticeProvider, after: int) -> None:
    """Kill when the provider has seen so many more requests."""
    target, began = provider.received + after, time.monotonic()
    while provider.received < target and child.exit_status is None:
        assert time.monotonic() - began < LIMIT, child.tail()
        time.sleep(0.002)
    child.kill()


def run_under_kills(folder: Path, provider: PracticeProvider, *options: str) -> list[dict[str, Any]]:
    """Kill, start again, and let the last one end; returns the turns."""
    dice = random.Random(SEED)
    for _ in range(KILLS):
        with start(folder, provider, *options) as child:
            kill_in_the_middle(child, provider, after=dice.randrange(8, 24))
    (folder / "out").unlink()
    with start(folder, provider, *options) as child:
        assert child.wait(LIMIT) == 0, child.tail()
        return [json.loads(line) for line in (folder / "out").read_text().splitlines() if line.startswith("{")]


@pytest.mark.faults
def test_a_kill_costs_at_most_what_was_under_way(tmp_path: Path) -> None:
    with PracticeProvider.in_thread(answer) as provider:
        turns = run_under_kills(tmp_path, provider)
        asked = Counter(request.body["messages"][1]["content"] for request in provider.requests)
    deeds = [json.loads(line) for line in (tmp_path / "deeds").read_text().splitlines()]
    begun = Counter((deed["message"], deed["tool"]) for deed in deeds if deed["what"] == "begun")
    ended = Counter((deed["message"], deed["tool"]) for deed in deeds if deed["what"] == "ended")
    keys = {(deed["message"], deed["tool"], deed["key"]) for deed in deeds}
    assert len(turns) == TURNS
    assert sum(turn["attempts"] > 1 for turn in turns) >= KILLS, "the kills met nothing"
    for number, turn in enumerate(turns):
        message, deaths = f"message {number}", turn["attempts"] - 1
        assert begun[message, "pay"] <= 1, "a tool that must not run twice did"
        assert asked[message] <= 4 + deaths, "a death costs at most the question that was under way"
        for tool in ("look", "note"):
            assert begun[message, tool] <= 1 + deaths
        assert turn["status"] in ("completed", "needs_attention")
        if turn["status"] == "completed":
            assert all(ended[message, tool] >= 1 for tool in ("look", "pay", "note"))
            assert turn["calls"] == 4, "what was answered is counted once, in whichever attempt"
    assert len(keys) == len({key for _, _, key in keys}) == len({(one, two) for one, two, _ in keys})
