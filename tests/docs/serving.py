"""Serves an app in this process against the practice provider, and runs programs that talk to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from turnlane.cli.assembly import RunningServer, running_in_thread
from turnlane.runtime.loading import load_app
from turnlane.runtime.settings import ServeSettings

PATIENCE = 120
"""Seconds until a program that hangs fails its test; never waited when all is well."""

ADDRESS_IN_DOCS = "http://127.0.0.1:8080"


@contextmanager
def served(target: Path, data: Path, script: Path | None = None) -> Iterator[RunningServer]:
    """The agents of `target`, on a free port."""
    settings = ServeSettings(port=0, data=data, practice=True, practice_script=script)
    with running_in_thread(lambda: load_app([str(target)]), settings) as server:
        yield server


def run_python(*arguments: str) -> str:
    """What a Python program prints."""
    return run([sys.executable, *arguments])


def run(command: list[str], folder: Path | None = None) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=folder, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
