"""Puts a serving process together: front end, worker or both.

`running` and `running_worker` start everything in order and stop it in the reverse order; `turnlane serve`,
`turnlane worker`, `turnlane chat`, tests and benchmarks use them alike.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from turnlane.cli.complaint import FAILED, Complaint
from turnlane.cli.engine_address import EngineAddress, EngineAddressError
from turnlane.cli.listener import AddressUnavailable, Requests, bound_socket, listening, url_of
from turnlane.practice import PortUnavailable, PracticeProvider, ScriptError
from turnlane.runtime.agent import Adapter
from turnlane.runtime.app import App, AppError
from turnlane.runtime.engine import Engine, EngineUnavailable
from turnlane.runtime.intake import Intake
from turnlane.runtime.settings import ProcessSettings, ServeSettings, WorkerSettings
from turnlane.runtime.versions import INSTALL
from turnlane.server.app import ALL_OPERATIONS, PROBES, create_app
from turnlane.server.keys import ApiKeys, KeysError, check_binding
from turnlane.server.settings import Readiness, ServerSettings
from turnlane.telemetry.events import add_sink, emit
from turnlane.telemetry.loop_watch import LoopWatch
from turnlane.telemetry.prometheus import Metrics
from turnlane.telemetry.redact import redact, remember_secrets
from turnlane.worker.worker import TurnWorker

PRACTICE_KEY: Final = "none-needed-for-practice"

EXPOSED: Final = (
    "every user of this machine can read the password in --engine: set TURNLANE_ENGINE instead, or keep the "
    "password in PGPASSWORD or a password file (PGPASSFILE)"
)


@contextmanager
def complaints() -> Iterator[None]:
    """Turns what a serving process raises while it starts into what a verb says."""
    try:
        yield
    except (AppError, EngineAddressError, KeysError, ScriptError) as error:
        raise Complaint(redact(str(error))) from error
    except (AddressUnavailable, EngineUnavailable, PortUnavailable) as error:
        raise Complaint(redact(str(error)), FAILED) from error


@dataclass
class RunningServer:
    """A process that serves: front end, worker or both. Made by `running` and `running_worker`."""

    name: Literal["server", "worker"]
    app: App
    settings: ProcessSettings
    address: EngineAddress
    engine: Engine
    worker: TurnWorker | None
    """None: a front end, the agents run in other processes."""
    intake: Intake
    metrics: Metrics
    keys: ApiKeys | None
    practice: PracticeProvider | None
    url: str = ""
    """Empty: it listens nowhere."""
    requests: Requests | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the HTTP server has ended by itself; it never should."""
    released: int = 0
    """Turns that were given back by `drain`."""

    async def drain(self, grace: float) -> None:
        """Accept no more turns, wait up to `grace` seconds for running ones, give the rest back.

        Reading goes on, so that streams of running turns come to their end. Those of turns that run in other
        processes get the same time.
        """
        end = asyncio.get_running_loop().time() + grace
        if not self.intake.draining:
            self.intake.draining = True
            emit(f"{self.name}.draining", grace=grace, running=self.worker.running if self.worker else 0)
        if self.worker is not None:
            self.released += await self.worker.drain(grace)
        if self.requests is not None and self.address.shared:
            await self.requests.ended(end - asyncio.get_running_loop().time())


@asynccontextmanager
async def running(
    app: App | Callable[[], App], settings: ServeSettings, *, warmed_up: Callable[[], None] | None = None
) -> AsyncIterator[RunningServer]:
    """A server that is ready, until the block ends; then it is drained without waiting.

    Args:
        app: or what loads it; called when the practice provider already answers, because a file may make its
            model client when it is imported.
        warmed_up: called when all is imported and made, before anything is served.

    Raises:
        AppError: the app can't be loaded, or an agent can't be made.
        AddressUnavailable, EngineAddressError, EngineUnavailable, KeysError, ScriptError, PortUnavailable
    """
    address = EngineAddress.of(settings.engine, settings.data)
    if settings.no_worker and not address.shared:
        raise EngineAddressError(
            f"--no-worker needs an engine that several processes share: in {address.shown} nobody else could run "
            "the turns; leave it out, or give --engine postgresql://..."
        )
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(bound_socket(settings.host, settings.port))
        keys = _keys(settings)
        check_binding(settings.host, keys, settings.allow_anonymous)
        server = await _started(stack, app, settings, address, keys, warmed_up, alone=settings.no_worker)
        http = ServerSettings(host=settings.host, max_body=settings.max_body)
        await _listen(stack, server, listener, http)
        _serving(stack, server)
        yield server
        await _end(server)


@asynccontextmanager
async def running_worker(
    app: App | Callable[[], App], settings: WorkerSettings, *, warmed_up: Callable[[], None] | None = None
) -> AsyncIterator[RunningServer]:
    """A worker that takes turns, until the block ends; then it is drained without waiting.

    Raises:
        what `running` raises.
    """
    address = EngineAddress.of(settings.engine, Path())
    if not address.shared:
        raise EngineAddressError(
            "a worker needs an engine that several processes share: give --engine postgresql://USER@HOST/DATABASE "
            "or set TURNLANE_ENGINE; the embedded engine belongs to one process, whose `turnlane serve` runs the "
            "agents"
        )
    async with AsyncExitStack() as stack:
        listener = None
        if settings.health_port is not None:
            listener = stack.enter_context(
                bound_socket(settings.health_host, settings.health_port, flag="health-port")
            )
        worker = await _started(stack, app, settings, address, _keys(settings), warmed_up, name="worker")
        if listener is not None:
            await _listen(stack, worker, listener, ServerSettings(host=settings.health_host))
        _serving(stack, worker)
        yield worker
        await _end(worker)


