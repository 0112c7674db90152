"""The practice provider as an object: started in the running loop, in a thread, or as a process's only job."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

from .app import PracticeApp
from .faults import FaultBoard
from .listener import Listener
from .recorder import RecordedRequest, Recorder
from .script import Script, ScriptLike, as_script
from .script_file import default_script, load_script

ScriptSource = ScriptLike | str | Path | None
"""A Script, rules, a function, the path of a script file, or None for the default script."""


class PracticeProvider:
    """An OpenAI-compatible server with scripted answers and faults, on an address of this machine.

    Use it as an async context manager, or `in_thread` where no loop runs::

        async with PracticeProvider([Rule(say="hello")]) as provider:
            client = AsyncOpenAI(base_url=provider.base_url, api_key="practice")

    Args:
        script: what to answer.
        host: address to listen on.
        port: port to listen on; 0 lets the system choose.
        keep_requests: how many requests to keep for `requests`; 0 for none, as in benchmarks.

    Raises:
        ScriptError: the script cannot be used.
    """

    def __init__(
        self,
        script: ScriptSource = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_requests: int = 10_000,
    ) -> None:
        self._recorder = Recorder(keep_requests)
        self._app = PracticeApp(_loaded(script), self._recorder)
        self._listener = Listener(self._app)
        self._host = host
        self._wanted_port = port
        self._port: int | None = None

    def __repr__(self) -> str:
        where = self.base_url if self._port else "not started"
        return f"<PracticeProvider {where}, {self._app.script.name}, {self.received} requests>"

    async def __aenter__(self) -> PracticeProvider:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Does nothing if it listens already.

        Raises:
            PortUnavailable: the port is taken, or the address is none of this machine's.
        """
        if self._port is None:
            self._port = await self._listener.open(self._host, self._wanted_port)

    async def stop(self) -> None:
        """End all connections and stop. Does nothing if it is stopped already."""
        self._port = None
        await self._listener.close()

    @classmethod
    @contextmanager
    def in_thread(
        cls,
        script: ScriptSource = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_requests: int = 10_000,
    ) -> Iterator[PracticeProvider]:
        """A provider with a loop of its own in a thread, for code that is not async or blocks its loop."""
        provider = cls(script, host=host, port=port, keep_requests=keep_requests)
        started: Future[Callable[[], object]] = Future()
        thread = threading.Thread(
            target=_run_in_thread, args=(provider, started), name="practice provider", daemon=True
        )
        thread.start()
        try:
            stop = started.result()
            try:
                yield provider
            finally:
                stop()
        finally:
            thread.join()

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._port is None:
            raise RuntimeError("the practice provider is not started; use 'async with PracticeProvider(...)'")
        return self._port

    @property
    def origin(self) -> str:
        """Its address without a path."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """What to give to OpenAI's client as `base_url`."""
        return f"{self.origin}/v1"

    @property
    def script(self) -> Script:
        """The script in use."""
        return self._app.script

    def use(self, script: ScriptSource) -> None:
        """Answer by another script from the next request on. Its faults and budget replace the present ones.

        Raises:
            ScriptError: the script cannot be used; the present one stays.
        """
        self._app.use(_loaded(script))

    @property
    def faults(self) -> FaultBoard:
        """The faults that stand for every request, and the budget; may be changed at any time."""
        return self._app.faults

    @property
    def requests(self) -> list[RecordedRequest]:
        """The chat requests received, oldest first, also those that still run."""
        return self._recorder.records()

    @property
    def received(self) -> int:
        """How many chat requests have arrived since the last `clear`; counted also if none are kept."""
        return self._recorder.received

    @property
    def running(self) -> int:
        """How many chat requests are being answered."""
        return self._recorder.running

    @property
    def peak_running(self) -> int:
        """The most that were being answered at once since the last `clear`."""
        return self._recorder.peak_running

    def clear(self) -> None:
        """Forget the requests received."""
        self._recorder.clear()

    def prompts_containing(self, word: str) -> list[RecordedRequest]:
        """The requests whose messages contain `word`, as written: who has seen a user's text."""
        return [record for record in self.requests if word in record.text]

    async def wait_for(self, n: int, timeout: float = 5.0) -> list[RecordedRequest]:
        """Wait until `n` requests have arrived since the last `clear`, and return those kept.

        Raises:
            TimeoutError: they did not within `timeout` seconds.
        """
        await self._recorder.wait_for(n, timeout)
        return self.requests

    def wait_in_thread(self, n: int, timeout: float = 5.0) -> list[RecordedRequest]:
        """The same for a provider made with `in_thread`: blocks until `n` requests have arrived.

        Raises:
            TimeoutError: they did not within `timeout` seconds.
        """
        self._recorder.wait_in_thread(n, timeout)
        return self.requests


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    script: ScriptSource = None,
    *,
    keep_requests: int = 10_000,
    ready: Callable[[PracticeProvider], None] | None = None,
) -> None:
    """Run a provider until SIGINT or SIGTERM. Blocks.

    Args:
        host: address to listen on.
        port: port to listen on; 0 lets the system choose.
        script: what to answer.
        keep_requests: how many requests to keep.
        ready: called when it listens; by default one line with the address is printed.

    Raises:
        ScriptError: the script cannot be used.
        PortUnavailable: the port is taken.
    """
    provider = PracticeProvider(script, host=host, port=port, keep_requests=keep_requests)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner, suppress(KeyboardInterrupt):
        runner.run(_serve(provider, ready or _announce))


async def _serve(provider: PracticeProvider, ready: Callable[[PracticeProvider], None]) -> None:
    stop = asyncio.Event()
    with suppress(NotImplementedError):  # Windows: Ctrl-C ends the runner
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with provider:
        ready(provider)
        await stop.wait()


def _announce(provider: PracticeProvider) -> None:
    sys.stdout.write(f"practice provider on {provider.base_url}\n")
    sys.stdout.flush()  # a parent process waits for this line


def _loaded(script: ScriptSource) -> Script:
    if script is None:
        return default_script()
    return load_script(script) if isinstance(script, str | Path) else as_script(script)


def _run_in_thread(provider: PracticeProvider, started: Future[Callable[[], object]]) -> None:
    """A thread's whole life; `started` gets a function that ends it, or the error that kept it from starting."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        try:
            await provider.start()
        except Exception as error:
            started.set_exception(error)
            return
        started.set_result(lambda: loop.call_soon_threadsafe(stop.set))
        await stop.wait()
        await provider.stop()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # not on Windows
    except ImportError:
        return None
    return uvloop.new_event_loop
