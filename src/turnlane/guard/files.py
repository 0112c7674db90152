"""TL206: a file in which several users' state is kept, or that is read, changed and written without a lock.

What is looked for is the shape of it: read, run, write, in requests of different people, on one path. A log is
only appended to, a file per conversation is never met by two of them, a file with a key for each names it.
"""

from __future__ import annotations

import _io
import builtins
import io
import itertools
import os
import threading
from collections import OrderedDict, deque
from typing import Any, Final, NamedTuple

from turnlane.guard import journals, late_effects, locks, native_calls, requests, runs, stacks, tool_files
from turnlane.guard.executors import handed_over
from turnlane.guard.journal import Sighting
from turnlane.guard.meetings import different_users, with_stacks
from turnlane.guard.requests import Request
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Stack

MAX_PATHS: Final = 256
MAX_WRITES: Final = 8
MAX_CONTENT: Final = 1_000_000

_OPENERS: Final = ("aiofiles", "aiofile", "anyio", "aiopath", "orjson", "ujson", "simplejson", "yaml", "msgspec")
"""Packages that open files for whoever calls them."""

_NO_STATE: Final = (".log", ".pyc", ".lock", ".sock", ".pem", ".html", ".css", ".js")


class Read(NamedTuple):
    """A request has read a path."""

    number: int
    stack: Stack
    runs: int


class Write(NamedTuple):
    """A request has written a path."""

    number: int
    stack: Stack
    request: Request
    ran: bool


_numbers = itertools.count(1)
_writes: OrderedDict[str, deque[Write]] = OrderedDict()
_lock = locks.free_after_fork()
_looking = threading.local()


def install() -> None:
    """Listen to files being opened and renamed."""
    native_calls.listen("open", _opened, io, _io, builtins)
    native_calls.listen("open", _opened_by_flags, os)
    for name in ("rename", "replace"):
        native_calls.listen(name, _renamed, os)
    runs.beginning.append(_begun)


def uninstall() -> None:
    """Forget all paths."""
    _writes.clear()
    tool_files.uninstall()


def _begun(run: Run) -> None:
    if run.request is not None:
        run.request.notes["runs"] = run.request.notes.get("runs", 0) + 1


def _opened(file: Any = None, mode: Any = "r", *_: Any, **__: Any) -> None:
    if isinstance(mode, str):
        letters = set(mode)
        _seen(file, not letters.isdisjoint("wax+"), in_place=letters.isdisjoint("ax"))


def _opened_by_flags(path: Any = None, flags: Any = None, *_: Any, **__: Any) -> None:
    if isinstance(flags, int):
        _seen(path, bool(flags & (os.O_WRONLY | os.O_RDWR)), in_place=not flags & (os.O_APPEND | os.O_EXCL))


def _renamed(src: Any = None, dst: Any = None, **_: Any) -> None:
    _seen(dst, True, in_place=True)


def _seen(file: Any, writes: bool, *, in_place: bool) -> None:
    """A file is about to be opened or replaced; what is only appended to, or new, is no state that others keep."""
    if writes:
        late_effects.writes(file)
    request, call = requests.current.get(), tool_files.present()
    if request is not None and not request.of_a_server:
        request = None
    if (request is None and call is None) or getattr(_looking, "now", False):
        return
    path = _path(file)
    stack = _opener() if path is not None else None
    if path is None or stack is None:
        return
    if writes and in_place:
        told = call is not None and tool_files.wrote(call, path, stack)
        if request is not None and not told:
            wrote(request, path, stack)
    elif not writes:
        if call is not None:
            tool_files.read(call, path, stack)
        if request is not None:
            read(request, path, stack)


def _path(file: Any) -> str | None:
    """The absolute path of what may hold somebody's state."""
    if not isinstance(file, str | bytes | os.PathLike):
        return None
    path = os.fsdecode(file)
    if path.endswith(_NO_STATE):
        return None
    name = os.path.abspath(path)
    if name.startswith(("/proc/", "/dev/", "/sys/")) or not stacks.is_users(name):
        return None
    return name


