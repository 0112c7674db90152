"""Clients that nobody closes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.guard.conftest import Watched

from turnlane.practice import PracticeProvider

Program = Callable[[str, PracticeProvider], dict[str, Any]]

WRONG = {
    "one after the other": """
        async def piece(number):
            client = AsyncOpenAI()
            return await ask(client)
        async def main():
            for number in range(4):
                await piece(number)
        asyncio.run(main())
    """,
    "all at once": """
        async def piece(number):
            client = AsyncOpenAI()
            return await ask(client)
        async def main():
            await asyncio.gather(*(piece(number) for number in range(4)))
        asyncio.run(main())
    """,
    "many users at once, made in threads": """
        from turnlane.guard import requests
        def piece():
            return AsyncOpenAI()
        async def user():
            with requests.within(requests.Request("test", "POST /chat", keys={})):
                await ask(await asyncio.to_thread(piece))
        async def main():
            for _ in range(2):
                await asyncio.gather(*(user() for _ in range(20)))
        asyncio.run(main())
    """,
    "a loop for each": """
        def piece():
            client = AsyncOpenAI()
            return asyncio.run(ask(client))
        for _ in range(4):
            piece()
    """,
}

REQUESTS = """
        from turnlane.guard.requests import Request, within
        def requests(work):
            for _ in range(4):
                with within(Request("test", "POST /chat")):
                    work()
"""
WRONG_IN_REQUESTS = """
        def piece():
            client = OpenAI()
            ask_sync(client)
        requests(piece)
"""
RIGHT_IN_REQUESTS = {
    "closed": """
        def piece():
            client = OpenAI()
            ask_sync(client)
            client.close()
        requests(piece)
    """,
    "in a with statement": """
        def piece():
            with OpenAI() as client:
                ask_sync(client)
        requests(piece)
    """,
    "one for all": """
        client = OpenAI()
        requests(lambda: ask_sync(client))
    """,
    "a cache that threads fill all at once": """
        import functools
        all_of_them = threading.Barrier(4)
        @functools.cache
        def client():
            all_of_them.wait()
            return OpenAI()
        threads = [threading.Thread(target=requests, args=(lambda: ask_sync(client()),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """,
    "one for each thread": """
        local = threading.local()
        def piece():
            if not hasattr(local, "client"):
                local.client = OpenAI()
            ask_sync(local.client)
        def work():
            requests(piece)
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """,
    "made and never used": """
        requests(OpenAI)
    """,
}

RIGHT = {
    "closed": """
        async def main():
            for _ in range(4):
                client = AsyncOpenAI()
                await ask(client)
                await client.close()
        asyncio.run(main())
    """,
    "in a with statement": """
        async def piece():
            async with AsyncOpenAI() as client:
                await ask(client)
        async def main():
            await asyncio.gather(*(piece() for _ in range(4)))
        asyncio.run(main())
    """,
    "kept for each session": """
        sessions = {}
        async def turn(name):
            if name not in sessions:
                sessions[name] = AsyncOpenAI()
            await ask(sessions[name])
        async def main():
            for number in range(12):
                await turn(number % 6)
        asyncio.run(main())
    """,
    "several of one script": """
        async def main():
            clients = [AsyncOpenAI() for _ in range(4)]
            await asyncio.gather(*(ask(client) for client in clients))
        asyncio.run(main())
    """,
    "blocking ones of a script": """
        def piece():
            ask_sync(OpenAI())
        for _ in range(4):
            piece()
    """,
    "one that the script's end drops": """
        async def main():
            client = AsyncOpenAI()
            for _ in range(4):
                await ask(client)
        asyncio.run(main())
    """,
    "options of one client": """
        client = AsyncOpenAI()
        async def main():
            for seconds in range(1, 6):
                await ask(client.with_options(timeout=10 * seconds))
            await client.close()
        asyncio.run(main())
    """,
    "made and never used": """
        async def main():
            for _ in range(5):
                AsyncOpenAI()
        asyncio.run(main())
    """,
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_a_client_for_each_piece_of_work(
    watched: Watched, program: Program, provider: PracticeProvider, text: str
) -> None:
    program(text, provider)
    hazard = watched.hazard("TL302")
    assert hazard["object"] == "client AsyncOpenAI"
    assert hazard["place"]["function"] == "piece"
    assert watched.codes == {"TL302"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT.keys())
def test_right_forms_are_silent(watched: Watched, program: Program, provider: PracticeProvider, text: str) -> None:
    program(text, provider)
    assert watched.hazards == []


def test_a_blocking_client_for_each_request(
    watched: Watched, program: Program, provider: PracticeProvider
) -> None:
    program(REQUESTS + WRONG_IN_REQUESTS, provider)
    hazard = watched.hazard("TL302")
    assert hazard["object"] == "client OpenAI"
    assert hazard["place"]["function"] == "piece"
    assert watched.codes == {"TL302"}


@pytest.mark.parametrize("text", RIGHT_IN_REQUESTS.values(), ids=RIGHT_IN_REQUESTS.keys())
def test_right_forms_in_requests_are_silent(
    watched: Watched, program: Program, provider: PracticeProvider, text: str
) -> None:
    program(REQUESTS + text, provider)
    assert watched.hazards == []
