"""The model boundary: the one place that every model call of every agent crosses.

Retries, limits, metering and the look at how an answer ended live here and only here (hazards TL303,
TL305, TL307). It knows no framework and no HTTP library: an adapter describes its client with `Client`.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from turnlane.runtime.agent import ReentrantRun, Run, TooManyModelCalls, TurnStopped, current_agent
from turnlane.runtime.conversation import Failure, Usage
from turnlane.runtime.gate import Provider, Slot
from turnlane.runtime.limits import ProviderLimits
from turnlane.runtime.retry import Again, Fault, GiveUp, decide
from turnlane.runtime.shared_limiter import Sharing
from turnlane.runtime.shared_limits import SharedLimits
from turnlane.telemetry.events import emit

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Inspected:
    """What the boundary needs to know of an answer."""

    input_tokens: int = 0
    output_tokens: int = 0
    finish_reason: str = "stop"
    problem: BaseException | None = None
    """The answer can't be used as it is: cut, empty, a tool call without its end."""


class Client(Protocol[T]):
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

    def inspect(self, result: T) -> Inspected: ...

    def answered(self, result: T) -> None:
        """Take note of an answer to this turn, also of one that an earlier attempt got."""
        ...

    def to_json(self, result: T) -> Any:
        """An answer, to be kept for another attempt of the turn."""
        ...

    def from_json(self, kept: Any) -> T: ...


class ProviderPaused(Exception):
    """The provider asked every caller to wait, longer than the turn has time: not sent at all (TL303)."""


@dataclass
class _Call(Generic[T]):
    """One logical model call: its client, its run, and how often it was sent."""

    run: Run
    client: Client[T]
    provider: Provider
    agent: str
    asked: str
    ticket: int
    started: float
    tries: int = 0


