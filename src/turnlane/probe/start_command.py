"""The words that start a program, changed for an experiment: one worker, no preloading, no reloading."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

_WORKERS: Final = ("--workers", "--processes", "--concurrency")
_SHORT: Final = re.compile(r"-w(?P<number>\d+)?")
_PRELOADING: Final = ("--preload", "--preload-app")
_RELOADING: Final = ("--reload", "--debug")
SERVERS_WITH_WORKERS: Final = ("uvicorn", "gunicorn", "hypercorn", "granian", "fastapi")
"""Programs that take `--workers`; others may mean another thing by it."""


def workers_of(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """How many worker processes the command asks for; 1 if it does not say."""
    if not _is_server(command):
        return 1
    words = list(command)
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else ""
        name, _, value = word.partition("=")
        short = _SHORT.fullmatch(word)
        text = (value or following) if name in _WORKERS else (short["number"] or following) if short else ""
        if text.isdecimal():
            return int(text)
    asked = environment.get("WEB_CONCURRENCY", "")
    return int(asked) if asked.isdecimal() else 1


def with_one_worker(command: Sequence[str]) -> tuple[str, ...]:
    """The same with one worker process; set `WEB_CONCURRENCY` to 1 as well."""
    made: list[str] = []
    words = iter(command)
    for word in words:
        name, equals, _ = word.partition("=")
        if name in _WORKERS or word == "-w":
            made += [f"{name}=1"] if equals else [word, "1"]
            if not equals:
                next(words, None)
        else:
            made.append("-w1" if _SHORT.fullmatch(word) else word)
    return tuple(made)


def preloads(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether the program is loaded before its workers are forked."""
    arguments = environment.get("GUNICORN_CMD_ARGS", "").split()
    return _is_server(command) and any(word in _PRELOADING for word in (*command, *arguments))


def without_preload(command: Sequence[str]) -> tuple[str, ...]:
    """The same, each worker loading the program itself."""
    return tuple(word for word in command if word not in _PRELOADING)


def reloads(command: Sequence[str]) -> bool:
    """Whether a reloader watches the program's files."""
    return any(word in _RELOADING for word in command)


def without_reload(command: Sequence[str]) -> tuple[str, ...]:
    """The same without the reloader."""
    return tuple(word for word in command if word not in _RELOADING)


def _is_server(command: Sequence[str]) -> bool:
    names = {word.rpartition("/")[2] for word in command[:4]}
    return bool(names & {*SERVERS_WITH_WORKERS})
