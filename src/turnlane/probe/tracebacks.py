"""Exceptions in a program's output: Python's tracebacks, and the stacks that JavaScript prints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from turnlane.probe.report import Frame

_LONGEST: Final = 300

_HEAD: Final = re.compile(r"Traceback \(most recent call last\):$")
_FRAME: Final = re.compile(r'^ *File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
_ERROR: Final = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*)(?:: ?(?P<message>.*))?$")
_NOT_ERRORS: Final = re.compile(r"^(?:During handling|The above exception)")
_GROUP_BARS: Final = re.compile(r"^ *(?:\+-)?[|+][ -]?")
_SCRIPT_ERROR: Final = re.compile(
    r"(?P<kind>\b(?:[A-Z]\w*)?(?:Error|Exception))(?: \[[\w.]+\])?(?:: (?P<message>.*))?$"
)
_SCRIPT_FRAME: Final = re.compile(
    r"^\s+at (?:async )?(?:(?P<function>[^(]+?) \()?(?:file://)?(?P<file>[^():]+(?::\\[^():]+)?):(?P<line>\d+):\d+\)?"
)


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception that was printed, the first of its chain. `at` is its first line's place in the output."""

    kind: str
    message: str
    frames: tuple[Frame, ...]
    at: int


def raised_in(lines: Sequence[str]) -> list[Raised]:
    """Every exception in the lines, in order; of a chain the one that came first."""
    return sorted((*_python(lines), *_javascript(lines)), key=lambda found: found.at)


def _python(lines: Sequence[str]) -> Iterator[Raised]:
    clean = [_GROUP_BARS.sub("", line) if "|" in line[:12] else line for line in lines]
    chained = False
    for start, line in enumerate(clean):
        if _HEAD.search(line):
            found = _one_traceback(clean, start)
            if found is not None and not chained:
                yield found
            chained = False
        elif _NOT_ERRORS.match(line):
            chained = True  # the next traceback is what became of the exception above
        elif line.strip() and not line.startswith(" ") and not _ERROR.match(line):
            chained = False


def _one_traceback(lines: Sequence[str], start: int) -> Raised | None:
    """The traceback whose head is at `start`."""
    indent = len(lines[start]) - len(lines[start].lstrip()) if lines[start].lstrip().startswith("Traceback") else 0
    frames: list[Frame] = []
    for line in lines[start + 1 :]:
        body = line[indent:] if line[:indent].isspace() else line
        if frame := _FRAME.match(body):
            frames.append(Frame(frame["file"], int(frame["line"]), frame["function"] or ""))
        elif body.startswith(" ") or not body.strip():
            _add_text(frames, body)
        elif error := _ERROR.match(body):
            return Raised(error["kind"], error["message"] or "", tuple(frames), start)
        else:
            return None
    return None


def _add_text(frames: list[Frame], body: str) -> None:
    """The source line below a frame; marks such as `~~~^^^` are left out."""
    text = body.strip()
    if frames and text and not frames[-1].text and not set(text) <= set("~^ "):
        last = frames.pop()
        frames.append(Frame(last.file, last.line, last.function, text))


def _javascript(lines: Sequence[str]) -> Iterator[Raised]:
    for start, line in enumerate(lines):
        error = _SCRIPT_ERROR.search(line)
        if error is None or start + 1 >= len(lines) or not _SCRIPT_FRAME.match(lines[start + 1]):
            continue
        frames = []
        for below in lines[start + 1 :]:
            frame = _SCRIPT_FRAME.match(below)
            if frame is None:
                break
            frames.append(Frame(frame["file"], int(frame["line"]), frame["function"] or ""))
        yield Raised(error["kind"], error["message"] or "", tuple(reversed(frames)), start)


_PARTICULARS: Final = (
    (re.compile(r"\b(?:canary|echo)[bcdfghjkmnpqrstvwxz]{8}\b", re.IGNORECASE), "<word>"),
    (re.compile(r"\buser \d+\b"), "user n"),
    (re.compile(r"\border \d{4}\b"), "order n"),
    (re.compile(r"\bprobe-[a-z]{4}-\d+\b"), "<request>"),
    (re.compile(r"\b(?:user|conversation)-\d+-[a-z]{4}\b"), "<key>"),
    (re.compile(r"\b(?:call|chatcmpl|req|run|msg)[_-][0-9A-Za-z-]{6,}"), "<id>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b0x[0-9a-f]{6,}\b"), "<address>"),
    (re.compile(r"\b[0-9a-f]{16,}\b"), "<id>"),
    (re.compile(r"\bTask-\d+"), "Task-n"),
    (re.compile(r"\b\d+(?:\.\d+)?(?=\s?m?s\b)"), "n"),
)


def without_particulars(text: str) -> str:
    """`text` without the words, ids and times that differ from request to request; shortened."""
    for pattern, name in _PARTICULARS:
        text = pattern.sub(name, text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
