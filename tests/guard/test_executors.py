"""Whose work a thread does."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from typing import Any

import pytest

from turnlane.guard import requests
from turnlane.guard.requests import Request

from .conftest import Watched


def in_a_pool(ask: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(ask).result()


def in_an_executor(ask: Callable[[], Any]) -> Any:
    async def main() -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, ask)

    return asyncio.run(main())


def in_a_thread(ask: Callable[[], Any], kind: type[threading.Thread] = threading.Thread) -> Any:
    answers: queue.Queue[Any] = queue.Queue()
    thread = kind(target=lambda: answers.put(ask()))
    thread.start()
    thread.join()
    return answers.get()


class OfPython314(threading.Thread):
    """There a thread's function runs in a context of the thread's own, which is an empty one."""

    def __init__(self, target: Callable[[], Any]) -> None:
        super().__init__(target=target)
        self._context = Context()

    def run(self) -> None:
        self._context.run(super().run)


def in_a_thread_of_python_3_14(ask: Callable[[], Any]) -> Any:
    return in_a_thread(ask, OfPython314)


def beside(ask: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.to_thread(ask))


@pytest.mark.parametrize("hand_over", [in_a_pool, in_an_executor, in_a_thread, in_a_thread_of_python_3_14, beside])
def test_a_thread_does_the_work_of_a_request(
    watched: Watched, hand_over: Callable[[Callable[[], Any]], Any]
) -> None:
    with requests.within(Request("test", "GET /")) as request:
        assert hand_over(requests.current.get) is request


own: ContextVar[str] = ContextVar("own", default="not set")


@pytest.mark.parametrize("hand_over", [in_a_pool, in_an_executor, in_a_thread])
def test_the_program_s_own_context_stays_where_it_is(
    watched: Watched, hand_over: Callable[[Callable[[], Any]], Any]
) -> None:
    token = own.set("here")
    try:
        with requests.within(Request("test", "GET /")):
            assert hand_over(own.get) == "not set"
    finally:
        own.reset(token)


def test_a_pool_s_thread_belongs_to_nobody(watched: Watched) -> None:
    with ThreadPoolExecutor(1) as pool:
        with requests.within(Request("test", "GET /one")):
            pool.submit(requests.current.get).result()  # starts the thread
        before = requests.current.set(None)
        try:
            assert pool.submit(requests.current.get).result() is None
        finally:
            requests.current.reset(before)


def test_a_thread_that_runs_a_loop_belongs_to_nobody(watched: Watched) -> None:
    loop = asyncio.new_event_loop()
    with requests.within(Request("test", "GET /one")):
        thread = threading.Thread(target=loop.run_forever)
        thread.start()

    async def whose() -> Any:
        return requests.current.get()

    async def from_the_loop() -> Any:
        answered: asyncio.Future[Any] = loop.create_future()
        loop.call_soon(lambda: answered.set_result(requests.current.get()))
        return await answered

    with requests.within(Request("test", "GET /two")) as second:
        assert asyncio.run_coroutine_threadsafe(whose(), loop).result() is second
    before = requests.current.set(None)
    try:
        assert asyncio.run_coroutine_threadsafe(from_the_loop(), loop).result() is None
    finally:
        requests.current.reset(before)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
