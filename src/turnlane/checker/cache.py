"""Where results are kept between runs, and the facts of files by their content.

The folder is the user's own (`~/.cache/turnlane`), never one inside of the checked tree: a cloned repository
could bring a cache along, and loading it would load what a stranger made. For the same reason a file of ours is
read only if it belongs to this user, and facts are loaded by an unpickler that knows nothing but tuples of ours.
Whatever goes wrong with a cache, the check goes on without it.
"""

from __future__ import annotations

import io
import marshal
import os
import pickle
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from turnlane.checker import warm
from turnlane.checker.discovery import Stamp

FORMAT: Final = 2
"""Raised when the layout of the file changes."""


class Kept(NamedTuple):
    """The facts of one file."""

    stamp: Stamp | None
    """Of the file when it was read; None when it was too young to trust its times."""
    digest: bytes
    """Of its content."""
    marked: bool
    """Whether it has a comment that may silence findings."""
    size: int
    """Of the file, in bytes."""
    look: tuple[tuple[str, ...], bool]
    """What its bytes told: a `shares.Look`."""
    blob: bytes
    """The facts, pickled; empty once they are loaded in this process and are in the file."""


class FactsStore:
    """The facts of the files of one project, by language and path."""

    def __init__(self, file: str | None, program: str, *, lives: bool = False) -> None:
        """Args:
        file: where they are kept; None: nowhere.
        program: what made the facts; others' are dropped.
        lives: whether this process checks again and again, and keeps them in its memory.
        """
        self._file = file
        self._lives = lives
        self._program = program
        self._table: dict[str, tuple[Any, ...]] = self._load()
        self._alive: dict[str, tuple[bytes, Any]] = {}
        self._used: set[str] = set()
        self._new: set[str] = set()

    @property
    def keeps(self) -> bool:
        """Whether facts are worth putting in."""
        return self._lives or self._file is not None

    def get(self, key: str, stamp: Stamp | None, digest: Callable[[], bytes]) -> Kept | None:
        """What is kept of a file, if it is still the same: by its stamp, else by its content."""
        row = self._table.get(key)
        if row is None:
            return None
        kept = Kept(*row)
        if stamp is None or kept.stamp != stamp:
            if kept.digest != digest():
                return None
            kept = kept._replace(stamp=stamp)
            self.put(key, kept)
        if not kept.blob and not self._is_loaded(key, kept.digest):
            return None
        self._used.add(key)
        return kept

    def put(self, key: str, kept: Kept) -> None:
        """Keep the facts of a file."""
        self._table[key] = tuple(kept)
        self._used.add(key)
        self._new.add(key)

    def facts(self, key: str, kept: Kept, load: Callable[[bytes], Any]) -> Any:
        """The facts themselves; in a process that lives on, each version of a file is loaded once."""
        if not self._is_loaded(key, kept.digest):
            self._alive[key] = (kept.digest, load(kept.blob))
        if self._file is None or key not in self._new:
            self._release(key)
        return self._alive[key][1]

    def _is_loaded(self, key: str, digest: bytes) -> bool:
        """Whether the facts of this very content are in memory: a fix changes a file while the process lives."""
        return key in self._alive and self._alive[key][0] == digest

    def _release(self, key: str) -> None:
        """Let go of the blob of facts that are loaded: of a large project they are 80 MB."""
        row = self._table.get(key)
        if row is not None and self._is_loaded(key, Kept(*row).digest):
            self._table[key] = (*row[:-1], b"")

    def save(self) -> None:
        """Write the file, if anything changed; without the files that are gone."""
        if self._file is None or not self._new:
            return
        for key in self._table.keys() - self._used:
            if not os.path.exists(key.partition("\0")[2]):
                del self._table[key]
        before = self._load() if any(not row[-1] for row in self._table.values()) else {}
        rows = {key: (*row[:-1], row[-1] or _blob(before.get(key), row)) for key, row in self._table.items()}
        whole = {key: row for key, row in rows.items() if row[-1]}
        warm.write(self._file, marshal.dumps((FORMAT, self._program, whole)))
        for key in self._new:
            self._release(key)
        self._new.clear()

    def _load(self) -> dict[str, tuple[Any, ...]]:
        if self._file is None:
            return {}
        found = warm.read(self._file)
        if isinstance(found, tuple) and found[:2] == (FORMAT, self._program) and isinstance(found[2], dict):
            return found[2]
        return {}


def _blob(before: tuple[Any, ...] | None, row: tuple[Any, ...]) -> bytes:
    """The facts that the file has of the same content."""
    return bytes(before[-1]) if before is not None and before[1] == row[1] else b""


class _Facts(pickle.Unpickler):
    """Makes nothing but the tuples of this package."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("turnlane.checker."):
            found = super().find_class(module, name)
            if isinstance(found, type) and issubclass(found, tuple):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no fact")


def dumps(facts: Any) -> bytes:
    """Facts as bytes."""
    return pickle.dumps(facts, pickle.HIGHEST_PROTOCOL)


def loads(blob: bytes) -> Any:
    """Facts from bytes.

    Raises:
        pickle.UnpicklingError: they name something that is not a tuple of the checker.
    """
    return _Facts(io.BytesIO(blob)).load()
