"""The model boundary: the one place that every model call of every agent crosses.

Retries, limits, metering and the look at how an answer ended live here and only here (hazards TL303,
TL305, TL307). It knows no framework and no HTTP library: an adapter describes its client with `Client`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from turnlane.runtime.agent import ReentrantRun, Run, TurnStopped, current_agent
from turnlane.runtime.conversation import Failure, Usage
from turnlane.runtime.limits import AdaptiveLimit
from turnlane.runtime.retry import Again, Fault, RetryBudget, decide
from turnlane.telemetry.events import emit

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Inspected:
    """What the boundary needs to know of an answer."""

    input_tokens: int = 0
    output_tokens: int = 0
    finish_reason: str = "stop"
    problem: BaseException | None = None
    """The answer can't be used as it is: cut, empty, a tool call without its end."""


class Client(Protocol[T_contra]):
    """A framework's model client, as the boundary sees it."""

    @property
    def provider(self) -> str:
        """Who answers, such as `api.openai.com`: limits and budgets are kept per provider."""
        ...

    @property
    def model(self) -> str: ...

    def fault(self, error: Exception) -> Fault:
        """What an error means for a retry."""
        ...

    def failure(self, error: Exception, fault: Fault) -> Failure:
        """What an error means for the user."""
        ...

    def inspect(self, result: T_contra) -> Inspected: ...


@dataclass
class Provider:
    """What is learned about one provider, for all agents of the process."""

    name: str
    limit: AdaptiveLimit = field(default_factory=AdaptiveLimit)
    budget: RetryBudget = field(default_factory=RetryBudget)
    turnstile: asyncio.Lock = field(default_factory=asyncio.Lock)
    freed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class _Call(Generic[T]):
    """One logical model call: its client, its run, and how often it was sent."""

    run: Run
    client: Client[T]
    provider: Provider
    agent: str
    started: float
    tries: int = 0


