"""A provider as all agents of a process see it: who may call it now, and how its answers change that."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from turnlane.runtime.limiter import Limiter, UsualTokens
from turnlane.runtime.limits import AdaptiveLimit, ProviderLimits
from turnlane.runtime.retry import Fault, RetryBudget
from turnlane.runtime.shared_limiter import SharedLimiter, Sharing
from turnlane.runtime.shared_limits import SharedLimits
from turnlane.telemetry.events import emit


class Admission(Protocol):
    """What decides when a call may start: `Limiter`, or `SharedLimiter` where all workers share the limits."""

    adaptive: AdaptiveLimit

    @property
    def rate(self) -> float | None: ...

    @property
    def concurrency(self) -> float: ...

    def wait(self, now: float, tokens: float) -> float | None: ...

    def start(self, now: float, tokens: float) -> None: ...

    def succeeded(self, now: float, tokens: float, used: float) -> None: ...

    def failed(self, now: float) -> None: ...

    def refused(self, now: float, started: float, fault: Fault, tokens: float) -> None: ...


class Gate:
    """Lets calls to one provider through as its limits allow, the oldest first.

    A call that is sent again keeps its place before those that came later. Whoever is stopped while it waits
    leaves at once, and the next one goes on.
    """

    def __init__(
        self, limiter: Admission, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._limiter = limiter
        self._clock = clock
        self._sleep = sleep
        self._waiting: list[tuple[int, int, float, asyncio.Future[float]]] = []
        self._arrivals = itertools.count()
        self._alarm: asyncio.Future[None] | None = None
        self._alarm_at = 0.0

    async def enter(self, ticket: int, tokens: float = 0.0) -> float:
        """Wait for a place.

        Args:
            ticket: the order in which calls came.
            tokens: what the call is expected to use.

        Returns:
            the time of the start.
        """
        place: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (ticket, next(self._arrivals), tokens, place))
        self.let_in()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                # Let in and stopped in the same moment: the place goes to the next.
                self._limiter.failed(self._clock())
            self.let_in()
            raise

    def expected_tokens(self, most: int) -> list[float]:
        """What the calls that wait are expected to use, the next first; of so many at most."""
        waiting = (entry for entry in self._waiting if not entry[3].done())
        return [tokens for _, _, tokens, _ in heapq.nsmallest(most, waiting)]

    def let_in(self) -> None:
        """Start whoever may start now, and see to it that the next is looked at when its time comes."""
        while self._waiting:
            _, _, tokens, place = self._waiting[0]
            if place.done():
                heapq.heappop(self._waiting)
                continue
            now = self._clock()
            delay = self._limiter.wait(now, tokens)
            if delay != 0:
                self._look_again(now, delay)
                return
            heapq.heappop(self._waiting)
            self._limiter.start(now, tokens)
            place.set_result(now)
        self._look_again(0.0, None)

    def _look_again(self, now: float, delay: float | None) -> None:
        if self._alarm is not None:
            if delay is not None and self._alarm_at <= now + delay:
                return
            self._alarm.cancel()
            self._alarm = None
        if delay is not None:
            self._alarm_at = now + delay
            self._alarm = asyncio.ensure_future(self._ring(delay))

    async def _ring(self, delay: float) -> None:
        await self._sleep(delay)
        self._alarm = None
        self.let_in()


class Provider:
    """What is known of one provider, for all agents of the process."""

    def __init__(
        self,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        limits: ProviderLimits | None = None,
    ) -> None:
        self.name = name
        self.limits = limits if limits is not None else ProviderLimits()
        self.budget = RetryBudget()
        self.usual = UsualTokens()
        self.shared: SharedLimiter | None = None
        self._clock = clock
        self._sleep = sleep
        self.limiter: Admission = Limiter(self.limits)
        self.gate = Gate(self.limiter, clock, sleep)

    def share(self, worker: str, store: SharedLimits, sharing: Sharing, jitter: Callable[[], float]) -> None:
        """Share the limits with all workers, before anything is sent."""
        self.shared = SharedLimiter(
            self.name, worker, store, self.limits, self.budget, self.usual, sharing, self._clock, jitter
        )
        self.limiter = self.shared
        self.gate = Gate(self.limiter, self._clock, self._sleep)
        self.shared.waiting = self.gate.expected_tokens
        self.shared.changed = self.gate.let_in

    @property
    def limit(self) -> AdaptiveLimit:
        """What this process learned of it."""
        return self.limiter.adaptive

    async def enter(self, ticket: int, model: str) -> Slot:
        """Wait for a place among the provider's running calls."""
        tokens = self.usual.of(model) if self.limits.tokens_per_minute is not None else 0.0
        started = await self.gate.enter(ticket, tokens)
        return Slot(self, self._clock, started, model, tokens)


class Slot:
    """A place among a provider's running calls; given back exactly once, however the call ends."""

    def __init__(
        self, provider: Provider, clock: Callable[[], float], started: float, model: str, tokens: float
    ) -> None:
        self._provider = provider
        self._clock = clock
        self._started = started
        self._model = model
        self._tokens = tokens
        self._open = True

    def succeeded(self, used: int) -> None:
        """The call was answered, with so many tokens used; 0: it is not known."""
        if not self._open:
            return
        if used:
            self._provider.usual.used(self._model, used)
        self._provider.limiter.succeeded(self._clock(), self._tokens, used or self._tokens)
        self._give_back()

    def failed(self, fault: Fault) -> None:
        if not self._open:
            return
        limiter, now = self._provider.limiter, self._clock()
        refused = fault.kind in ("refused", "overloaded")
        if refused:
            limiter.refused(now, self._started, fault, self._tokens)
        else:
            limiter.failed(now)
        self._give_back()
        if refused and self._provider.shared is None:  # else told when it is known what it means for all
            emit(
                "model.limit",
                provider=self._provider.name,
                concurrency=int(limiter.concurrency),
                rate=limiter.rate,
                paused=fault.retry_after,
            )

    def close(self) -> None:
        # Cancelled, stopped, or a stream that its reader left.
        if self._open:
            self._provider.limiter.failed(self._clock())
            self._give_back()

    def _give_back(self) -> None:
        self._open = False
        self._provider.gate.let_in()
