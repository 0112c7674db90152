"""A client belongs to one loop and one process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from tests.guard.clients.conftest import HEAD
from tests.guard.conftest import Watched

from turnlane.guard.launch import environment
from turnlane.guard.settings import GuardSettings
from turnlane.practice import PracticeProvider

Program = Callable[[str, PracticeProvider], dict[str, Any]]

ONE_AFTER_THE_OTHER = """
client = AsyncOpenAI(max_retries=0)
asyncio.run(ask(client))
with contextlib.suppress(Exception):
    asyncio.run(ask(client))
"""

IN_THREADS = """
client = AsyncOpenAI(max_retries=0)
loop = asyncio.new_event_loop()
thread = threading.Thread(target=loop.run_forever)
thread.start()
asyncio.run_coroutine_threadsafe(ask(client), loop).result()

def work():
    other = asyncio.new_event_loop()
    with contextlib.suppress(Exception):
        other.run_until_complete(ask(client))
    other.close()

worker = threading.Thread(target=work)
worker.start()
worker.join()
asyncio.run_coroutine_threadsafe(client.close(), loop).result()
loop.call_soon_threadsafe(loop.stop)
thread.join()
loop.close()
"""


def test_one_client_and_two_loops_one_after_the_other(
    watched: Watched, program: Program, provider: PracticeProvider
) -> None:
    program(ONE_AFTER_THE_OTHER, provider)
    hazard = watched.hazard("TL112")
    assert hazard["object"] == "client AsyncOpenAI"
    titles = [stack["title"] for stack in hazard["stacks"]]
    assert titles == [
        "used first here",
        "the first loop was started here",
        "used here, on another loop",
        "the second loop was started here",
        "made here",
    ]
    assert watched.codes == {"TL112"}


def test_one_client_and_two_loops_at_once(watched: Watched, program: Program, provider: PracticeProvider) -> None:
    program(IN_THREADS, provider)
    assert watched.codes == {"TL103"}


RIGHT = {
    "one loop": """
        async def main():
            async with AsyncOpenAI() as client:
                await asyncio.gather(*(ask(client) for _ in range(5)))
        asyncio.run(main())
    """,
    "one runner": """
        with asyncio.Runner() as runner:
            client = AsyncOpenAI()
            for _ in range(3):
                runner.run(ask(client))
            runner.run(client.close())
    """,
    "a client for each loop": """
        async def main():
            async with AsyncOpenAI() as client:
                return await ask(client)
        for _ in range(3):
            asyncio.run(main())
    """,
    "no connection is kept": """
        import httpx2
        client = AsyncOpenAI(http_client=httpx2.AsyncClient(limits=httpx2.Limits(max_keepalive_connections=0)))
        for _ in range(3):
            asyncio.run(ask(client))
    """,
    "connections for each loop": """
        import httpx2
        class OfTheLoop(httpx2.AsyncBaseTransport):
            def __init__(self):
                self.transports = {}
            async def handle_async_request(self, request):
                loop = asyncio.get_running_loop()
                if loop not in self.transports:
                    self.transports[loop] = httpx2.AsyncHTTPTransport()
                return await self.transports[loop].handle_async_request(request)
            async def close_own(self):
                await self.transports.pop(asyncio.get_running_loop()).aclose()
        transport = OfTheLoop()
        client = AsyncOpenAI(http_client=httpx2.AsyncClient(transport=transport))
        with asyncio.Runner() as first, asyncio.Runner() as second:
            for runner in (first, second, first, second):
                runner.run(ask(client))
            for runner in (first, second):
                runner.run(transport.close_own())
    """,
    "a client that blocks": """
        client = OpenAI()
        ask_sync(client)
        thread = threading.Thread(target=ask_sync, args=(client,))
        thread.start()
        thread.join()
        client.close()
    """,
    "one loop in a thread": """
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        client = AsyncOpenAI()
        for _ in range(3):
            asyncio.run_coroutine_threadsafe(ask(client), loop).result()
        asyncio.run_coroutine_threadsafe(client.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    """,
}


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT.keys())
def test_right_forms_are_silent(watched: Watched, program: Program, provider: PracticeProvider, text: str) -> None:
    program(text, provider)
    assert watched.hazards == []


TASK = "from celery import Celery; task = Celery('jobs', broker='memory://').task"
FORKS = """
import os
made = {maker}
{before}
if os.fork() == 0:
    try:
        {after}
    finally:
        os._exit(0)
os.wait()
"""


def forked(tmp_path: Path, provider: PracticeProvider, *, maker: str, before: str, after: str) -> Watched:
    seen = Watched(tmp_path / "records.jsonl")
    file = tmp_path / "program.py"
    file.write_text(dedent(HEAD) + FORKS.format(maker=maker, before=before, after=after))
    base = {**os.environ, "OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": "practice"}
    settings = GuardSettings(output=str(seen.path), summary=False)
    subprocess.run([sys.executable, str(file)], env=environment(settings, base), check=True, timeout=60)
    return seen


@pytest.mark.parametrize(
    ("maker", "before", "after", "codes"),
    [
        ("AsyncOpenAI()", "", "asyncio.run(ask(made))", {"TL301"}),
        ("OpenAI()", "ask_sync(made)", "ask_sync(made)", {"TL301"}),
        ("OpenAI()", "", "ask_sync(made)", set()),
        ("OpenAI()", TASK, "task(ask_sync).apply((made,)).get()", {"TL301"}),
        ("OpenAI()", TASK, "task(ask_sync).apply((OpenAI(),)).get()", set()),
        ("None", "", "ask_sync(OpenAI())", set()),
        ("AsyncOpenAI()", "asyncio.run(ask(made))", "asyncio.run(ask(AsyncOpenAI()))", set()),
    ],
    ids=[
        "async, made before",
        "sync, used before",
        "sync, made before",
        "sync, made before, used by a task",
        "sync, made by a task",
        "made after",
        "another in the child",
    ],
)
def test_forks(
    tmp_path: Path, provider: PracticeProvider, maker: str, before: str, after: str, codes: set[str]
) -> None:
    assert forked(tmp_path, provider, maker=maker, before=before, after=after).codes == codes
