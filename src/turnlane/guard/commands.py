"""What the command that a process was started with says of where the program runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

PROGRAMS: Final = {
    "uvicorn": "uvicorn",
    "gunicorn": "gunicorn",
    "hypercorn": "hypercorn",
    "daphne": "daphne",
    "granian": "granian",
    "fastapi": "uvicorn",
    "flask": "flask development server",
    "celery": "celery",
    "rq": "rq",
    "dramatiq": "dramatiq",
    "streamlit": "streamlit",
    "chainlit": "chainlit",
    "pytest": "pytest",
    "py.test": "pytest",
    "ipython": "ipython",
    "ipython3": "ipython",
    "ipykernel_launcher": "jupyter",
    "ipykernel": "jupyter",
    "colab_kernel_launcher": "jupyter",
    "awslambdaric": "lambda",
    "turnlane": "turnlane",
}
"""What the name of a program or module says of where agents run in it."""

_WITH_A_LOOP: Final = ("uvicorn", "hypercorn", "daphne", "granian", "chainlit", "jupyter", "turnlane")
"""Hosts that call the program from inside a loop of theirs."""

_WITH_VALUE: Final = ("-W", "-X", "--check-hash-based-pycs")


def program_of(words: Sequence[str]) -> str | None:
    """What an interpreter was asked to run: a script's path, or a module's name."""
    rest = iter(words[1:])
    for word in rest:
        if word in ("-m", "-c"):
            return next(rest, None) if word == "-m" else None
        if word in _WITH_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return None


def host_of(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """What calls the program: `uvicorn`, `jupyter`, `script`, ..."""
    if environment.get("AWS_LAMBDA_FUNCTION_NAME"):
        return "lambda"
    program = program_of(words)
    if program is None:
        return _without_program(words)
    name = os.path.basename(program).removesuffix(".py").removesuffix(".exe").partition(".")[0]
    if name == "__main__":  # python folder/__main__.py, as -m is told to some
        name = os.path.basename(os.path.dirname(program))
    if name == "manage" and "runserver" in words:
        return "django development server"
    if name == "flask" and "run" not in words:
        return "script"
    return PROGRAMS.get(name, "script")


def _without_program(words: Sequence[str]) -> str:
    if "-c" not in words:
        return "interactive"
    text = words[words.index("-c") + 1] if words.index("-c") + 1 < len(words) else ""
    if "multiprocessing.spawn" in text or "multiprocessing.forkserver" in text:
        return "child process"
    return "script"


def of_celery(words: Sequence[str]) -> str | None:
    """The pool of a Celery worker, from its command."""
    if program_of(words) is None or host_of(words, {}) != "celery" or "worker" not in words:
        return None
    return option(words, "-P", "--pool") or "prefork"


def of_gunicorn(words: Sequence[str]) -> dict[str, Any]:
    """Gunicorn's processes, as far as its command tells; the rest is in its configuration file."""
    if host_of(words, {}) != "gunicorn":
        return {}
    found: dict[str, Any] = {"worker_class": option(words, "-k", "--worker-class") or "sync"}
    if "--preload" in words:
        found["preload"] = True
    if (workers := option(words, "-w", "--workers")) is not None:
        found["workers"] = workers
    return found


def of_uvicorn(words: Sequence[str]) -> dict[str, Any]:
    """Uvicorn's worker processes, which it spawns."""
    workers = option(words, "--workers") if host_of(words, {}) == "uvicorn" else None
    return {"workers": workers, "start_method": "spawn"} if workers not in (None, "1") else {}


def loop_of(host: str, worker_class: str = "") -> str:
    """Who owns the event loop under a host, for people."""
    if host in _WITH_A_LOOP or any(name in worker_class for name in ("uvicorn", "asyncio", "aiohttp")):
        return "the server owns the loop"
    return "the program owns the loop" if host in ("script", "child process") else "no loop runs"


def is_reloading(words: Sequence[str]) -> bool:
    """Whether the server starts again when a file changes."""
    flags = {"--reload", "--debug"} & set(words)
    return bool(flags) and host_of(words, {}) in ("uvicorn", "hypercorn", "gunicorn", "flask development server")


def option(words: Sequence[str], *names: str) -> str | None:
    """The value of a command's option: `-k uvicorn`, `--worker-class=uvicorn`, `-kuvicorn`."""
    for number, word in enumerate(words):
        for name in names:
            if word == name and number + 1 < len(words):
                return words[number + 1]
            if word.startswith(f"{name}="):
                return word.partition("=")[2]
            if not name.startswith("--") and word.startswith(name) and len(word) > 2 and not word.startswith("--"):
                return word[2:]
    return None
