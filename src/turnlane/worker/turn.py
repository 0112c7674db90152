"""One attempt of a turn, from claimed to settled, as a row of steps.

claim -> build a fresh agent -> load the state -> run -> save the state -> commit. On any error or stop the
objects are dropped and the old state stays; nothing that ran is used again.
"""

from __future__ import annotations

import asyncio
import inspect
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import turnlane
from turnlane.runtime.agent import (
    Adapter,
    Answer,
    Prepared,
    Resources,
    Run,
    StopReason,
    TurnStopped,
    current_agent,
    current_run,
)
from turnlane.runtime.app import AgentSpec, pick_resources
from turnlane.runtime.conversation import (
    CANCELLED,
    ROLLED_BACK,
    Failure,
    LedgerEntry,
    Outcome,
    SavedState,
    Status,
    Turn,
    TurnEvent,
)
from turnlane.runtime.engine import Engine, EngineUnavailable, NotJson, OwnershipLost
from turnlane.runtime.turn_ledger import TurnLedger
from turnlane.telemetry.events import bound, emit
from turnlane.telemetry.redact import redact
from turnlane.worker.records import Records

STOP_GRACE: Final = 1.0
"""Seconds between telling a run to stop and letting go of what does not (promise 6)."""

COMMIT_PAUSE: Final = 1.0
"""Seconds between tries to commit while the store can't be written."""


_FRAME: Final = ("started", "finished")
"""Events of every attempt, beside what it says."""


class NotAnAgent(Exception):
    """A factory returned something that no adapter knows."""


