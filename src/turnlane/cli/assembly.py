"""Puts a serving process together: the one place that picks an engine and an adapter.

`running` starts everything in order and stops it in the reverse order; `turnlane serve`, `turnlane chat`, tests
and benchmarks use it alike.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from turnlane.cli.complaint import FAILED, Complaint
from turnlane.practice import PortUnavailable, PracticeProvider, ScriptError
from turnlane.runtime.agent import Adapter
from turnlane.runtime.app import App, AppError
from turnlane.runtime.engine import Engine, EngineUnavailable
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.runtime.intake import Intake
from turnlane.runtime.settings import ServeSettings
from turnlane.runtime.versions import INSTALL
from turnlane.server.app import create_app
from turnlane.server.keys import ApiKeys, KeysError, check_binding
from turnlane.server.settings import Readiness, ServerSettings
from turnlane.telemetry.events import add_sink, emit
from turnlane.telemetry.loop_watch import LoopWatch
from turnlane.telemetry.prometheus import Metrics
from turnlane.telemetry.redact import redact, remember_secrets
from turnlane.worker.worker import TurnWorker

STREAM_GRACE: Final = 3.0
"""Seconds that open connections get after the drain. What still streams then follows a turn that waits."""

KEEP_ALIVE: Final = 75.0
"""Seconds; longer than a reverse proxy's own, so that the proxy and not we close an idle connection (else 502)."""

PRACTICE_KEY: Final = "none-needed-for-practice"


class AddressUnavailable(Exception):
    """The address can't be listened on. The message says why and what to do."""


@contextmanager
def complaints() -> Iterator[None]:
    """Turns what `running` raises into what a verb says."""
    try:
        yield
    except (AppError, KeysError, ScriptError) as error:
        raise Complaint(redact(str(error))) from error
    except (AddressUnavailable, EngineUnavailable, PortUnavailable) as error:
        raise Complaint(redact(str(error)), FAILED) from error


@dataclass
class RunningServer:
    """A process that serves. Made by `running`."""

    app: App
    settings: ServeSettings
    engine: Engine
    worker: TurnWorker
    intake: Intake
    metrics: Metrics
    keys: ApiKeys | None
    url: str
    practice: PracticeProvider | None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the HTTP server has ended by itself; it never should."""
    released: int = 0
    """Turns that were given back by `drain`."""

    async def drain(self, grace: float) -> None:
        """Accept no more turns, wait up to `grace` seconds for running ones, give the rest back.

        Reading goes on, so that streams of running turns come to their end.
        """
        if not self.intake.draining:
            self.intake.draining = True
            emit("server.draining", grace=grace, running=self.worker.running)
        self.released += await self.worker.drain(grace)


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
        AddressUnavailable, EngineUnavailable, KeysError, ScriptError, PortUnavailable
    """
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_bound_socket(settings.host, settings.port))
        keys = _keys(settings)
        check_binding(settings.host, keys, settings.allow_anonymous)
        provider = stack.enter_context(_practice(settings))
        loaded = app if isinstance(app, App) else app()
        remember_secrets()  # the file may have loaded a .env
        engine = await stack.enter_async_context(_open_engine(settings))
        worker = await stack.enter_async_context(_started_worker(engine, loaded, settings))
        if warmed_up is not None:
            warmed_up()
        metrics = Metrics(engine.stats)
        stack.callback(add_sink(metrics))
        server = RunningServer(
            app=loaded,
            settings=settings,
            engine=engine,
            worker=worker,
            intake=Intake(engine, loaded.agents, worker.active),
            metrics=metrics,
            keys=keys,
            url=_url(settings.host, listener),
            practice=provider,
        )
        await stack.enter_async_context(_listening(server, listener))
        stack.enter_context(_watched_loop(settings.loop_watch))
        _tell_started(server)
        yield server
        await server.drain(0)
        # Before the HTTP server ends: requests that still wait for a turn are told that it runs later.
        await worker.close()
        await engine.close()
        emit("server.stopped", released=server.released)


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


