"""The limits that workers share, kept in a real PostgreSQL; the provider is the practice provider."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx2
import pytest

from turnlane.practice import Budget, PracticeProvider, Rule, Script
from turnlane.runtime.agent import Run
from turnlane.runtime.conversation import Claim, Failure, Turn
from turnlane.runtime.engines.postgres.engine import PostgresEngine
from turnlane.runtime.limits import ProviderLimits
from turnlane.runtime.model import Inspected, ModelBoundary
from turnlane.runtime.retry import Fault, classify

pytestmark = pytest.mark.anyio


class Refused(Exception):
    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__(answer.status_code)
        self.fault = classify(answer.status_code, None, answer.headers)


class Client:
    """A model client as simple as can be."""

    model = "practice"

    def __init__(self, base_url: str, http: httpx2.AsyncClient) -> None:
        self.provider = base_url.split("/")[2]
        self._http = http
        self._url = f"{base_url}/chat/completions"
        self.sent: list[float] = []
        self.refused = 0

    async def send(self) -> dict[str, Any]:
        self.sent.append(time.monotonic())
        body = {"model": "practice", "messages": [{"role": "user", "content": "hello"}]}
        answer = await self._http.post(self._url, json=body, headers={"authorization": "Bearer practice"})
        if answer.status_code != 200:
            self.refused += 1
            raise Refused(answer)
        found: dict[str, Any] = answer.json()
        return found

    def fault(self, error: Exception) -> Fault:
        return error.fault if isinstance(error, Refused) else Fault("transient")

    def failure(self, error: Exception, fault: Fault) -> Failure:
        return Failure(type(error).__name__, str(error), kind="provider")

    def inspect(self, result: dict[str, Any]) -> Inspected:
        return Inspected(result["usage"]["prompt_tokens"], result["usage"]["completion_tokens"])

    def answered(self, result: dict[str, Any]) -> None:
        pass

    def to_json(self, result: dict[str, Any]) -> Any:
        return result

    def from_json(self, kept: Any) -> dict[str, Any]:
        return dict(kept)


def new_run(boundary: ModelBoundary) -> Run:
    turn = Turn("resp_1", "conv_1", "a", key="", position=0, status="running", attempt=1, input=())
    return Run(Claim(turn, None), "a", lambda event: None, boundary)


class Workers:
    """Boundaries that share their limits over engines, each with connections of its own."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url = url
        self._stack = stack
        self.engines: list[PostgresEngine] = []
        self.boundaries: list[ModelBoundary] = []

    async def start(self, number: int, *, engines: int = 4, **limits: ProviderLimits) -> None:
        for _ in range(engines):
            engine = PostgresEngine(self._url)
            await engine.open()
            self._stack.push_async_callback(engine.close)
            self.engines.append(engine)
        for index in range(number):
            shared = self.engines[index % engines].shared_limits
            assert shared is not None
            boundary = ModelBoundary(limits=limits, shared=shared)
            self._stack.push_async_callback(boundary.close)
            self.boundaries.append(boundary)

    async def calls(self, client: Client, number: int, *, may_fail: bool = False) -> None:
        boundaries = self.boundaries
        callers = (boundaries[n % len(boundaries)] for n in range(number))
        sent = (boundary.call(new_run(boundary), client, client.send) for boundary in callers)
        for answer in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(answer, BaseException) and not (may_fail and isinstance(answer, Refused)):
                raise answer


@pytest.fixture
async def workers(postgres_ready_url: str) -> AsyncIterator[Workers]:
    async with AsyncExitStack() as stack:
        yield Workers(postgres_ready_url, stack)


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=30, limits=httpx2.Limits(max_connections=200)) as client:
        yield client


def rate_limited(rate: float, burst: int) -> Script:
    return Script([Rule(say="hello")], budget=Budget(rate, burst))


async def test_changes_of_many_at_once_are_all_made(workers):
    await workers.start(0)

    async def count_up(engine: PostgresEngine) -> None:
        assert engine.shared_limits is not None
        for _ in range(10):
            await engine.shared_limits.update("p", lambda text, now: (str(int(text or 0) + 1), None))

    await asyncio.gather(*(count_up(engine) for engine in workers.engines for _ in range(3)))
    shared = workers.engines[0].shared_limits
    assert await shared.update("p", lambda text, now: (text or "", text)) == "120"


async def test_the_clock_is_the_databases(workers):
    await workers.start(0, engines=1)
    shared = workers.engines[0].shared_limits
    first = await shared.update("p", lambda text, now: ("x", now))
    assert first == pytest.approx(time.time(), abs=5)
    assert await shared.update("p", lambda text, now: ("x", now)) > first


async def test_news_reach_the_other_engines(workers):
    await workers.start(0, engines=2)
    one, other = (engine.shared_limits for engine in workers.engines)
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    stop = other.listen(lambda provider, news: heard.put_nowait((provider, news)))
    news: tuple[str, str] | None = None
    async with asyncio.timeout(10):
        while news is None:  # until the listener's own statement has arrived
            await one.announce("p", '{"epoch": 1}')
            with suppress(TimeoutError):
                news = await asyncio.wait_for(heard.get(), 0.05)
    assert news == ("p", '{"epoch": 1}')
    stop()


async def test_TL303_ten_workers_that_share_are_refused_much_less_than_ten_that_do_not(workers, http):
    """Side by side, so that a busy machine disturbs both; `tests/runtime/limits` compares with one worker."""
    async with PracticeProvider(rate_limited(10, 10)) as provider, PracticeProvider(rate_limited(10, 10)) as other:
        together, apart = Client(provider.base_url, http), Client(other.base_url, http)
        await workers.start(10)
        strangers = Workers("", AsyncExitStack())
        strangers.boundaries = [ModelBoundary() for _ in range(10)]
        # Those who share nothing may be refused until they give up.
        await asyncio.gather(workers.calls(together, 60), strangers.calls(apart, 60, may_fail=True))
    assert len(together.sent) - together.refused == 60
    assert together.refused <= 0.7 * apart.refused


async def test_what_is_configured_holds_for_all_together(workers, http):
    async with PracticeProvider([Rule(say="hello")]) as provider:
        client = Client(provider.base_url, http)
        await workers.start(8, **{client.provider: ProviderLimits(requests_per_minute=600)})
        start = time.monotonic()
        await workers.calls(client, 80)
        seconds = time.monotonic() - start
    assert client.refused == 0
    # 48 at once at least, at most 60; then 10 a second.
    assert seconds >= (80 - 60) / 10 - 0.1
    for first, moment in enumerate(client.sent):
        within = sum(1 for later in client.sent[first:] if later - moment <= 1)
        assert within <= 60 + 10 * 1.5


async def test_when_the_database_is_gone_they_go_on(workers, http):
    async with PracticeProvider([Rule(say="hello")]) as provider:
        client = Client(provider.base_url, http)
        await workers.start(2, engines=2, **{client.provider: ProviderLimits(requests_per_minute=6000)})
        await workers.calls(client, 10)
        for engine in workers.engines:
            await engine.crash()
        async with asyncio.timeout(10):
            await workers.calls(client, 60)
    assert client.refused == 0