class TurnAttempt:
    """One attempt. `settle` runs it and commits how it ended; it never raises."""

    def __init__(
        self,
        run: Run,
        spec: AgentSpec,
        engine: Engine,
        adapters: Sequence[Adapter],
        resources: Resources,
    ) -> None:
        self.run = run
        self.spec = spec
        self._engine = engine
        self._adapters = adapters
        self._resources = resources
        self._events = _Publisher(engine, run)
        run.publish = self._events.publish
        self._records = Records(engine, run)
        turn, entries = run.claim.turn, run.claim.ledger
        run.ledger = TurnLedger(turn.id, entries, self._records, only_once=not spec.settings.ledger)
        self._prepared: Prepared | None = None
        self._started = time.monotonic()

    async def settle(self) -> None:
        """Run the attempt and commit its outcome, or give it back, or drop it when it is owned by another."""
        turn = self.run.claim.turn
        with bound(turn=turn.id, conversation=turn.conversation, attempt=turn.attempt, request_id=turn.request_id):
            emit(
                "turn.started",
                agent=self.spec.name,
                waited=max(0.0, time.time() - turn.created_at),
                **self._content(input=turn.input),
            )
            current_run.set(self.run)
            self.run.emit("started", attempt=turn.attempt, agent=self.spec.name)
            try:
                outcome = await self._outcome()
            except Exception as error:
                outcome = self._failed(error)
            if outcome is not None:
                self._records.end()
                await self._commit(outcome)
            elif self.run.stop.reason == "shutdown":
                await self._records.settle()
            await self._records.close()

    def stop(self, reason: StopReason) -> None:
        self.run.stop.set(reason)

    async def _outcome(self) -> Outcome | None:
        if uncertain := self.run.ledger.uncertain():
            return await self._held(uncertain)
        return await self._supervised()

    async def _held(self, uncertain: Sequence[LedgerEntry]) -> Outcome:
        """End the turn without running it: a tool may have acted, and must not act twice."""
        await self._show_again()
        tools = " and ".join(f"{entry.name!r} (call {entry.call})" for entry in uncertain)
        failure = Failure(
            type="NeedsAttention",
            message=f"an earlier attempt of this turn died while it ran the tool {tools}, which must not run a "
            "second time: nobody knows whether it acted. Look there first; then correct it by hand, or send the "
            "message again",
            kind="tool",
            code="needs_attention",
            tool=uncertain[0].name,
            agent=self.spec.name,
        )
        emit("turn.failed", type=failure.type, message=failure.message, agent=failure.agent, tool=failure.tool)
        return Outcome("needs_attention", self.run.said.items(), self.run.usage, failure)

    async def _show_again(self) -> None:
        """Show what the earlier attempt showed: whoever looks sees how far it came, and with which call."""
        try:
            events = await self._engine.superseded_events(self.run.claim.turn.id)
        except EngineUnavailable:
            return  # it is a help, and the turn ends without it
        latest = max((event.attempt for event in events if event.kind not in _FRAME), default=0)
        for event in events:
            if event.attempt == latest and event.kind not in _FRAME:
                self.run.emit(event.kind, **event.data)

    async def _supervised(self) -> Outcome | None:
        """The outcome, in bounded time after a stop; None when there is nothing to commit."""
        loop = asyncio.get_running_loop()
        work = asyncio.ensure_future(self._work())
        gave_up: asyncio.Future[None] = loop.create_future()
        grace: list[asyncio.TimerHandle] = []
        self.run.stop.on_set(lambda: grace.append(loop.call_later(STOP_GRACE, gave_up.cancel)))
        deadline = None
        if (seconds := self.run.seconds_left()) is not None:
            deadline = loop.call_later(seconds, self.run.stop.set, "deadline")
        waiting: set[asyncio.Future[Any]] = {work, gave_up}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for timer in (*grace, deadline):
                if timer is not None:
                    timer.cancel()
        if not work.done():
            self._let_go(work)
        elif not work.cancelled():
            work.exception()  # looked at, or asyncio complains of the TurnStopped that nobody retrieved
        if self.run.stop.reason is not None:
            return self._stopped(self.run.stop.reason)
        return self._ended(work)

    async def _work(self) -> tuple[Answer, SavedState]:
        try:
            self._prepared = await self._build()
            if self.run.claim.state is not None:
                await self._prepared.load(self.run.claim.state)
            answer = await self._prepared.run(self.run.claim.turn.input, self.run.claim.items)
            self.run.stop.check()
            return answer, await self._prepared.save()
        finally:
            if self._prepared is not None:
                await self._prepared.discard()

    async def _build(self) -> Prepared:
        with self.run.stoppable():
            built = await build(self.spec, self._resources)
        return adapter_for(built, self.spec, self._adapters).prepare(built, self.run)

    def _let_go(self, work: asyncio.Future[Any]) -> None:
        """What does not end within the grace is left behind: it can't commit, nor show events any more."""
        work.cancel()
        work.add_done_callback(lambda late: late.cancelled() or late.exception())
        emit("turn.leftover", what=f"the run of agent {self.spec.name!r}", agent=self.spec.name)

    def _ended(self, work: asyncio.Future[tuple[Answer, SavedState]]) -> Outcome:
        try:
            answer, state = work.result()
        except asyncio.CancelledError as error:
            # Nobody stopped this run: something inside cancelled it.
            return self._failed(error)
        except Exception as error:
            return self._failed(error)
        status: Status = "incomplete" if answer.incomplete else "completed"
        return Outcome(
            status=status,
            output=answer.output,
            usage=self.run.usage,
            incomplete=answer.incomplete,
            state=state,
        )

    def _failed(self, error: BaseException) -> Outcome:
        failure = self.run.failure or self._failure_of(error)
        emit(
            "turn.failed",
            type=failure.type,
            message=failure.message,
            agent=failure.agent or self.spec.name,
            tool=failure.tool,
            hazard=failure.hazard,
            code=failure.code,
            stack=failure.stack or "".join(traceback.format_exception(error)),
        )
        return Outcome(status="failed", usage=self.run.usage, failure=failure)

    def _failure_of(self, error: BaseException) -> Failure:
        for adapter in self._adapters:
            if (failure := adapter.failure(error)) is not None:
                return failure
        return failure_of(error, agent=current_agent.get() or self.spec.name)

    def _stopped(self, reason: StopReason) -> Outcome | None:
        if reason == "deadline":
            failure = Failure(
                type="DeadlineExceeded",
                message=f"the turn did not end within its deadline of {self.spec.settings.deadline:g} s",
                kind="deadline",
                code="deadline_exceeded",
                hazard="TL306",
                agent=self.spec.name,
            )
            emit("turn.failed", type=failure.type, message=failure.message, agent=failure.agent, hazard="TL306")
            return Outcome(status="failed", usage=self.run.usage, failure=failure)
        if reason == "cancelled":
            return Outcome(status="cancelled", usage=self.run.usage, failure=CANCELLED)
        if reason == "interrupted":
            return Outcome(status="interrupted", output=self.run.said.items(), usage=self.run.usage)
        if reason == "rolled_back":
            return Outcome(status="cancelled", usage=self.run.usage, failure=ROLLED_BACK)
        return None

    async def _commit(self, outcome: Outcome) -> None:
        claim, run = self.run.claim, self.run
        rest = await self._events.close()
        finished = run.number("finished", {"status": outcome.status})
        outcome = replace(outcome, events=(*rest, finished))
        while True:
            try:
                turn = await self._engine.commit(claim, outcome)
            except OwnershipLost:
                emit("turn.dropped")
                return
            except NotJson as error:
                outcome = replace(
                    self._failed(error), events=(*rest, run.number("finished", {"status": "failed"}))
                )
            except EngineUnavailable:
                # The answer is there and the store is not: wait for it, the slot stays taken meanwhile.
                await asyncio.sleep(COMMIT_PAUSE)
            else:
                self._report(turn)
                return

    def _report(self, turn: Turn) -> None:
        emit(
            "turn.ended",
            agent=self.spec.name,
            status=turn.status,
            seconds=time.monotonic() - self._started,
            input_tokens=turn.usage.input_tokens,
            output_tokens=turn.usage.output_tokens,
            model_calls=turn.usage.model_calls,
            retries=turn.usage.retries,
            replayed=self.run.ledger.replayed,
            **self._content(output=turn.output),
        )

    def _content(self, **said: Any) -> dict[str, Any]:
        """What users and models say goes to telemetry only when asked for."""
        return said if self.run.log_content else {}


