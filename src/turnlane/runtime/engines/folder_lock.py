"""One process a data folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import ClassVar

from turnlane.runtime.engine import EngineUnavailable


class FolderLock:
    """The right of this process to use a data folder. The system takes it back when the process dies.

    A POSIX record lock: children of the process (a tool that forks) don't inherit it, so they can't keep
    the folder locked after a kill -9. It does not exclude the same process, hence `_mine`.
    """

    _mine: ClassVar[set[Path]] = set()

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._path = self._folder / "turnlane.lock"
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            EngineUnavailable: another process has it (its pid is named), or the folder can't be written.
        """
        if self._folder in self._mine:
            raise EngineUnavailable(f"{self._folder} is already open in this process: close that engine first")
        file = self._open()
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            raise EngineUnavailable(
                f"{self._folder} is used by another turnlane process (pid {owner}): "
                "stop it, ask it over HTTP, or choose another data folder with --data"
            ) from None
        self._file = file
        self._mine.add(self._folder)
        self._write_pid(file)

    def release(self) -> None:
        """Give the lock back; may be called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            self._mine.discard(self._folder)

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EngineUnavailable(
                f"the data folder {self._folder} can't be written ({error.strerror}): "
                "give this user the right to write it, or choose another with --data"
            ) from error

    @staticmethod
    def _write_pid(file: int) -> None:
        # On a full disk the pid can't be written; the lock holds without it.
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError:
            pass
