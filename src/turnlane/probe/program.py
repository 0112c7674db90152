"""The program under the probe: started, waited for, listened to, and stopped with all its children."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from turnlane.probe.reach import accepts
from turnlane.probe.trouble import ProbeError

KEPT_LINES: Final = 20_000
SHOWN_LINES: Final = 12
START_BOUND: Final = 60.0
"""Seconds a program may take until it accepts connections: imports of agents take a few."""
SHORTEST_START: Final = 10.0
STOP_BOUND: Final = 5.0
"""Seconds between asking a program to stop and killing it."""
CHILDREN_BOUND: Final = 1.5
"""Seconds for its children after it has ended."""
QUIET_FOR: Final = 0.15
"""Seconds without a line after which the program is taken to have said all."""
QUIET_BOUND: Final = 1.0
_LOOK_EVERY: Final = 0.05
LONGEST_LINE: Final = 16_384
"""Bytes kept of one line: a program may log whole prompts."""

_SHELL: Final = re.compile(r"[|&;<>`$(){}*?~\n]")
_SETTING: Final = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True, slots=True)
class OutputLine:
    """A line of the program's output, and when it came, in `time.monotonic()`."""

    time: float
    text: str


def command_words(command: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The words of a start command and the variables that it sets before them (`PORT=80 node app.js`).

    What needs a shell gets one.

    Raises:
        ProbeError: a quote is open, or there is no command.
    """
    if _SHELL.search(command.replace("{port}", "")):
        return ("/bin/sh", "-c", command), {}
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ProbeError(f"--start {command!r} cannot be read: {error}.") from None
    settings: dict[str, str] = {}
    while words and _SETTING.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        settings[name] = value
    if not words:
        raise ProbeError(f"--start {command!r} holds no command.")
    return tuple(words), settings


class Program:
    """One run of the program. Its output is kept, the standard input is empty."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], directory: str | None = None
    ) -> None:
        self.command = tuple(command)
        self.lines: deque[OutputLine] = deque(maxlen=KEPT_LINES)
        self._environment = dict(environment)
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process's number; None before the start."""
        return self._process.pid if self._process else None

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.returncode if self._process else None

    async def start(self, host: str, port: int, bound: float = START_BOUND) -> None:
        """Start it and wait until it accepts connections.

        Raises:
            ProbeError: it cannot be started, ended, or does not accept connections within `bound` seconds; says
                the last lines of its output.
        """
        if accepts(host, port):
            raise ProbeError(
                f"Something answers at {host}:{port} already: stop it, or leave out --start to probe what runs "
                "there."
            )
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment,
                cwd=self._directory,
                start_new_session=True,  # so that its workers can be ended with it
            )
        except OSError as error:
            raise ProbeError(self._no_start(error)) from None
        self._reader = asyncio.create_task(self._read())
        await self._ready(host, port, bound)

    def _no_start(self, error: OSError) -> str:
        name = self.command[0]
        if not isinstance(error, FileNotFoundError):
            return f"{name} cannot be started: {error.strerror or error}."
        if self._directory is not None and not os.path.isdir(self._directory):
            return f"There is no folder {self._directory} to start {name} in."
        return f"There is no command {name}: check its name, and that its environment is active."

    async def stop(self) -> None:
        """End it and all of its children: asked first, killed when that takes longer than a few seconds."""
        process = self._process
        if process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_BOUND)
                await self._without_children()
        finally:  # also when a second Ctrl-C does not let it end in good order
            self._signal(signal.SIGKILL)
        await process.wait()
        if self._reader is not None:
            # A grandchild that left the group may keep the pipe open.
            await asyncio.wait({self._reader}, timeout=1.0)
            self._reader.cancel()

    async def quiet(self) -> None:
        """Wait until it writes nothing for a moment: a server writes the traceback of a 500 after the answer."""
        deadline = time.monotonic() + QUIET_BOUND
        seen = -1
        while len(self.lines) != seen and time.monotonic() < deadline:
            seen = len(self.lines)
            await asyncio.sleep(QUIET_FOR)

    def since(self, moment: float) -> list[OutputLine]:
        """The lines that came after `moment`, of `time.monotonic()`."""
        return [line for line in self.lines if line.time >= moment]

    def last_lines(self) -> str:
        """The end of its output, indented, to be shown after a sentence."""
        kept = [line.text for line in self.lines if line.text.strip()][-SHOWN_LINES:]
        return "".join(f"\n  {line}" for line in kept) or "\n  (it wrote nothing)"

    async def _ready(self, host: str, port: int, bound: float) -> None:
        assert self._process is not None
        deadline = time.monotonic() + bound
        while not accepts(host, port):
            if self._process.returncode is not None:
                await self._drained()
                raise ProbeError(
                    f"The program ended with status {self._process.returncode} before it accepted connections at "
                    f"{host}:{port}. The last it wrote:{self.last_lines()}"
                )
            if time.monotonic() > deadline:
                raise ProbeError(
                    f"The program runs, but does not accept connections at {host}:{port} after {bound:g} s: is "
                    f"that the port it listens on? The last it wrote:{self.last_lines()}"
                )
            await asyncio.sleep(_LOOK_EVERY)

    async def _drained(self) -> None:
        if self._reader is not None:
            await asyncio.wait({self._reader}, timeout=1.0)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        rest = b""
        while chunk := await self._process.stdout.read(1 << 16):
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > LONGEST_LINE:  # a program may never end one
                whole, rest = [*whole, rest], b""
            now = time.monotonic()
            self.lines.extend(OutputLine(now, _text(line)) for line in whole)
        if rest:
            self.lines.append(OutputLine(time.monotonic(), _text(rest)))

    async def _without_children(self) -> None:
        """Wait a moment for workers that outlive their parent: they still write what they saw."""
        deadline = time.monotonic() + CHILDREN_BOUND
        while self._signal(0) and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK_EVERY)

    def _signal(self, number: int) -> bool:
        """Send a signal to the whole group; whether there was anybody."""
        assert self._process is not None
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def _text(line: bytes) -> str:
    return line[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
