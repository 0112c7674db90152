"""Real processes of the command line. They are waited for by what they print, and ended after each test."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest

PATIENCE = 60.0
"""Seconds until a process that says nothing fails its test; never waited when all is well."""

Json = dict[str, Any]


def wait_until(true: Callable[[], bool]) -> None:
    """Ask again and again; only for what happens in another process and can't be waited for."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class Process:
    """A command that runs. Its lines can be waited for; what it has said so far is kept."""

    def __init__(self, arguments: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "turnlane.cli.main", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONWARNINGS": "default", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, self.stdout), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stderr, self.stderr), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, kept: list[str]) -> None:
        for line in stream:
            kept.append(line.rstrip("\n"))
            self._lines.put(kept[-1])
        self._lines.put(None)

    def wait_for(self, words: str) -> str:
        """The next line, on stdout or stderr, that holds `words`."""
        ended = 0
        while ended < 2:
            line = self._lines.get(timeout=PATIENCE)
            if line is None:
                ended += 1
            elif words in line:
                return line
        raise AssertionError(f"the process ended without saying {words!r}:\n{self.said}")

    @property
    def said(self) -> str:
        return "\n".join([*self.stdout, "--- stderr", *self.stderr])

    def write(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Close its input and wait for its end; the exit status."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        status = self._process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return status

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.end()


class Server(Process):
    """`turnlane serve` on a free port, with JSON logs."""

    url = ""
    kind = "server"

    def ready(self) -> Self:
        started = json.loads(self.wait_for(f'"{self.kind}.started"'))
        self.url = started.get("address", "")
        return self

    @property
    def events(self) -> list[Json]:
        return [json.loads(line) for line in self.stderr if line.startswith("{")]

    def event(self, name: str, **fields: Any) -> Json:
        """The first event of this name with these fields; waited for, since lines come by a pipe."""
        wanted = {"event": name, **fields}.items()

        def found() -> list[Json]:
            return [event for event in self.events if wanted <= event.items()]

        wait_until(lambda: bool(found()))
        return found()[0]

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"{self.url}{path}", trust_env=False, timeout=PATIENCE)

    def post(self, path: str, **body: Any) -> httpx2.Response:
        return httpx2.post(f"{self.url}{path}", json=body, trust_env=False, timeout=PATIENCE)

    def ask(self, text: str, **more: Any) -> Json:
        answer = self.post("/v1/responses", model="agent", input=text, **more)
        found: Json = answer.json()
        assert answer.status_code == 200, found
        return found


class Worker(Server):
    """`turnlane worker` with its health on a free port, with JSON logs."""

    kind = "worker"


SERVE = ["serve", "--port", "0", "--log-format", "json"]
WORK = ["worker", "--health-port", "0", "--log-format", "json"]

Run = Callable[..., Process]
Serve = Callable[..., Server]
Work = Callable[..., Worker]


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def run(processes: ExitStack, tmp_path: Path) -> Run:
    """Starts a command in the test's folder."""

    def start(*arguments: str, **environment: str) -> Process:
        process = Process([str(argument) for argument in arguments], tmp_path, environment)
        processes.callback(process.kill)
        return process

    return start


@pytest.fixture
def serve(processes: ExitStack, tmp_path: Path) -> Serve:
    """Starts `turnlane serve` in the test's folder and waits until it listens."""

    def start(*arguments: str, **environment: str) -> Server:
        server = Server([*SERVE, *map(str, arguments)], tmp_path, environment)
        processes.callback(server.kill)
        return server.ready()

    return start


@pytest.fixture
def work(processes: ExitStack, tmp_path: Path) -> Work:
    """Starts `turnlane worker` in the test's folder and waits until it takes turns."""

    def start(*arguments: str, **environment: str) -> Worker:
        worker = Worker([*WORK, *map(str, arguments)], tmp_path, environment)
        processes.callback(worker.kill)
        return worker.ready()

    return start


ECHO = '''
import asyncio
import os
import time
from pathlib import Path

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import TextMessage


class Echo(BaseChatAgent):
    """Says what it is told. `wait FILE` waits for the file, `block SECONDS` blocks the loop, `fail` fails."""

    def __init__(self):
        super().__init__("echo", "says what it is told")

    @property
    def produced_message_types(self):
        return (TextMessage,)

    async def on_messages(self, messages, cancellation_token):
        word, _, rest = messages[-1].content.partition(" ")
        if word == "wait":
            Path(rest + ".running").touch()
            while not Path(rest).exists():
                await asyncio.sleep(0.01)
        if word == "block":
            the_culprit(float(rest))
        if word == "fail":
            raise ValueError(f"no such thing; password={rest}")
        return Response(chat_message=TextMessage(content=f"echo {messages[-1].content}", source=self.name))

    async def on_reset(self, cancellation_token):
        pass


def the_culprit(seconds):
    time.sleep(seconds)


def agent() -> Echo:
    return Echo()
'''
"""An app without a model, for what has to do with processes and not with models."""


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """The file of an app with one agent, `agent`."""
    file = tmp_path / "echo_app.py"
    file.write_text(ECHO)
    return file
