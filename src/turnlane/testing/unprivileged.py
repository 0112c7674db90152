"""Processes for tests that refuse to run as root, started so that nothing of them outlives the test run."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from turnlane.testing import supervised

_NOBODY: Final = "nobody"


def _account() -> int:
    """Who the processes run as: the id of `nobody` for root, else -1 for whoever runs the tests."""
    return pwd.getpwnam(_NOBODY).pw_uid if os.geteuid() == 0 else -1


def new_folder(prefix: str, parent: Path | None = None) -> Path:
    """A folder that they may write to; in the folder for temporary files unless `parent` is given.

    Not in pytest's `tmp_path`, which nobody else may enter.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    if (account := _account()) >= 0:
        os.chown(folder, account, account)
    return folder


def unreachable(folder: Path) -> Path | None:
    """The part of a path that they can't pass through; None when they can."""
    if _account() < 0:
        return None
    return next((part for part in [folder, *folder.parents] if not part.stat().st_mode & 0o001), None)


def guard(folder: Path) -> subprocess.Popen[bytes]:
    """Remove a folder once `stdin` of what is returned is closed, at the latest when the test run dies."""
    return subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-I", "-S", supervised.__file__, "-1", str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def start(command: Sequence[str], *, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a command whose output is appended to `log`.

    When the test run dies first, all that the command started is killed and `folder` removed. What is returned
    is its supervisor: it ends with the command, and its `stdin` has to be closed then.
    """
    with log.open("ab") as sink:
        return subprocess.Popen(  # noqa: S603 - tests run their own commands
            [sys.executable, "-I", "-S", supervised.__file__, str(_account()), str(folder), *command],
            cwd=folder,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
