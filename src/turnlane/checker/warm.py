"""Gives the answer of the last run again when nothing has changed: no file is read, next to nothing imported.

An answer is what was printed, the exit status, and the stamps of everything that it depends on: files, folders,
configuration, and this program. It is kept as `marshal`, which holds data only. This module imports nothing that
the interpreter has not loaded already; that is a third of the time of a warm run.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, TextIO

    Stamp = tuple[int, int, int]

FORMAT = 2
"""Raised when the layout of an answer changes."""

YOUNG_NS = 20_000_000
"""A file that changed this shortly before the run may change again without its times showing it."""

COARSE_NS = 2_000_000_000
"""The same, on file systems that keep whole seconds."""

KEPT_DAYS = 30
"""Answers and facts that nobody asked for in this time are removed."""

_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by turnlane; may be removed at any time.\n"
"""https://bford.info/cachedir/: backup programs leave the folder out."""

_PACKAGES = ("checker", "hazards", "cli")
"""Of turnlane: what findings and their text are made by."""


def folder(arguments: Sequence[str] = ()) -> str:
    """The folder of the caches: `--cache-dir`, `TURNLANE_CACHE_DIR`, or the user's own; empty: none."""
    for place, word in enumerate(arguments):
        if word == "--cache-dir":
            return arguments[place + 1] if place + 1 < len(arguments) else ""
        if word.startswith("--cache-dir="):
            return word[len("--cache-dir=") :]
    return os.environ.get("TURNLANE_CACHE_DIR") or _users_own()


def _users_own() -> str:
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "turnlane") if os.path.isabs(base) else ""


def replay(arguments: Sequence[str], errors: TextIO) -> int | None:
    """Print the kept answer to these arguments. Returns its exit status; None: there is none, or it is old."""
    if "--no-cache" in arguments:
        return None
    home = folder(arguments)
    key = _key(arguments)
    if not home or key is None:
        return None
    answer = read(_file(home, key))
    if not isinstance(answer, tuple) or answer[:2] != (FORMAT, key):
        return None
    _, _, stamps, said, complained, status = answer
    if any(_stamp(path) != kept for path, kept in stamps) or not isinstance(status, int):
        return None
    try:
        sys.stdout.write(said)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError:
        return None  # the whole check says why it can't be written
    errors.write(complained)
    return status


def keep(
    arguments: Sequence[str], stamps: Mapping[str, Stamp], said: str, complained: str, status: int, began_ns: int
) -> None:
    """Keep an answer for `replay`.

    Args:
        stamps: of all that it depends on, from before it was read; the program's own are added.
        began_ns: time of the start of the run, as `time.time_ns()`.
    """
    home = folder(arguments)
    key = _key(arguments)
    if not home or key is None or any(young(stamp, began_ns) for stamp in stamps.values()):
        return
    import marshal

    everything = [*stamps.items(), *((path, _stamp(path)) for path in _program_files(*_PACKAGES))]
    write(_file(home, key), marshal.dumps((FORMAT, key, everything, said, complained, status)))


def young(stamp: Stamp, began_ns: int) -> bool:
    """Whether the file may have changed after it was read without its stamp showing it."""
    modified, changed, _ = stamp
    margin = COARSE_NS if modified % 1_000_000_000 == 0 and changed % 1_000_000_000 == 0 else YOUNG_NS
    return max(modified, changed) > began_ns - margin


def program() -> str:
    """What stands for this very version of what makes facts: those of another are not used."""
    import zlib

    rules = (os.sep + "rules", os.sep + "reports")
    makers = (path for path in _program_files("checker") if not any(part in path for part in rules))
    stamps = ",".join(f"{path}:{_stamp(path)}" for path in makers)
    return f"{sys.version} {zlib.crc32(stamps.encode()):08x}"


def read(file: str) -> Any:
    """What a file of ours holds; None when there is none, it is broken, or it is not this user's own."""
    import marshal

    try:
        with open(file, "rb") as opened:
            if not _own(os.fstat(opened.fileno())):
                return None
            return marshal.loads(opened.read())  # noqa: S302 - data only, and our own file
    except (OSError, ValueError, EOFError, TypeError, MemoryError):
        return None


def write(file: str, data: bytes) -> None:
    """Write a file whole or not at all; when it can't be written, it is left."""
    temporary = f"{file}.{os.getpid()}.new"
    try:
        _make_folder(os.path.dirname(file) or ".")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as opened:
            opened.write(data)
        os.replace(temporary, file)
    except OSError:
        _remove(temporary)


def tidy(home: str, now: float) -> None:
    """Remove what nobody used for long."""
    try:
        with os.scandir(home) as listed:
            ours = [entry for entry in listed if entry.name.endswith((".answer", ".facts", ".new"))]
        for entry in ours:
            if entry.stat(follow_symlinks=False).st_mtime < now - KEPT_DAYS * 86400:
                _remove(entry.path)
    except OSError:
        return


def _remove(file: str) -> None:
    try:
        os.unlink(file)
    except OSError:
        return


def _key(arguments: Sequence[str]) -> tuple[Any, ...] | None:
    """What an answer depends on beside files; None: it is not known where we are."""
    try:
        here = os.getcwd()
    except OSError:
        return None
    asked = tuple(os.environ.get(name, "") for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "TURNLANE_DEBUG"))
    return (here, tuple(arguments), sys.version, sys.stdout.isatty(), sys.stderr.isatty(), *asked)


def _file(home: str, key: tuple[Any, ...]) -> str:
    import zlib

    return os.path.join(home, f"{zlib.crc32(repr(key).encode(errors='surrogatepass')):08x}.answer")


def _stamp(path: str) -> Stamp:
    # As `discovery.stamp`, whose module costs 20 ms to import.
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return (0, 0, -1)
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def _program_files(*packages: str) -> Iterable[str]:
    """Every file and folder of these packages of turnlane."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for package in packages:
        for where, folders, files in os.walk(os.path.join(home, package)):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            yield where
            yield from (os.path.join(where, name) for name in sorted(files) if not name.endswith(".pyc"))


def _own(found: os.stat_result) -> bool:
    """Whether a file belongs to this user and nobody else may write it."""
    getuid = getattr(os, "getuid", None)
    return getuid is None or (found.st_uid == getuid() and not found.st_mode & 0o022)


def _make_folder(home: str) -> None:
    if os.path.isdir(home):
        return
    os.makedirs(home, mode=0o700, exist_ok=True)
    for name, text in (("CACHEDIR.TAG", _TAG), (".gitignore", "*\n")):
        with open(os.path.join(home, name), "w", encoding="utf-8") as file:
            file.write(text)
