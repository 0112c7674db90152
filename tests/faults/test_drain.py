"""SIGTERM: no new turns, running ones get a grace, the rest run again at the next start."""

import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest
from openai import AsyncOpenAI
from tests.faults.processes import ROOT, wait_answering
from tests.faults.served import Served

from turnlane.testing.child_process import ChildProcess, free_port

pytestmark = [pytest.mark.faults, pytest.mark.anyio]

GRACE = 3.0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server, not yet started, and its provider."""
    port = free_port()
    command = [sys.executable, "-m", "tests.faults.witness", "--port", str(port)]
    record = ["--record", str(tmp_path / "prompts.jsonl")]
    server = Served(tmp_path, f"http://127.0.0.1:{port}/v1", "--grace", str(GRACE))
    with ChildProcess([*command, *record], output=tmp_path / "witness.log", cwd=ROOT) as witness:
        anyio.run(wait_answering, f"http://127.0.0.1:{port}/v1/models", witness)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
async def client(served: Served) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{served.origin}/v1", api_key="local", max_retries=0, timeout=30) as client:
        yield client


async def say(client: AsyncOpenAI, text: str, conversation: str | None = None) -> Any:
    """Queue a turn."""
    where = {"conversation": conversation} if conversation else {}
    return await client.responses.create(model="talker", input=text, background=True, **where)  # type: ignore[call-overload]


async def seen(client: AsyncOpenAI, turn: str, *statuses: str) -> Any:
    """The turn, when it has one of these statuses."""
    with anyio.fail_after(60):
        while (response := await client.responses.retrieve(turn)).status not in statuses:
            await anyio.sleep(0.05)
    return response


async def refused(client: AsyncOpenAI) -> openai.InternalServerError:
    """How new turns are refused, once the signal has arrived."""
    with anyio.fail_after(GRACE):
        while True:
            try:
                await say(client, f"too late {time.monotonic()}")
            except openai.InternalServerError as error:
                return error


async def test_a_drain_gives_running_turns_their_grace_and_keeps_the_rest(
    served: Served, client: AsyncOpenAI
) -> None:
    child = served.start()
    await served.wait_ready()
    moment = await say(client, "take a moment")
    ages = await say(client, "take your time")
    behind = await say(client, "and then this", ages.conversation.id)
    for turn in (moment, ages):
        await seen(client, turn.id, "in_progress")

    told = time.monotonic()
    child.signal(signal.SIGTERM)
    refusal = await refused(client)
    assert refusal.status_code == 503
    assert refusal.code == "draining"
    assert int(refusal.response.headers["Retry-After"]) >= 1
    assert (await seen(client, moment.id, "completed")).output_text == "heard: take a moment"

    assert await anyio.to_thread.run_sync(child.wait, 30) == 0
    assert time.monotonic() - told < GRACE + 15, "the drain is bounded"
    assert served.integrity() == "ok"

    served.start()
    await served.wait_ready()
    again = await seen(client, ages.id, "completed", "failed")
    assert (again.output_text, again.attempt) == ("heard: take your time", 2)
    last = await seen(client, behind.id, "completed", "failed")
    assert (last.output_text, last.attempt) == ("heard: and then this", 1)
    assert (await client.responses.retrieve(moment.id)).attempt == 1  # type: ignore[attr-defined]
