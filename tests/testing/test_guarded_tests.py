"""`pytest --turnlane-guard` on a real test run of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio
import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

pytestmark = pytest.mark.usefixtures("practice_provider")

def agent():
    return AssistantAgent("support", OpenAIChatCompletionClient(model="gpt-4o"))

async def both(agent):
    await asyncio.gather(agent.run(task="a"), agent.run(task="b"), return_exceptions=True)
    await agent._model_client.close()

def test_right():
    async def main():
        right = agent()
        await right.run(task="hello")
        await right._model_client.close()
    asyncio.run(main())

def test_overlap():
    asyncio.run(both(agent()))

@pytest.mark.turnlane_guard_allow("TL204")
def test_overlap_that_is_meant():
    asyncio.run(both(agent()))

def test_another_failure():
    asyncio.run(both(agent()))
    assert 1 == 2
"""


OUTSIDE = """
import asyncio
import pytest

@pytest.fixture(scope="module")
def module():
    yield
    async def inner():
        with pytest.raises(RuntimeError):
            asyncio.run(asyncio.sleep(0))
    asyncio.run(inner())

def test_right(module):
    pass
"""


def run(folder: Path, *options: str, program: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(program)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short", *options, str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_a_test_that_shows_a_hazard_fails_with_its_words(tmp_path: Path) -> None:
    done = run(tmp_path, "--turnlane-guard")
    assert "2 failed, 2 passed" in done.stdout, done.stdout
    assert "HazardsSeen: turnlane guard: " in done.stdout
    assert "TL204 overlapping-runs at test_it.py:13" in done.stdout
    assert "Captured turnlane guard call" in done.stdout, "beside another failure it is a section"


def test_strict_raises_at_the_place(tmp_path: Path) -> None:
    done = run(tmp_path, "--turnlane-guard-strict", "-k", "test_right or test_overlap_that")
    # The marker forgives what is reported; strict mode has raised inside the gather, which returned the exception.
    assert "2 passed" in done.stdout, done.stdout


def test_without_the_option_nothing_is_watched(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert "1 failed, 3 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_what_is_seen_outside_of_the_tests_is_told_at_the_end(tmp_path: Path, workers: str) -> None:
    done = run(tmp_path, "--turnlane-guard", workers, program=OUTSIDE)
    assert "1 passed" in done.stdout, done.stdout
    assert "turnlane guard: seen outside of the tests" in done.stdout
    assert "TL101 nested-loop at test_it.py:10" in done.stdout
