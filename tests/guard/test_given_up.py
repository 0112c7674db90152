"""Work in a thread that goes on after the wait for it was given up."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import anyio.to_thread
import pytest
from openai import OpenAI

from turnlane.guard import requests
from turnlane.guard.requests import Request
from turnlane.practice import PracticeProvider, Rule

from .conftest import Watched

LATENCY = 0.2


class Interview:
    """Some questions to a model, one after the other.

    Attributes:
        asked: the first question is on its way.
        stop: no further one may be asked.
        over: all that will be asked has been answered.
    """

    def __init__(self, provider: PracticeProvider, questions: int) -> None:
        self.client = OpenAI(base_url=provider.base_url, api_key="practice")
        self.questions = questions
        self.asked, self.stop, self.over = threading.Event(), threading.Event(), threading.Event()

    def hold(self) -> None:
        try:
            for number in range(self.questions):
                if self.stop.is_set():
                    return
                self.asked.set()
                self.client.chat.completions.create(
                    model="gpt-4o-mini", messages=[{"role": "user", "content": f"question {number}"}]
                )
        finally:
            self.over.set()


@pytest.fixture
def provider() -> Iterator[PracticeProvider]:
    with PracticeProvider.in_thread([Rule(say="yes", latency=LATENCY)]) as provider:
        yield provider


def to_thread(work: Callable[[], None]) -> Awaitable[None]:
    return asyncio.to_thread(work)


def of_anyio(work: Callable[[], None]) -> Awaitable[None]:
    return anyio.to_thread.run_sync(work)


def in_a_pool_of_its_own(work: Callable[[], None]) -> Awaitable[None]:
    return asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(1), work)


WAYS = pytest.mark.parametrize("hand_over", [to_thread, of_anyio, in_a_pool_of_its_own])


async def give_up(interview: Interview, hand_over: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
    """Wait for an interview, but not longer than until its first question is on its way."""
    waiting = asyncio.ensure_future(hand_over(interview.hold))
    await asyncio.to_thread(interview.asked.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    interview.stop.set()
    await asyncio.to_thread(interview.over.wait)


@WAYS
def test_a_thread_that_asks_on(
    watched: Watched, provider: PracticeProvider, hand_over: Callable[[Callable[[], None]], Awaitable[None]]
) -> None:
    interview = Interview(provider, questions=3)
    interview.stop.is_set = lambda: False  # type: ignore[method-assign]
    asyncio.run(give_up(interview, hand_over))
    hazard = watched.hazard("TL503")
    assert (hazard["place"]["file"], hazard["place"]["function"]) == (__file__, "Interview.hold")
    assert watched.codes == {"TL503"}


@WAYS
def test_a_thread_that_asks_nothing_more(
    watched: Watched, provider: PracticeProvider, hand_over: Callable[[Callable[[], None]], Awaitable[None]]
) -> None:
    asyncio.run(give_up(Interview(provider, questions=3), hand_over))
    assert watched.hazards == []


@WAYS
def test_a_thread_that_is_waited_for(
    watched: Watched, provider: PracticeProvider, hand_over: Callable[[Callable[[], None]], Awaitable[None]]
) -> None:
    async def main() -> None:
        await asyncio.wait_for(hand_over(Interview(provider, questions=2).hold), 20)

    asyncio.run(main())
    assert watched.hazards == []


def test_a_pool_s_work_that_cannot_be_cancelled_any_more(watched: Watched, provider: PracticeProvider) -> None:
    interview = Interview(provider, questions=2)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(interview.hold)
        interview.asked.wait()
        assert not work.cancel()
    assert watched.codes == {"TL503"}


def test_work_that_is_cancelled_before_it_begins(watched: Watched, provider: PracticeProvider) -> None:
    interview = Interview(provider, questions=2)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(interview.hold)
        assert pool.submit(interview.hold).cancel()
    assert watched.hazards == []


def test_a_thread_for_each_question(watched: Watched, provider: PracticeProvider) -> None:
    asyncio.run(give_up(Interview(provider, questions=1), to_thread))
    assert watched.hazards == []


def test_a_loop_that_closes_gives_nothing_up(watched: Watched, provider: PracticeProvider) -> None:
    interview = Interview(provider, questions=2)

    async def main() -> None:
        waiting = asyncio.ensure_future(asyncio.to_thread(interview.hold))
        await asyncio.to_thread(interview.asked.wait)
        assert not waiting.done()

    asyncio.run(main())
    assert interview.over.wait(20)
    assert watched.hazards == []


@pytest.mark.parametrize(("kept", "codes"), [(False, {"TL503"}), (True, set())])
def test_a_request_that_is_answered_before_its_thread_is_done(
    watched: Watched, provider: PracticeProvider, kept: bool, codes: set[str]
) -> None:
    interview = Interview(provider, questions=3)
    pool = ThreadPoolExecutor(1)
    jobs: list[Future[None]] = []

    def view() -> None:
        work = pool.submit(interview.hold)
        interview.asked.wait()
        with contextlib.suppress(TimeoutError):
            work.result(0.01)
        if kept:
            jobs.append(work)

    with requests.within(Request("test", "GET /")):
        view()
    pool.shutdown()
    assert watched.codes == codes


def test_a_wait_that_is_taken_up_again(watched: Watched, provider: PracticeProvider) -> None:
    interview = Interview(provider, questions=2)
    with requests.within(Request("test", "GET /")), ThreadPoolExecutor(1) as pool:
        work = pool.submit(interview.hold)
        while not work.done():
            with contextlib.suppress(TimeoutError):
                work.result(0.05)
    assert watched.hazards == []
