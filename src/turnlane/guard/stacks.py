"""Stacks as the guard keeps them: cheap to take at every run, turned into text only when something is reported."""

from __future__ import annotations

import asyncio
import functools
import linecache
import os
import sys
import sysconfig
from types import CodeType, FrameType
from typing import Any, Final, Literal, NamedTuple

MAX_FRAMES: Final = 40
MAX_OTHERS: Final = 8
MAX_LINES: Final = 20_000
MAX_LINE: Final = 200
"""Characters of a line that are shown: a generated file may have all of its code in one."""
CALLBACK: Final = asyncio.Handle._run.__code__
"""What runs a callback of a loop that is written in Python."""

_HERE: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep
_UNSEEN: Final = "<turnlane.guard, as importlib._bootstrap>"
"""The file of wrappers: Python skips frames whose file has these two names when it counts up to the line that a
warning is about (`warnings.warn(stacklevel=...)`), and so it skips what stands between a warning and that line."""

OURS: Final = (_HERE, _UNSEEN)
"""How the files of the guard's own frames begin."""
_SERVES: Final = os.path.join(os.path.dirname(os.path.dirname(_HERE)), "runtime") + os.sep
_STDLIB: Final = tuple(
    {os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")}
    | {sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")}
)
_ASYNCIO: Final = tuple(path + "asyncio" + os.sep for path in _STDLIB)
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Frame(NamedTuple):
    """One line of a stack, as it is shown."""

    file: str
    line: int
    function: str
    text: str


class Place(NamedTuple):
    """Where in the user's code something is."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


Stack = tuple[tuple[CodeType, int], ...]
"""Innermost frame first: code and line number, nothing that keeps a frame's variables alive."""

NO_STACK: Final[Stack] = ()
NOWHERE: Final = Place("<unknown>", 0, "")


def unseen_by_warnings(function: Any) -> Any:
    """The same function, and what it defines, as one that a warning's stack level does not count."""
    function.__code__ = _unseen(function.__code__)
    return function


def _unseen(code: CodeType) -> CodeType:
    inner = tuple(_unseen(value) if isinstance(value, CodeType) else value for value in code.co_consts)
    return code.replace(co_filename=_UNSEEN, co_consts=inner)


def is_ours(code: CodeType) -> bool:
    """Whether it is the guard's own."""
    return code.co_filename.startswith(OURS)


def capture(skip: int = 1, *, limit: int = MAX_FRAMES) -> Stack:
    """The stack of the caller, `skip` frames up, without the guard's own frames.

    In a loop's callback it ends there: who started the loop has not called what a task does.
    """
    return _captured(skip + 2, limit, limit)


def capture_near(skip: int = 1) -> Stack:
    """The same, but it ends where the user's code is left for good: for what is done with every turn.

    About 2 microseconds: a web framework alone has some twenty frames below the user's code.
    """
    return _captured(skip + 2, MAX_FRAMES, MAX_OTHERS)


def _captured(skip: int, limit: int, others: int) -> Stack:
    """
    Args:
        others: so many frames in a row that are not the user's, below one that is, end it.
    """
    try:
        frame: FrameType | None = sys._getframe(skip)
    except ValueError:
        return NO_STACK
    found: list[tuple[CodeType, int]] = []
    known = _lines.get
    until = limit
    while frame is not None:
        code = frame.f_code
        line, kind = known(id(code) + frame.f_lasti) or _line(frame, code)
        if kind == "user's":
            found.append(line)
            until = min(limit, len(found) + others)
        elif kind == "other":
            found.append(line)
        elif kind == "end" or (kind == "loop" and found):
            break
        if len(found) >= until:
            break
        frame = frame.f_back
    return tuple(found)


_Kind = Literal["user's", "other", "ours", "loop", "end"]
_lines: dict[int, tuple[tuple[CodeType, int], _Kind]] = {}
"""By the address of an instruction, which lies within its code: that this is kept alive here makes it unique."""


def _line(frame: FrameType, code: CodeType) -> tuple[tuple[CodeType, int], _Kind]:
    if len(_lines) >= MAX_LINES:
        _lines.clear()
    known = _lines[id(code) + frame.f_lasti] = ((code, frame.f_lineno or 0), _kind(code))
    return known


def _kind(code: CodeType) -> _Kind:
    if code is CALLBACK:
        return "end"
    if is_ours(code):  # a native loop's callbacks have no frame: its watch is next
        return "loop" if code.co_name == "run_forever" else "ours"
    return "user's" if is_users(code.co_filename) else "other"


def of_frame(frame: FrameType | None, *, limit: int = MAX_FRAMES) -> Stack:
    """The stack that ends in `frame`, down to the thread's beginning."""
    found: list[tuple[CodeType, int]] = []
    while frame is not None and len(found) < limit:
        code = frame.f_code
        if not code.co_filename.startswith(OURS):
            found.append((code, frame.f_lineno or 0))
        frame = frame.f_back
    return tuple(found)


def of_exception(error: BaseException, *, limit: int = MAX_FRAMES) -> Stack:
    """The stack of the place that raised `error`."""
    found: list[tuple[CodeType, int]] = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith(OURS):
            found.append((code, step.tb_lineno or 0))
        step = step.tb_next
    return tuple(reversed(found[-limit:]))


@functools.lru_cache(maxsize=4096)
def is_users(file: str) -> bool:
    """Whether a file is part of the program that is watched: neither Python's, nor installed, nor ours."""
    if file.startswith("<"):
        return file.startswith(("<ipython-input", "<stdin>", "<string>"))
    return not (file.startswith((*OURS, *_STDLIB)) or any(part in file for part in _INSTALLED))


def is_pythons(file: str) -> bool:
    """Whether a file is Python's own."""
    return file.startswith(("<frozen ", *_STDLIB)) and not any(part in file for part in _INSTALLED)


def is_served(stack: Stack) -> bool:
    """Whether Turnlane itself calls here, for an agent that it serves: it has an answer to whatever happens."""
    return any(code.co_filename.startswith(_SERVES) for code, _ in stack[:4])


def has_users(stack: Stack) -> bool:
    """Whether a line of the user's code is in it."""
    return any(is_users(code.co_filename) for code, _ in stack)


def place_of(stack: Stack) -> Place:
    """The innermost place in the user's code; the innermost of all when none of it is the user's."""
    for code, line in stack:
        if is_users(code.co_filename):
            return Place(code.co_filename, line, code.co_qualname)
    if not stack:
        return NOWHERE
    code, line = stack[0]
    return Place(code.co_filename, line, code.co_qualname)


def shown(stack: Stack) -> list[Frame]:
    """The stack as it is shown, outermost first: the part that is in the user's code and what it called last."""
    users = [number for number, (code, _) in enumerate(stack) if is_users(code.co_filename)]
    kept = stack[: users[-1] + 1] if users else stack[:8]
    return [
        Frame(
            code.co_filename, line, code.co_qualname, linecache.getline(code.co_filename, line).strip()[:MAX_LINE]
        )
        for code, line in reversed(kept)
        if not code.co_filename.startswith(("<frozen ", *_ASYNCIO))
    ]
