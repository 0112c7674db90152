"""Where the guard writes: one JSON object a line, each hazard once per process and place, the rest counted."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from turnlane import hazards
from turnlane.guard.settings import GuardSettings
from turnlane.guard.stacks import NO_STACK, NOWHERE, Place, Stack, place_of, shown

MAX_TEXT: Final = 2000

_NAMES: Final = r"(?i:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token)"
_SECRET: Final = re.compile(
    r"(\bsk-|\bAKIA|\bgh[pousr]_|\bxox[abeprs]-|\bAIza|\b(?i:bearer|authorization\W{1,5}basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(://[^\s/:@\"]*:)[^\s/@\"]+(?=@)"
    rf"|(\b{_NAMES}(?:\\?[\"'])?\s?[=:]\s?\\?[\"'])[^\s\"'\\]{{4,}}"
    rf"|(\b{_NAMES}=)[\w-]{{4,}}(?![\w.(\[-])"
)
"""What no record may show: keys by their shape, passwords in addresses, and values by the name before them."""


def _masked(found: re.Match[str]) -> str:
    return f"{found[found.lastindex or 0]}***"


def _identity_of(descriptor: int) -> tuple[int, int] | None:
    """What a file number stands for: a program that becomes a daemon closes them all, and opens others."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class HazardError(RuntimeError):
    """What `--strict` raises at the place of a hazard.

    Attributes:
        code: the hazard's code, such as `TL201`.
        record: the hazard's record, as in the JSON lines.
    """

    def __init__(self, code: str, record: dict[str, Any]) -> None:
        self.code = code
        self.record = record
        place = record["place"]
        where = f"{place['file']}:{place['line']}"
        super().__init__(f"{code} {record['name']}: {record['message']} At {where}. Do this: {record['fix']}")

    def __reduce__(self) -> tuple[type[HazardError], tuple[str, dict[str, Any]]]:
        """It may have to go from a worker to its parent."""
        return type(self), (self.code, self.record)


@dataclass(slots=True)
class Sighting:
    """One hazard that was seen, before it is known whether it was seen there before.

    Attributes:
        code: `TL201`.
        message: what happened, one or two sentences.
        stack: where; its innermost place in the user's code is the hazard's place.
        stacks: the same and the others that belong to it, each with a title.
        object: what it happened to: `AssistantAgent 'support'`.
        requests: ids of the requests that met.
        place: instead of the innermost user's place of `stack`.
        measures: figures, such as a depth or seconds.
        fix: instead of the catalogue's sentence.
        thread: the name of the thread that it happened in, where that is not the one that tells it.
    """

    code: str
    message: str
    stack: Stack = NO_STACK
    stacks: Sequence[tuple[str, Stack]] = ()
    object: str | None = None
    request: str | None = None
    conversation: str | None = None
    requests: Sequence[str] = ()
    place: Place | None = None
    measures: dict[str, Any] = field(default_factory=dict)
    fix: str | None = None
    task: str | None = None
    thread: str | None = None


class Journal:
    """The one place of a process that writes records. Safe from any thread and after a fork."""

    def __init__(self, settings: GuardSettings) -> None:
        self.settings = settings
        self._lock = threading.RLock()
        self._counts: Counter[str] = Counter()
        self._told: set[str] = set()
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        """Called with every hazard's record, also repeated ones: pytest plugin, tests."""
        self.kept: list[dict[str, Any]] = []
        """What this process's own summary is made from; empty when the launcher makes one for all processes."""
        self._file: int | None = None
        self._identity: tuple[int, int] | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def report(self, sighting: Sighting) -> None:
        """Tell a hazard; raises `HazardError` when the settings are strict.

        Raises:
            HazardError: in strict mode only.
        """
        place = sighting.place or place_of(sighting.stack)
        # Places that nobody knows must not swallow each other.
        key = f"{sighting.code} {place}" if place is not NOWHERE else f"{sighting.code} {sighting.object}"
        with self._lock:
            self._counts[key] += 1
            first = self._counts[key] == 1
        if first or self.listeners or self.settings.strict:
            record = self._hazard(sighting, place)
            if first:
                self.write(record)
            for listener in tuple(self.listeners):
                listener(record)
            if self.settings.strict:
                raise HazardError(sighting.code, record)

    def _hazard(self, sighting: Sighting, place: Place) -> dict[str, Any]:
        hazard = hazards.get(sighting.code)
        stacks = sighting.stacks or ((("here", sighting.stack),) if sighting.stack else ())
        return {
            "kind": "hazard",
            "code": hazard.code,
            "name": hazard.name,
            "message": sighting.message[:MAX_TEXT],
            "fix": sighting.fix or hazard.help,
            "place": place._asdict(),
            "object": sighting.object,
            "stacks": [{"title": title, "frames": [f._asdict() for f in shown(stack)]} for title, stack in stacks],
            "task": sighting.task,
            "thread": sighting.thread or threading.current_thread().name,
            "request": sighting.request,
            "conversation": sighting.conversation,
            "requests": list(sighting.requests),
            "measures": sighting.measures,
        }

    def seen(self, code: str) -> bool:
        """Whether this process has told the hazard already, at whatever place."""
        with self._lock:
            return any(key.startswith(f"{code} ") for key in self._counts)

    def write(self, record: dict[str, Any]) -> None:
        """Append one record. A disk that is full or a closed stderr loses the record, never the program."""
        whole = {"kind": record["kind"], "time": round(time.time(), 6), "pid": os.getpid(), **record}
        if self.settings.summary and whole["kind"] in ("start", "hazard", "end", "trouble"):
            self.kept.append(whole)
        with contextlib.suppress(Exception):  # also what a program's own object says when asked for its text
            text = _SECRET.sub(_masked, json.dumps(whole, default=str, ensure_ascii=False))
            line = (text + "\n").encode("utf-8", "replace")
            with self._lock:
                os.write(self._descriptor(), line)

    def trouble(self, where: str, error: BaseException) -> None:
        """Tell once that the guard itself failed somewhere; the program goes on."""
        with self._lock:
            if where in self._told:
                return
            self._told.add(where)
        self.write({"kind": "trouble", "where": where, "error": f"{type(error).__name__}: {error}"[:MAX_TEXT]})

    def end(self) -> None:
        """The last record of a process: how often each hazard was seen."""
        with self._lock:
            counts = dict(self._counts)
        self.write({"kind": "end", "counts": counts})

    def _descriptor(self) -> int:
        if self.settings.output is None:
            return sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
        if self._file is None or _identity_of(self._file) != self._identity:
            self._file = os.open(self.settings.output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            self._identity = _identity_of(self._file)
        return self._file

    def _forked(self) -> None:
        self._lock = threading.RLock()
        self._counts.clear()
        self.kept.clear()
