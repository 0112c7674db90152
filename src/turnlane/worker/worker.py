"""A worker: takes claims from an engine, runs each in a task of its own, and ends them in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from turnlane.runtime.agent import ActiveRuns, Adapter, Run, SharedObject, StopReason
from turnlane.runtime.app import AgentSpec, App, AppError
from turnlane.runtime.conversation import Claim, StopAsk, Turn
from turnlane.runtime.engine import Engine
from turnlane.runtime.importing import where, without_a_key
from turnlane.runtime.model import ModelBoundary
from turnlane.runtime.tool_threads import ToolThreads
from turnlane.telemetry.events import emit
from turnlane.worker.turn import NotAnAgent, TurnAttempt, adapter_for, build

STOPPED: Final[Mapping[StopAsk, StopReason]] = {
    "cancel": "cancelled",
    "interrupt": "interrupted",
    "rollback": "rolled_back",
}


class TurnWorker:
    """Runs the turns of an app's agents.

    Args:
        capacity: turns at once in this process. A turn mostly waits for its model, so this bounds memory,
            not CPU.
        tool_threads: threads for sync tools. They are waited for, so there must be more of them than tools
            that wait at once; asyncio's own default is six on two cores (hazard TL504).
    """

    def __init__(
        self,
        engine: Engine,
        app: App,
        adapters: Sequence[Adapter],
        *,
        capacity: int = 1000,
        tool_threads: int = 64,
        boundary: ModelBoundary | None = None,
        log_content: bool = False,
    ) -> None:
        self.capacity = capacity
        self.boundary = boundary or ModelBoundary(limits=app.limits, shared=engine.shared_limits)
        self.active = ActiveRuns()
        self._engine = engine
        self._app = app
        self._adapters = adapters
        self._tool_threads = tool_threads
        self._log_content = log_content
        self._attempts: dict[str, TurnAttempt] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()
        self._resources: Any = {}
        self._started = False

    @property
    def agent_limits(self) -> Mapping[str, int | None]:
        return {name: spec.settings.max_running for name, spec in self._app.agents.items()}

    @property
    def running(self) -> int:
        """Attempts that run now."""
        return len(self._attempts)

    async def start(self) -> None:
        """Make the resources, warm the agents up, and begin to take turns.

        Raises:
            AppError: a resource or a factory fails, or a factory gives the same object twice (TL201).
        """
        if self._started:
            return
        self._started = True
        executor = ToolThreads(self._tool_threads, thread_name_prefix="turnlane-tool")
        asyncio.get_running_loop().set_default_executor(executor)
        try:
            await self._make_resources()
            for adapter in self._adapters:
                await adapter.warm_up()
            for spec in self._app.agents.values():
                await self._warm_up(spec)
        except BaseException:
            await self._stack.aclose()
            raise
        await self._engine.attach(self)

    async def drain(self, grace: float) -> int:
        """Take no more turns, wait up to `grace` seconds for running ones, give the rest back.

        Returns:
            how many were given back; they run again at the next start.
        """
        await self._engine.detach(self)
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=grace)
        released = list(self._attempts.values())
        for attempt in released:
            attempt.stop("shutdown")
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        return sum(1 for attempt in released if attempt.run.stop.reason == "shutdown")

    async def close(self) -> None:
        """Drain without waiting and close the resources. May be called twice."""
        if not self._started:
            return
        await self.drain(0)
        self._started = False
        await self.boundary.close()
        await self._stack.aclose()
        for adapter in self._adapters:
            await adapter.close()

    # --- what the engine calls (turnlane.runtime.engine.Worker) ---

    def deliver(self, claim: Claim) -> None:
        spec = self._app.agents[claim.turn.agent]
        settings = spec.settings
        run = Run(
            claim=claim,
            agent=spec.name,
            publish=lambda event: None,
            boundary=self.boundary,
            deadline=None if settings.deadline is None else time.monotonic() + settings.deadline,
            tool_timeout=settings.tool_timeout,
            model_timeout=settings.model_timeout,
            max_model_calls=settings.max_model_calls,
            once_tools=settings.once_tools,
            log_content=self._log_content,
        )
        attempt = TurnAttempt(run, spec, self._engine, self._adapters, self._resources)
        self._attempts[claim.turn.id] = attempt
        self.active.add(run)
        task = asyncio.get_running_loop().create_task(self._settle(attempt), name=f"turn {claim.turn.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, turn_id: str, attempt: int, why: StopAsk) -> None:
        self._end(turn_id, attempt, STOPPED[why])

    def lost(self, turn_id: str, attempt: int) -> None:
        self._end(turn_id, attempt, "lost")

    def _end(self, turn_id: str, attempt: int, reason: StopReason) -> None:
        running = self._attempts.get(turn_id)
        if running is not None and running.run.claim.attempt == attempt:
            running.stop(reason)

    async def _settle(self, attempt: TurnAttempt) -> None:
        run = attempt.run
        try:
            await attempt.settle()
            if run.stop.reason == "shutdown":
                await self._engine.release(run.claim)
                emit("turn.released", turn=run.claim.turn.id, attempt=run.claim.attempt)
        finally:
            self._attempts.pop(run.claim.turn.id, None)
            self.active.remove(run)

    async def _make_resources(self) -> None:
        if self._app.resources is None:
            return
        try:
            self._resources = await self._stack.enter_async_context(self._app.resources())
        except Exception as error:
            raise AppError(
                f"the app's resources can't be made: {type(error).__name__}: {error}{without_a_key(error)}"
            ) from error
        if self._resources is None:
            self._resources = {}

    async def _warm_up(self, spec: AgentSpec) -> None:
        """Build the agent twice: imports and TLS are paid before the first user, and sharing is found now."""
        for _ in range(2):
            try:
                built = await build(spec, self._resources)
                prepared = adapter_for(built, spec, self._adapters).prepare(built, self._trial_run(spec))
            except SharedObject as error:
                raise AppError(f"agent {spec.name!r}: {error} (hazard {error.hazard})") from error
            except (AppError, NotAnAgent) as error:
                raise AppError(str(error)) from error
            except Exception as error:
                raise AppError(
                    f"{where(error)}the factory of agent {spec.name!r} raised {type(error).__name__}: {error}"
                    f"{without_a_key(error)}"
                ) from error
            await prepared.discard()

    def _trial_run(self, spec: AgentSpec) -> Run:
        turn = Turn(
            id="resp_trial",
            conversation="conv_trial",
            agent=spec.name,
            key="",
            position=0,
            status="running",
            attempt=1,
            input=(),
        )
        return Run(Claim(turn, None), spec.name, lambda event: None, self.boundary)
