"""Putting the guard into this process, and taking it out again."""

from __future__ import annotations

import atexit
import functools
import os
import re
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

from turnlane.guard import imports, journals, meetings, objects, patching, requests, runs, tools, unawaited
from turnlane.guard.journal import Journal
from turnlane.guard.settings import GuardSettings

PARTS: Final = (
    "turnlane.guard.loops",
    "turnlane.guard.executors",
    "turnlane.guard.given_up",
    "turnlane.guard.late_effects",
    "turnlane.guard.clients",
    "turnlane.guard.hosts",
    "turnlane.guard.leftovers",
    "turnlane.guard.histories",
    "turnlane.guard.files",
    "turnlane.guard.kept_states",
    "turnlane.guard.stdin",
    "turnlane.guard.told",
    "turnlane.guard.swallowed",
    "turnlane.guard.shared_history",
    "turnlane.guard.frameworks.agentchat",
    "turnlane.guard.frameworks.core",
    "turnlane.guard.frameworks.classic",
    "turnlane.guard.frameworks.ag2",
    "turnlane.guard.frameworks.agent_framework",
    "turnlane.guard.versions",
    "turnlane.guard.where",
    "turnlane.guard.redirect",
    "turnlane.guard.experiment",
    "turnlane.guard.gauges",
)
"""What watches. Each has `install()`, which patches what is there and waits for what is not; `uninstall()` is for
what is no patch: a thread, a hook."""

_SECRET_OPTION: Final = re.compile(
    r"--?[\w-]*(?:passw|pwd|secret|token|api[_-]?key|dsn|credential)[\w-]*$", re.IGNORECASE
)
"""A command's option whose value, after `=` or as the next word, is for nobody to read."""

_installed = False
_ended = 0
"""The process whose end has been told."""


def install(settings: GuardSettings | None = None, **options: Any) -> Journal:
    """Watch this process from now on. Does nothing the second time.

    Args:
        settings: what to do; or its fields by name: `install(strict=True)`.

    Returns:
        The journal, whose `listeners` hear of every hazard.
    """
    global _installed, _ended
    journal = journals.open_journal(settings or GuardSettings(**options))
    if _installed:
        return journal
    _installed, _ended = True, 0
    objects.keep_arguments = journal.settings.experiment is not None
    imports.install()
    unawaited.install()
    for name in PARTS:
        _each(name, "install", journal)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forked)
    journal.write({"kind": "start", "ppid": os.getppid(), "argv": _argv(), "where": _where()})
    atexit.register(_at_exit)
    patching.replace(signal, "raise_signal", _before_signal)
    return journal


def uninstall() -> None:
    """Take every patch out again and forget everything. For tests."""
    global _installed
    if not _installed:
        return
    _installed = False
    for name in reversed(PARTS):
        _each(name, "uninstall", journals.journal, optional=True)
    patching.undo_all()
    imports.uninstall()
    for hooks in (runs.beginning, runs.ending, requests.ending, tools.beginning, tools.ending, meetings.rules):
        hooks.clear()
    atexit.unregister(_at_exit)
    journals.journal = None


def _each(name: str, what: str, journal: Journal | None, *, optional: bool = False) -> None:
    try:
        function: Callable[[], None] | None = getattr(import_module(name), what, None)
        if function is not None:
            function()
        elif not optional:
            raise AttributeError(f"{name} has no {what}()")
    except Exception as error:
        if journal is not None:
            journal.trouble(f"{what} of {name}", error)


def _argv() -> list[str]:
    words: list[str] = getattr(sys, "orig_argv", sys.argv)
    return ["***" if _SECRET_OPTION.match(before) else _masked(word) for before, word in pairwise(["", *words])]


def _masked(word: str) -> str:
    option, equals, _ = word.partition("=")
    return f"{option}=***" if equals and _SECRET_OPTION.match(option) else word


def _where() -> dict[str, Any]:
    from turnlane.guard import where

    try:
        return where.here()
    except Exception as error:  # such as a folder of the path that is no folder
        journals.trouble("where it runs", error)
        return {}


def _forked() -> None:
    requests.forked()
    runs.forked()


def _before_signal(original: Any) -> Any:
    """A server that has ended in good order kills itself with the signal it was sent, without `atexit`."""

    @functools.wraps(original)
    def raise_signal(signalnum: int, /) -> None:
        if signal.getsignal(signalnum) is signal.SIG_DFL:
            try:
                _at_exit()
            except Exception as error:
                journals.trouble("signal", error)
        original(signalnum)

    return raise_signal


def _at_exit() -> None:
    global _ended
    journal = journals.journal
    if journal is None or _ended == os.getpid():
        return
    _ended = os.getpid()
    from turnlane.guard import leftovers

    leftovers.process_ends()
    unawaited.at_exit()
    journal.end()
    if journal.settings.summary:
        from turnlane.guard import summary

        summary.print_own(journal)
