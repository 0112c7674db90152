"""Where a planted program runs: a folder of its own, its provider, and how its processes are started and ended."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from turnlane.practice import PracticeProvider

from .environments import ROOT, python_for
from .plant import Plant

STARTS_WITHIN = 60.0
STOPS_WITHIN = 10.0
NODE_MODULES = ROOT / "examples" / "typescript" / "node_modules"


class ProgramFailed(Exception):
    """The program did not start, or could not be driven; says what it printed last."""


@dataclass(frozen=True)
class Setting:
    """One run of one twin.

    Attributes:
        plant: what runs.
        folder: its working directory, thrown away afterwards.
        file: the program, under the name `app`.
        provider: what answers its model calls.
        environment: its environment.
        prefix: what stands before its command: nothing, or the guard.
        twin: wrong or right.
    """

    plant: Plant
    folder: Path
    file: Path
    provider: PracticeProvider
    environment: dict[str, str]
    prefix: tuple[str, ...]
    twin: str

    def command(self, port: int = 0) -> list[str]:
        """The words of the program's command, without the guard's."""
        text = self.plant.command(self.twin)
        for name, value in (("file", self.file.name), ("module", self.file.stem), ("port", str(port))):
            text = text.replace(f"{{{name}}}", value)
        return shlex.split(text)

    @property
    def output(self) -> Path:
        """What the program printed."""
        return self.folder / ".output"

    def last_lines(self, characters: int = 1500) -> str:
        """The end of what it printed."""
        return self.output.read_text(errors="replace")[-characters:] if self.output.exists() else ""

    @asynccontextmanager
    async def running(self, command: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process of this setting, ended with SIGTERM, and after a while with all its children by SIGKILL."""
        with self.output.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *self.prefix,
                *command,
                cwd=self.folder,
                env=self.environment,
                stdin=asyncio.subprocess.PIPE if self.plant.stdin == "open" else asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOPS_WITHIN)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # it leads the group; workers may have outlived it
    await process.wait()


def prepared(plant: Plant, twin: str, folder: Path) -> Path:
    """Copy a twin and what lies beside it into `folder`; returns the program there."""
    program = plant.program(twin)
    for path in plant.folder.iterdir():
        if path.stem not in {"wrong", "right"} and path.name not in {"plant.toml", "__pycache__"}:
            (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / path.name)
    if plant.host == "node" and NODE_MODULES.exists():
        (folder / "node_modules").symlink_to(NODE_MODULES)
    return Path(shutil.copy(program, folder / f"app{program.suffix}"))


def environment_for(plant: Plant, base_url: str | None) -> dict[str, str]:
    """This process's environment without keys, proxies and our settings, the plant's interpreter first."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPENAI_", "TURNLANE_", "PYTEST_")) and not name.lower().endswith("_proxy")
    }
    provider = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "practice"} if base_url else {}
    path = (
        f"{python_for(plant.framework).parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    )
    return {**kept, **provider, "PATH": path, "PYTHONUNBUFFERED": "1", **plant.environment}


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def listening(setting: Setting, process: asyncio.subprocess.Process, port: int) -> None:
    """Wait until a server answers, with whatever status: some accept connections long before they can.

    Raises:
        ProgramFailed: the process ended before, or took too long.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + STARTS_WITHIN
    while loop.time() < deadline and process.returncode is None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(deadline - loop.time()):
                if await _answers(port):
                    return
        await asyncio.sleep(0.05)
    raise ProgramFailed(f"{setting.plant.name} did not answer:\n{setting.last_lines()}")


async def _answers(port: int) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /favicon.ico HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return bool(await reader.read(1))
    finally:
        writer.close()
