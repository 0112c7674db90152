"""The guard: a race detector for agents. Watches a running program and reports each hazard once, with its code.

>>> from turnlane import guard
>>> guard.install()  # doctest: +SKIP

Or without a change to the program: `turnlane guard -- python app.py`, `pytest --turnlane-guard`,
`%load_ext turnlane.guard`. Needs the standard library only, and patches frameworks when they are imported.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the constant of `typing`, without the time of importing it; mypy knows the name
if TYPE_CHECKING:
    from typing import Any

    from turnlane.guard.installing import install, uninstall
    from turnlane.guard.journal import HazardError
    from turnlane.guard.settings import GuardSettings

__all__ = ["GuardSettings", "HazardError", "install", "load_ipython_extension", "uninstall"]

_PLACES = {
    "install": "turnlane.guard.installing",
    "uninstall": "turnlane.guard.installing",
    "HazardError": "turnlane.guard.journal",
    "GuardSettings": "turnlane.guard.settings",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext turnlane.guard`: watch this notebook or IPython session from the next cell on."""
    from turnlane.guard.hosts.ipython import load

    load(shell)