class _Publisher:
    """Passes events on in order and in batches: what comes up while a batch is under way goes with the next."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._engine = engine
        self._run = run
        self._waiting: list[TurnEvent] = []
        self._task: asyncio.Task[None] | None = None
        self._lost = False

    def publish(self, event: TurnEvent) -> None:
        self._waiting.append(event)
        if self._task is None and not self._lost:
            self._task = asyncio.get_running_loop().create_task(self._pass_on())

    async def close(self) -> list[TurnEvent]:
        """The events that were not passed on; they go with the commit."""
        if self._task is not None:
            await self._task
        rest, self._waiting = self._waiting, []
        return rest

    async def _pass_on(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._engine.publish(self._run.claim, batch)
        except OwnershipLost:
            self._lost = True
            self._run.stop.set("lost")
        except EngineUnavailable:
            # Readers wait; the events go with the commit.
            self._waiting = [*batch, *self._waiting]
            self._lost = True
        finally:
            self._task = None


async def build(spec: AgentSpec, resources: Resources) -> Any:
    """Call a factory, sync or async."""
    built = spec.factory(**pick_resources(spec, resources))
    if inspect.isawaitable(built):
        built = await built
    return built


def adapter_for(built: object, spec: AgentSpec, adapters: Sequence[Adapter]) -> Adapter:
    """Raises NotAnAgent."""
    for adapter in adapters:
        if adapter.accepts(built):
            return adapter
    if built is None:
        raise NotAnAgent(f"the factory of agent {spec.name!r} returned nothing: is a `return` missing?")
    known = ", ".join(adapter.framework for adapter in adapters) or "none"
    raise NotAnAgent(
        f"the factory of agent {spec.name!r} returned {type(built).__name__}, which is no agent or team of a "
        f"known framework ({known})"
    )


def failure_of(error: BaseException, agent: str | None) -> Failure:
    """An exception that no adapter knows: the user's own, or a bug of ours, told apart by where it was raised."""
    stack = "".join(traceback.format_exception(error))
    if isinstance(error, NotJson):
        return Failure("NotJson", str(error), kind="state", code="not_json", agent=agent)
    if isinstance(error, NotAnAgent):
        return Failure("NotAnAgent", str(error), kind="agent", code="not_an_agent", agent=agent)
    if isinstance(error, TurnStopped):
        return Failure("TurnStopped", str(error), kind="cancelled", code="cancelled", agent=agent)
    if _raised_by_us(error):
        return Failure(
            type=type(error).__name__,
            message="an error in Turnlane itself, not in your agent; please report it with this turn's log line",
            kind="turnlane",
            code="turnlane_error",
            agent=agent,
            stack=stack,
        )
    return Failure(
        type=type(error).__name__,
        message=redact(str(error)) or type(error).__name__,
        kind="agent",
        code="agent_error",
        agent=agent,
        stack=stack,
        private=True,
    )


_OURS: Final = str(Path(turnlane.__file__).parent)


def _raised_by_us(error: BaseException) -> bool:
    frame = error.__traceback__
    if frame is None:
        return False
    while frame.tb_next is not None:
        frame = frame.tb_next
    return frame.tb_frame.f_code.co_filename.startswith(_OURS)
