"""Starting another program with the guard in every Python process of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from turnlane.guard.settings import VARIABLE, GuardSettings

INJECTED: Final = Path(__file__).resolve().parent / "injected"
"""Holds a `sitecustomize.py`, which Python imports when it starts, before the program."""


def environment(settings: GuardSettings, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child process that shall be watched, and for the children of that.

    Args:
        settings: what the guard shall do; `output` must be an absolute path.
        base: the environment to start from; by default this process's.
    """
    made = dict(os.environ if base is None else base)
    paths = [str(INJECTED), *(made[name] for name in ("PYTHONPATH",) if made.get(name))]
    made["PYTHONPATH"] = os.pathsep.join(paths)
    made[VARIABLE] = settings.as_json()
    return made
