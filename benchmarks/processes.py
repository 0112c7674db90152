"""The processes of a benchmark, and what the kernel says they used (Linux)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from turnlane.testing.child_process import ChildProcess

HERE: Final = Path(__file__).resolve().parent
TICKS: Final = os.sysconf("SC_CLK_TCK")
START_LIMIT: Final = 60.0

_direct = build_opener(ProxyHandler({}))


class CallerProcess:
    """`caller.py` as a process; it ends when its standard input does, so with this process at the latest."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "caller.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def do(self, task: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": task, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the caller ended while it did {task!r}; its error is above")
        figures: dict[str, Any] = json.loads(line)
        return figures

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def run_alone(script: str, *arguments: str, env: Mapping[str, str] | None = None) -> dict[str, float]:
    """Run one of the scripts beside this file; its last line is JSON."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def wait_answering(url: str, child: ChildProcess) -> None:
    """Wait until a GET is answered with 200."""
    began = time.monotonic()
    while not _answers(url):
        if child.exit_status is not None or time.monotonic() - began > START_LIMIT:
            raise RuntimeError(f"{url} does not answer:\n{child.tail()}")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with _direct.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def cpu_seconds(pid: int, *, gone: float | None = None) -> float:
    """What all threads of a process have used of a core so far; `gone` if there is no such process any more."""
    try:
        fields = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        if gone is None:
            raise
        return gone
    return (int(fields[11]) + int(fields[12])) / TICKS


def dead_children_cpu_seconds(pid: int) -> float:
    """What the children of a process had used when they ended."""
    fields = _stat(pid)
    return (int(fields[13]) + int(fields[14])) / TICKS


def _stat(pid: int) -> list[str]:
    # The command's name, in brackets, may hold spaces.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def resident_mb(pid: int | str = "self") -> float:
    """Resident memory in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
