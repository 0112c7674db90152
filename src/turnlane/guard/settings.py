"""What the guard is asked to do; travels to child processes in one environment variable."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

VARIABLE: Final = "TURNLANE_GUARD"
"""The environment variable that holds the settings as JSON; a process that finds it loads the guard."""


@dataclass(frozen=True)
class GuardSettings:
    """How the guard watches.

    Attributes:
        output: file to append records to; None writes them to stderr.
        strict: raise `HazardError` at the place instead of only reporting it.
        threshold: seconds for which the loop may stand still before it is reported (TL108).
        grace: seconds after which a cancelled run must have ended (TL404, TL503).
        gauges: write a gauge once a second: loop lag, open files, tasks, threads.
        requests: write a record at the end of every request.
        summary: print a summary when the process ends. `turnlane guard` prints one for all processes instead.
        redirect: addresses of providers and what to call instead, for `turnlane probe`.
        experiment: one change that `turnlane probe` makes to find a cause, such as `fresh-agents`.
    """

    output: str | None = None
    strict: bool = False
    threshold: float = 0.25
    grace: float = 2.0
    gauges: bool = False
    requests: bool = False
    summary: bool = True
    redirect: Mapping[str, str] = field(default_factory=dict)
    experiment: str | None = None

    def as_json(self) -> str:
        """For the environment variable."""
        return json.dumps(asdict(self))


def read(text: str) -> GuardSettings:
    """Settings from the environment variable; unknown ones are left out: the launcher may be newer.

    Raises:
        ValueError: the text is not a JSON object.
    """
    values: Any = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"{VARIABLE} must hold a JSON object")
    known = {entry.name for entry in fields(GuardSettings)}
    return GuardSettings(**{name: value for name, value in values.items() if name in known})


def of_environment() -> GuardSettings | None:
    """The settings of this process, or None when nobody asked for the guard."""
    text = os.environ.get(VARIABLE)
    return read(text) if text else None
