"""IPython and Jupyter: a cell is a piece of work, and all cells are of one person."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

from turnlane.guard import journals
from turnlane.guard.hosts.calls import watch
from turnlane.guard.imports import when_imported
from turnlane.guard.requests import Request


def install() -> None:
    """Wait for the shell."""
    when_imported("IPython.core.interactiveshell", _shell)


def load(shell: Any) -> None:
    """`%load_ext turnlane.guard`: watch from the next cell on, and say so."""
    from turnlane.guard.installing import install as install_guard

    if journals.journal is not None:
        sys.stdout.write("turnlane guard watches this session already.\n")
        return
    # What is found is shown below the cell; the process's own stderr is a log that nobody reads.
    journal = install_guard(output=os.devnull, summary=False)
    journal.listeners.append(_Shown())
    sys.stdout.write("turnlane guard watches this session from the next cell on.\n")


class _Shown:
    """Shows each hazard once, below the cell that it was seen in."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str, int]] = set()

    def __call__(self, record: dict[str, Any]) -> None:
        from turnlane.guard import summary

        place = record["place"]
        key = (record["code"], place["file"], place["line"])
        if key not in self._told:
            self._told.add(key)
            sys.stderr.write(summary.one(record))


def _shell(module: ModuleType) -> None:
    watch(module.InteractiveShell, "run_cell_async", _cell)


def _cell(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
    number = getattr(args[0], "execution_count", "")
    return Request("ipython", f"cell [{number}]", keys={"session": f"kernel {os.getpid()}"})