@contextmanager
def _bound_socket(host: str, port: int) -> Iterator[socket.socket]:
    """The address, taken before anything slow or durable happens. It listens only when we are ready."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise AddressUnavailable(f"{host} is no address of this machine: {error.strerror}") from None
    with socket.socket(family, kind, protocol) as listener:
        # A restarted server must not wait for the connections of the one before to be forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            _refuse_taken(listener, port)
        except OSError as error:
            raise AddressUnavailable(_why_not(host, port, error)) from None
        yield listener


def _refuse_taken(listener: socket.socket, port: int) -> None:
    """With SO_REUSEADDR only `listen` tells that another process listens; tried on a twin, closed at once."""
    if port == 0:
        return
    with socket.socket(listener.family, listener.type, listener.proto) as twin:
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        twin.bind(listener.getsockname())
        twin.listen(1)


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another process: stop it, or choose another with --port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission to listen on port {port} of {host}: choose a port from 1024 up with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: choose another with --host"
    return f"can't listen on {host} port {port}: {error.strerror or error}"


def _keys(settings: ServeSettings) -> ApiKeys | None:
    if settings.api_key_file is not None:
        return ApiKeys.from_file(settings.api_key_file)
    return ApiKeys.from_environment()


@contextmanager
def _practice(settings: ServeSettings) -> Iterator[PracticeProvider | None]:
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
async def _open_engine(settings: ServeSettings) -> AsyncIterator[Engine]:
    engine = make_engine(settings.engine, settings.data, settings)
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


def make_engine(url: str | None, folder: Path, settings: ServeSettings) -> Engine:
    """The engine of a URL; None: the embedded one in `folder`.

    Raises:
        EngineUnavailable: there is no engine for the URL.
    """
    if url is not None:
        raise EngineUnavailable(
            f"there is no engine for {url.partition(':')[0]!r} in this version: leave --engine out to use the "
            "embedded one, in the folder of --data"
        )
    return EmbeddedEngine(folder, bounds=settings.bounds)


@asynccontextmanager
async def _started_worker(engine: Engine, app: App, settings: ServeSettings) -> AsyncIterator[TurnWorker]:
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


@asynccontextmanager
async def _listening(server: RunningServer, listener: socket.socket) -> AsyncIterator[None]:
    """The HTTP server, from when it listens."""
    http = _Http(_config(server))
    task = asyncio.create_task(http.serve(sockets=[listener]), name="http server")
    task.add_done_callback(lambda _: server.stopped.set())
    ready = asyncio.create_task(http.ready.wait())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        ready.cancel()
        task.result()
    try:
        yield
    finally:
        http.should_exit = True
        with suppress(asyncio.CancelledError):
            await task


class _Http(uvicorn.Server):
    """uvicorn without its own signal handling: we drain first."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def capture_signals(self) -> Any:
        return nullcontext()


def _config(server: RunningServer) -> uvicorn.Config:
    settings = server.settings
    http = create_app(
        server.intake,
        keys=server.keys,
        settings=ServerSettings(host=settings.host, max_body=settings.max_body),
        ready=lambda: Readiness(ready=True),
        metrics=server.metrics.page,
    )
    return uvicorn.Config(
        _FreshMetrics(http, server.metrics),
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # A client's address that it can choose itself is worth nothing: who calls is told by the key, and TL402 is
        # noticed by the connection's real other end.
        proxy_headers=False,
        timeout_keep_alive=int(KEEP_ALIVE),
        timeout_graceful_shutdown=int(STREAM_GRACE),
        backlog=2048,
    )


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


def _url(host: str, listener: socket.socket) -> str:
    """What to type into a client: an address that listens everywhere is reached as loopback."""
    name, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - compared, not bound
    if host.strip("[]").lower() == "localhost":
        shown = "localhost"
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _tell_started(server: RunningServer) -> None:
    emit(
        "server.started",
        address=server.url,
        agents=list(server.app.agents),
        data=str(server.settings.data),
        keys=len(server.keys) if server.keys is not None else 0,
        practice=server.practice.base_url if server.practice is not None else None,
    )