class ModelBoundary:
    """Sends model calls: limited per provider, retried when that can help, metered, and stoppable.

    A question that was answered before, in this turn or in the one that it goes on from, is not sent.

    Args:
        max_tries: how often one call may be sent, the first time included.
        limits: what each provider may be sent, by its name; others have only what is learned.
        shared: where the workers of all processes share what they may send; None: this is the only one.
        clock, sleep, jitter: time and chance; tests own them.
    """

    def __init__(
        self,
        *,
        max_tries: int = 8,
        limits: Mapping[str, ProviderLimits] | None = None,
        shared: SharedLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.max_tries = max_tries
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self.providers: dict[str, Provider] = {}
        self._tickets = itertools.count()
        self._limits = limits or {}
        self._shared = shared
        self._sharing = Sharing()
        self._worker = secrets.token_hex(6)
        self._stop_listening = shared.listen(self._hear) if shared is not None else None

    async def call(self, run: Run, client: Client[T], send: Callable[[], Awaitable[T]], asked: str = "") -> T:
        """Send a call until it is answered, or give up and raise its last error.

        Args:
            asked: a digest of the question; empty: it is not known to the run's ledger.

        Raises:
            TurnStopped: the turn was cancelled or its deadline is over.
            TooManyModelCalls: the attempt made all the model calls that it may.
            Exception: the client's own error, when trying again can't help.
        """
        if (kept := self._kept(run, client, asked)) is not None:
            return kept
        call = self._begin(run, client, asked)
        with run.stoppable(), self._told_when_stopped(call):
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
                        slot.succeeded(inspected.input_tokens + inspected.output_tokens)
                        self._ended(call, inspected, "ok")
                        self._answered(call, result, inspected)
                        return result
                await self._sleep(delay)

    async def stream(
        self, run: Run, client: Client[T], send: Callable[[], AsyncGenerator[str | T, None]], asked: str = ""
    ) -> AsyncGenerator[str | T, None]:
        """The same for a stream. It is sent again only while nothing of it was passed on.

        An answer of before comes in one piece.
        """
        if (kept := self._kept(run, client, asked)) is not None:
            yield kept
            return
        call = self._begin(run, client, asked)
        with run.stoppable(), self._told_when_stopped(call):
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
                                self._answered(call, piece, inspected)
                            passed_on = True
                            yield piece
                    except Exception as error:
                        delay = self._after_error(call, slot, error, may_retry=not passed_on)
                    else:
                        inspected = inspected or Inspected()
                        slot.succeeded(inspected.input_tokens + inspected.output_tokens)
                        self._ended(call, inspected, "ok")
                        return
                    finally:
                        await pieces.aclose()
                await self._sleep(delay)

    async def close(self) -> None:
        """Give back this worker's share of what all may send. May be called twice."""
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
            shared = [
                provider.shared.close() for provider in self.providers.values() if provider.shared is not None
            ]
            await asyncio.gather(*shared)

    def _hear(self, provider: str, news: str) -> None:
        known = self.providers.get(provider)
        if known is not None and known.shared is not None:
            known.shared.hear(news)

    def provider(self, name: str) -> Provider:
        if name not in self.providers:
            provider = Provider(name, self._clock, self._sleep, self._limits.get(name))
            if self._shared is not None:
                provider.share(self._worker, self._shared, self._sharing, self._jitter)
            self.providers[name] = provider
        return self.providers[name]

    def _kept(self, run: Run, client: Client[T], asked: str) -> T | None:
        """What the question was answered before; told as a call of this attempt if it is one of this turn."""
        kept = run.ledger.model_answer(client.model, asked) if asked else None
        if kept is None:
            return None
        result = client.from_json(kept.answer)
        if kept.usage is not None:
            run.stop.check()
            run.count_model_call(paid=True)
            client.answered(result)
            self._tell_again(run, client, kept.usage, client.inspect(result).finish_reason)
        return result

    @staticmethod
    def _tell_again(run: Run, client: Client[Any], usage: Usage, finish_reason: str) -> None:
        run.emit(
            "model.call",
            agent=current_agent.get() or run.agent,
            model=client.model,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            retries=usage.retries,
            seconds=0.0,
            finish_reason=finish_reason,
            replayed=True,
        )

    @staticmethod
    def _answered(call: _Call[T], result: T, answer: Inspected) -> None:
        """At once, before the agent goes on by it: what it does next is recorded behind it."""
        call.client.answered(result)
        if call.asked:
            usage = Usage(answer.input_tokens, answer.output_tokens, 1, call.tries - 1)
            call.run.ledger.model_answered(call.client.model, call.asked, call.client.to_json(result), usage)

    def _begin(self, run: Run, client: Client[T], asked: str) -> _Call[T]:
        run.stop.check()
        run.ledger.before_new()
        run.count_model_call()
        provider = self.provider(client.provider)
        provider.budget.called()
        agent = current_agent.get() or run.agent
        return _Call(run, client, provider, agent, asked, next(self._tickets), self._clock())

    @contextmanager
    def _told_when_stopped(self, call: _Call[Any]) -> Iterator[None]:
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self._ended(call, Inspected(finish_reason="cancelled"), "cancelled")
            raise

    @asynccontextmanager
    async def _slot(self, call: _Call[Any]) -> AsyncIterator[Slot]:
        provider = call.provider
        self._refuse_hopeless(call)
        slot = await provider.enter(call.ticket, call.client.model)
        call.tries += 1
        try:
            yield slot
        finally:
            slot.close()

    def _refuse_hopeless(self, call: _Call[Any]) -> None:
        """Say now what would else be said at the deadline: that the provider lets nobody in before it."""
        left = call.run.seconds_left()
        pause = call.provider.limit.paused_until - self._clock()
        if left is None or pause < left:
            return
        name = call.provider.name
        error = ProviderPaused(
            f"{name} asked to wait for another {pause:.0f} s, and the turn's deadline is in {left:.0f} s"
        )
        call.run.note_failure(
            Failure(
                type="ProviderPaused",
                message=str(error),
                kind="provider",
                code="rate_limit_exceeded",
                hazard="TL303",
                agent=call.agent,
                retryable=True,
            )
        )
        self._ended(call, Inspected(finish_reason="error"), "rate_limit_exceeded")
        raise error

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

    def _after_error(self, call: _Call[Any], slot: Slot, error: Exception, *, may_retry: bool = True) -> float:
        """Seconds until the call is sent again; raises `error` when it is not."""
        if isinstance(error, TurnStopped | ReentrantRun | TooManyModelCalls):
            raise error
        fault = call.client.fault(error)
        slot.failed(fault)
        decision: Again | GiveUp = GiveUp("part of the answer was already shown")
        if may_retry:
            decision = decide(
                fault,
                attempt=call.tries,
                max_attempts=self.max_tries,
                seconds_left=call.run.seconds_left(),
                budget_left=call.provider.budget.left(),
                jitter=self._jitter(),
            )
        if isinstance(decision, GiveUp):
            failure = call.client.failure(error, fault)
            if fault.kind != "deterministic":
                failure = replace(failure, message=f"{failure.message} (not tried again: {decision.reason})")
            if not may_retry and failure.hazard is None:
                failure = replace(failure, code="answer_cut", hazard="TL307")
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
