"""Runs in threads that outlive their request (TL501)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage

from turnlane.guard.requests import Request, within

from .conftest import Watched

PATIENCE = 30.0


class Patient(BaseChatAgent):
    """Answers when it may."""

    produced_message_types = (TextMessage,)

    def __init__(self, job: Job) -> None:
        super().__init__("clerk", "answers")
        self.job = job

    async def on_messages(self, messages: Sequence[BaseChatMessage], _: Any) -> Response:
        self.job.began.set()
        assert self.job.may_end.wait(PATIENCE)
        return Response(chat_message=TextMessage(content="done", source=self.name))

    async def on_reset(self, _: Any) -> None:
        pass


class Job:
    """A run in a thread, and how far it is."""

    def __init__(self) -> None:
        self.began, self.may_end, self.ended = threading.Event(), threading.Event(), threading.Event()

    def work(self) -> None:
        try:
            asyncio.run(self.report())
        finally:
            self.ended.set()

    async def report(self) -> None:
        await Patient(self).run(task="a report")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


Start = Callable[[Job, ThreadPoolExecutor], Any]


def thread(job: Job, _: ThreadPoolExecutor) -> threading.Thread:
    started = threading.Thread(target=job.work, daemon=True)
    started.start()
    return started


def submitted(job: Job, pool: ThreadPoolExecutor) -> Any:
    return pool.submit(job.work)


def executed(job: Job, pool: ThreadPoolExecutor) -> Any:
    return asyncio.get_running_loop().run_in_executor(pool, job.work)


WAYS = pytest.mark.parametrize("start", [thread, submitted, executed])


def request(job: Job, pool: ThreadPoolExecutor, start: Start, keep: Callable[[Any], object]) -> None:
    """A request that starts a job and is answered while that goes on."""

    async def handler() -> None:
        with within(Request("test", "POST /chat")):
            keep(start(job, pool))
            assert await asyncio.to_thread(job.began.wait, PATIENCE)
        job.may_end.set()
        assert await asyncio.to_thread(job.ended.wait, PATIENCE)

    asyncio.run(handler())


@WAYS
def test_a_thread_that_nobody_holds(watched: Watched, pool: ThreadPoolExecutor, start: Start) -> None:
    request(Job(), pool, start, lambda _: None)
    hazard = watched.hazard("TL501")
    assert "nobody holds its thread" in hazard["message"]
    assert (hazard["place"]["file"], hazard["place"]["function"]) == (__file__, "Job.report")
    assert watched.codes == {"TL501"}


@WAYS
def test_a_thread_that_the_program_keeps(watched: Watched, pool: ThreadPoolExecutor, start: Start) -> None:
    jobs: dict[str, Any] = {}
    request(Job(), pool, start, lambda started: jobs.update(report=started))
    assert watched.hazards == []


@pytest.mark.parametrize("start", [submitted, executed])
def test_work_whose_end_is_listened_for(watched: Watched, pool: ThreadPoolExecutor, start: Start) -> None:
    ends: list[str] = []
    request(Job(), pool, start, lambda future: future.add_done_callback(lambda _: ends.append("over")))
    assert watched.hazards == []


def test_a_task_that_waits_for_a_thread(watched: Watched, pool: ThreadPoolExecutor) -> None:
    """It is as the task is: held or not."""
    held: set[Any] = set()

    async def waiting(job: Job) -> None:
        await asyncio.get_running_loop().run_in_executor(pool, job.work)

    def in_task(job: Job, _: ThreadPoolExecutor) -> Any:
        return asyncio.create_task(waiting(job))

    request(Job(), pool, in_task, held.add)
    assert watched.hazards == []
    request(Job(), pool, in_task, lambda _: None)
    assert watched.codes == {"TL501"}


def test_a_thread_that_is_waited_for(watched: Watched, pool: ThreadPoolExecutor) -> None:
    async def handler(job: Job) -> None:
        with within(Request("test", "POST /chat")):
            job.may_end.set()
            await asyncio.to_thread(thread(job, pool).join, PATIENCE)

    asyncio.run(handler(Job()))
    assert watched.hazards == []


def test_a_worker_that_was_started_before(watched: Watched, pool: ThreadPoolExecutor) -> None:
    """Its jobs are in its queue, whoever has put them there."""
    from queue import SimpleQueue

    jobs: SimpleQueue[Job | None] = SimpleQueue()

    def work() -> None:
        while (job := jobs.get()) is not None:
            job.work()

    worker = threading.Thread(target=work)
    worker.start()
    request(Job(), pool, lambda job, _: jobs.put(job), lambda _: None)
    jobs.put(None)
    worker.join()
    assert watched.hazards == []