class ModelBoundary:
    """Sends model calls: limited per provider, retried when that can help, metered, and stoppable.

    Args:
        max_tries: how often one call may be sent, the first time included.
        clock, sleep, jitter: time and chance; tests own them.
    """

    def __init__(
        self,
        *,
        max_tries: int = 8,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.max_tries = max_tries
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self.providers: dict[str, Provider] = {}

    async def call(self, run: Run, client: Client[T], send: Callable[[], Awaitable[T]]) -> T:
        """Send a call until it is answered, or give up and raise its last error.

        Raises:
            TurnStopped: the turn was cancelled or its deadline is over.
            ReentrantRun: the attempt made more model calls than it may (TL402).
            Exception: the client's own error, when trying again can't help.
        """
        call = self._begin(run, client)
        with run.stoppable():
            while True:
                async with self._slot(call) as slot:
                    try:
                        async with asyncio.timeout(run.model_timeout):
                            result = await send()
                        inspected = client.inspect(result)
                        if inspected.problem is not None:
                            raise inspected.problem
                    except Exception as error:
                        delay = self._after_error(call, slot, error)
                    else:
                        slot.succeeded()
                        self._ended(call, inspected, "ok")
                        return result
                await self._sleep(delay)

    async def stream(
        self, run: Run, client: Client[T], send: Callable[[], AsyncGenerator[str | T, None]]
    ) -> AsyncGenerator[str | T, None]:
        """The same for a stream. It is sent again only while nothing of it was passed on."""
        call = self._begin(run, client)
        with run.stoppable():
            while True:
                passed_on = False
                async with self._slot(call) as slot:
                    pieces = send()
                    inspected: Inspected | None = None
                    try:
                        async for piece in self._pieces(pieces, run.model_timeout):
                            if not isinstance(piece, str):
                                inspected = client.inspect(piece)
                                if inspected.problem is not None:
                                    raise inspected.problem
                            passed_on = True
                            yield piece
                    except Exception as error:
                        delay = self._after_error(call, slot, error, may_retry=not passed_on)
                    else:
                        slot.succeeded()
                        self._ended(call, inspected or Inspected(), "ok")
                        return
                    finally:
                        await pieces.aclose()
                await self._sleep(delay)

    def provider(self, name: str) -> Provider:
        if name not in self.providers:
            self.providers[name] = Provider(name)
        return self.providers[name]

    def _begin(self, run: Run, client: Client[T]) -> _Call[T]:
        run.stop.check()
        if run.usage.model_calls >= run.max_model_calls:
            raise ReentrantRun(
                f"this turn made {run.max_model_calls} model calls, which is its bound (setting max_model_calls): "
                "a tool that runs its own agent, or a team without a termination condition, goes on for ever"
            )
        run.add_usage(Usage(model_calls=1))
        provider = self.provider(client.provider)
        provider.budget.called()
        return _Call(run, client, provider, current_agent.get() or run.agent, self._clock())

    @asynccontextmanager
    async def _slot(self, call: _Call[Any]) -> AsyncIterator[_Slot]:
        provider = call.provider
        async with provider.turnstile:
            while (delay := provider.limit.wait(self._clock())) != 0:
                provider.freed.clear()
                if delay is None:
                    await provider.freed.wait()
                else:
                    await self._sleep(delay)
            provider.limit.start(self._clock())
        call.tries += 1
        slot = _Slot(provider, self._clock)
        try:
            yield slot
        finally:
            slot.close()

    async def _pieces(
        self, pieces: AsyncGenerator[str | T, None], timeout: float | None
    ) -> AsyncGenerator[str | T, None]:
        while True:
            async with asyncio.timeout(timeout):
                try:
                    piece = await anext(pieces)
                except StopAsyncIteration:
                    return
            yield piece

    def _after_error(self, call: _Call[Any], slot: _Slot, error: Exception, *, may_retry: bool = True) -> float:
        """Seconds until the call is sent again; raises `error` when it is not."""
        if isinstance(error, TurnStopped | ReentrantRun):
            raise error
        fault = call.client.fault(error)
        slot.failed(fault)
        decision = decide(
            fault,
            attempt=call.tries,
            max_attempts=self.max_tries if may_retry else 0,
            seconds_left=call.run.seconds_left(),
            budget_left=call.provider.budget.left(),
            jitter=self._jitter(),
        )
        if not isinstance(decision, Again):
            failure = call.client.failure(error, fault)
            call.run.note_failure(failure)
            self._ended(call, Inspected(finish_reason="error"), failure.code)
            raise error
        if fault.kind != "refused":
            call.provider.budget.spend()
        call.run.add_usage(Usage(retries=1))
        emit(
            "model.retry",
            provider=call.provider.name,
            model=call.client.model,
            agent=call.agent,
            tries=call.tries,
            delay=round(decision.delay, 3),
            status=fault.status,
            reason=type(error).__name__,
        )
        return decision.delay

    def _ended(self, call: _Call[Any], answer: Inspected, outcome: str) -> None:
        seconds = self._clock() - call.started
        run = call.run
        run.add_usage(Usage(answer.input_tokens, answer.output_tokens))
        if outcome == "ok":
            run.emit(
                "model.call",
                agent=call.agent,
                model=call.client.model,
                input_tokens=answer.input_tokens,
                output_tokens=answer.output_tokens,
                retries=call.tries - 1,
                seconds=round(seconds, 4),
                finish_reason=answer.finish_reason,
            )
        emit(
            "model.call",
            provider=call.provider.name,
            model=call.client.model,
            agent=call.agent,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            seconds=seconds,
            retries=call.tries - 1,
            finish_reason=answer.finish_reason,
            outcome=outcome,
        )


class _Slot:
    """A place among a provider's running calls; given back exactly once, however the call ends."""

    def __init__(self, provider: Provider, clock: Callable[[], float]) -> None:
        self._provider = provider
        self._clock = clock
        self._open = True

    def succeeded(self) -> None:
        if self._take():
            self._provider.limit.succeeded(self._clock())

    def failed(self, fault: Fault) -> None:
        if not self._take():
            return
        limit = self._provider.limit
        if fault.kind not in ("refused", "overloaded"):
            limit.failed(self._clock())
            return
        limit.overloaded(self._clock(), fault.retry_after)
        emit(
            "model.limit",
            provider=self._provider.name,
            concurrency=int(limit.concurrency),
            rate=limit.rate,
            paused=fault.retry_after,
        )

    def close(self) -> None:
        # Cancelled, stopped, or a stream that its reader left.
        if self._take():
            self._provider.limit.failed(self._clock())

    def _take(self) -> bool:
        taken, self._open = self._open, False
        if taken:
            self._provider.freed.set()
        return taken