def _opener() -> Stack | None:
    """Who opens it, when that is the program and not some library for itself."""
    stack = (*stacks.capture(3, limit=16), *handed_over())
    for code, _ in stack:
        if stacks.is_users(code.co_filename):
            return stack
        if not stacks.is_pythons(code.co_filename) and not _opens_for_others(code.co_filename):
            return None
    return stack


def _opens_for_others(file: str) -> bool:
    return any(f"{os.sep}{package}{os.sep}" in file for package in _OPENERS)


def read(request: Request, path: str, stack: Stack) -> None:
    """A request reads a path."""
    known: dict[str, Read] = request.notes.setdefault("files", {})
    known[path] = Read(next(_numbers), stack, request.notes.get("runs", 0))


def wrote(request: Request, path: str, stack: Stack) -> None:
    """A request writes a path, which is still what it was before."""
    before: Read | None = request.notes.get("files", {}).get(path)
    with _lock:
        others = [write for write in _writes.get(path, ()) if write.request is not request]
    if before is not None:
        sighting = lost_update(request, path, before, others, stack) or everybodys(
            request, path, before, others, stack
        )
        if sighting is not None:
            journals.report(sighting)
    _keep(path, Write(next(_numbers), stack, request, bool(request.notes.get("runs"))))
    # What it reads now it has written itself.
    request.notes.get("files", {}).pop(path, None)


def _keep(path: str, write: Write) -> None:
    with _lock:
        _writes.setdefault(path, deque(maxlen=MAX_WRITES)).append(write)
        _writes.move_to_end(path)
        while len(_writes) > MAX_PATHS:
            _writes.popitem(last=False)


def lost_update(request: Request, path: str, before: Read, others: list[Write], stack: Stack) -> Sighting | None:
    """Somebody has written the file since this request read it; what he wrote is lost now."""
    since = [write for write in others if write.number > before.number]
    if not since or not (request.notes.get("runs") or since[-1].ran):
        return None
    message = (
        f"{_who(request)} writes {os.path.basename(path)} from what it read before {_who(since[-1].request)} "
        "wrote it: what that one saved is lost."
    )
    return _sighting(message, request, path, before, since[-1], stack)


def everybodys(request: Request, path: str, before: Read, others: list[Write], stack: Stack) -> Sighting | None:
    """This request ran with what another user's request had left in the file."""
    if request.notes.get("runs", 0) <= before.runs:
        return None
    of_others = [w for w in others if w.number < before.number and w.ran and different_users(w.request, request)]
    if not of_others or _is_keyed(path, of_others[-1].request):
        return None
    message = (
        f"{_who(request)} ran with what {_who(of_others[-1].request)}, another user's request, had saved in "
        f"{os.path.basename(path)}: one file keeps everybody's state."
    )
    return _sighting(message, request, path, before, of_others[-1], stack)


def _is_keyed(path: str, writer: Request) -> bool:
    """Whether the file tells its users apart: it names the one who wrote."""
    if not writer.keys:
        return False
    values = [value for value in writer.keys.values() if len(value) > 2 and not value.startswith("#")]
    content = _content(path)
    return not values or any(value in content for value in values)


def _content(path: str) -> str:
    _looking.now = True
    try:
        with open(path, "rb") as file:
            return file.read(MAX_CONTENT).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        _looking.now = False


def _who(request: Request) -> str:
    return f"{request.name} {request.id}"


def _sighting(message: str, request: Request, path: str, before: Read, other: Write, stack: Stack) -> Sighting:
    return Sighting(
        code="TL206",
        message=message,
        stack=stack,
        stacks=with_stacks(
            (f"{_who(other.request)} wrote it here", other.stack),
            (f"{_who(request)} had read it here", before.stack),
            ("and writes it here", stack),
        ),
        object=f"file {path}",
        request=request.id,
        conversation=request.conversation,
        requests=[other.request.id, request.id],
    )
