"""The fixture `turnlane_probe`, on programs that a test could have."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane.probe.report import Report
from turnlane.probe.trouble import ProbeError
from turnlane.testing.probing import in_a_loop_of_its_own, name_of

client = OpenAIChatCompletionClient(model="gpt-4o-mini", api_key="set by the probe")


async def fresh(message: str) -> str:
    """The right form, but for its memory: there is none."""
    result = await AssistantAgent("support", client).run(task=message)
    return str(result.messages[-1].content)  # type: ignore[union-attr]


shared_agent = AssistantAgent("shared", client)


async def shared(message: str) -> str:
    """The wrong one."""
    result = await shared_agent.run(task=message)
    return str(result.messages[-1].content)  # type: ignore[union-attr]


QUICK = {"levels": "1,3", "rounds": 1, "attribute": False}

Probe = Callable[..., Report]


def test_a_right_handler_has_a_clean_report(turnlane_probe: Probe) -> None:
    report = turnlane_probe(fresh, **QUICK)
    assert report.no_leaks
    assert report.no_errors


@pytest.mark.anyio
async def test_a_leak_is_told_in_the_words_of_the_report(
    turnlane_probe: Probe, capsys: pytest.CaptureFixture[str]
) -> None:
    report = turnlane_probe(shared, **QUICK)
    with pytest.raises(AssertionError) as failed:
        assert report.no_leaks
    assert "leaked another user's words" in str(failed.value)
    assert "the word of user" in capsys.readouterr().out


def test_what_has_no_name_is_refused_in_a_sentence() -> None:
    def inner(message: str) -> str:
        return message

    with pytest.raises(ValueError, match="define it at the top level of a module"):
        name_of(inner)


def test_what_cannot_be_probed_is_told(turnlane_probe: Probe) -> None:
    with pytest.raises(ProbeError, match="names no handler"):
        turnlane_probe("nothing", **QUICK)


def test_an_interrupted_wait_ends_what_the_probe_has_started() -> None:
    ended = []
    main = threading.main_thread().ident
    assert main is not None

    async def work() -> Report:
        signal.pthread_kill(main, signal.SIGINT)
        try:
            return await asyncio.Future()
        finally:
            ended.append("program")

    with pytest.raises(KeyboardInterrupt):
        in_a_loop_of_its_own(work)
    assert ended == ["program"]