@contextmanager
def running_in_thread(app: App | Callable[[], App], settings: ServeSettings) -> Iterator[RunningServer]:
    """The same in a thread with a loop of its own, for code that is not async.

    Raises:
        what `running` raises.
    """
    ready: Future[tuple[RunningServer, Callable[[], object]]] = Future()
    thread = threading.Thread(target=_run_thread, args=(app, settings, ready), name="turnlane server")
    thread.start()
    try:
        server, stop = ready.result()
        try:
            yield server
        finally:
            stop()
    finally:
        thread.join()


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop where there is one: half the CPU of asyncio's own per request."""
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _run_thread(
    app: App | Callable[[], App],
    settings: ServeSettings,
    ready: Future[tuple[RunningServer, Callable[[], object]]],
) -> None:
    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        async with running(app, settings) as server:
            ready.set_result((server, lambda: loop.call_soon_threadsafe(stop.set)))
            await stop.wait()

    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(serve())
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)


# --- the parts, in the order of their start ---


async def _started(
    stack: AsyncExitStack,
    app: App | Callable[[], App],
    settings: ProcessSettings,
    address: EngineAddress,
    keys: ApiKeys | None,
    warmed_up: Callable[[], None] | None,
    *,
    name: Literal["server", "worker"] = "server",
    alone: bool = False,
) -> RunningServer:
    """App, engine, worker (not with `alone`) and metrics, to be ended by `stack`."""
    remember_secrets(address.with_secrets())
    provider = stack.enter_context(_practice(settings))
    loaded = app if isinstance(app, App) else app()
    remember_secrets(address.with_secrets())  # the file may have loaded a .env
    engine = await stack.enter_async_context(_opened(address.engine(settings)))
    worker = None
    if not alone:
        worker = await stack.enter_async_context(_started_worker(engine, loaded, settings))
    if warmed_up is not None:
        warmed_up()
    metrics = Metrics(engine.stats)
    stack.callback(add_sink(metrics))
    return RunningServer(
        name=name,
        app=loaded,
        settings=settings,
        address=address,
        engine=engine,
        worker=worker,
        intake=Intake(engine, loaded.agents, worker.active if worker is not None else None),
        metrics=metrics,
        keys=keys,
        practice=provider,
    )


def _serving(stack: AsyncExitStack, server: RunningServer) -> None:
    stack.enter_context(_watched_loop(server.settings.loop_watch))
    _tell_started(server)


async def _end(server: RunningServer) -> None:
    await server.drain(0)
    # Before the HTTP server ends: requests that still wait for a turn are told that it runs later.
    if server.worker is not None:
        await server.worker.close()
    await server.engine.close()
    emit(f"{server.name}.stopped", released=server.released)


def _keys(settings: ProcessSettings) -> ApiKeys | None:
    if settings.api_key_file is not None:
        return ApiKeys.from_file(settings.api_key_file)
    return ApiKeys.from_environment()


@contextmanager
def _practice(settings: ProcessSettings) -> Iterator[PracticeProvider | None]:
    """The practice provider, if asked for, as what OpenAI's clients find in the environment.

    It has a thread and a loop of its own: an agent that blocks the server's loop must not block its model too.
    """
    if not settings.practises:
        yield None
        return
    with (
        PracticeProvider.in_thread(settings.practice_script, keep_requests=0) as provider,
        _environment({"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": PRACTICE_KEY}),
    ):
        yield provider


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@asynccontextmanager
async def _opened(engine: Engine) -> AsyncIterator[Engine]:
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def _started_worker(engine: Engine, app: App, settings: ProcessSettings) -> AsyncIterator[TurnWorker]:
    worker = TurnWorker(
        engine,
        app,
        _adapters(),
        capacity=settings.capacity,
        tool_threads=settings.tool_threads,
        log_content=settings.log_content,
    )
    await worker.start()
    try:
        yield worker
    finally:
        await worker.close()


def _adapters() -> Sequence[Adapter]:
    """The adapters of the frameworks. Imported late: half a second that no refusal should have to wait for."""
    try:
        from turnlane.runtime.agents.agentchat import AgentchatAdapter
    except ModuleNotFoundError as error:
        raise AppError(f"{error.name} is not installed: {INSTALL}") from error
    return [AgentchatAdapter()]


async def _listen(
    stack: AsyncExitStack, server: RunningServer, listener: socket.socket, settings: ServerSettings
) -> None:
    """Answer requests: all of them at a server, those about its health at a worker."""
    http = create_app(
        server.intake,
        keys=server.keys,
        settings=settings,
        ready=lambda: Readiness(ready=server.engine.trouble is None, reason=server.engine.trouble),
        metrics=server.metrics.page,
        operations=ALL_OPERATIONS if server.name == "server" else PROBES,
    )
    server.requests = Requests(_FreshMetrics(http, server.metrics))
    server.url = url_of(settings.host, listener)
    await stack.enter_async_context(listening(server.requests, listener, server.stopped))


class _FreshMetrics:
    """Asks the engine for the queue before a scrape is answered."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == "/metrics":
            await self._metrics.refresh()
        await self._app(scope, receive, send)


@contextmanager
def _watched_loop(threshold: float) -> Iterator[None]:
    if not threshold:
        yield
        return
    watch = LoopWatch(threshold)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


def _tell_started(server: RunningServer) -> None:
    emit(
        f"{server.name}.started",
        address=server.url or None,
        agents=list(server.app.agents),
        data=server.address.shown,
        keys=len(server.keys) if server.keys is not None else 0,
        practice=server.practice.base_url if server.practice is not None else None,
        note=EXPOSED if server.address.exposed_in(sys.argv) else None,
    )
