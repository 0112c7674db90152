"""The journal of this process, and what is known about where it runs. Nothing is reported before `install`."""

from __future__ import annotations

import contextlib
from typing import Any

from turnlane.guard.journal import HazardError, Journal, Sighting
from turnlane.guard.settings import GuardSettings

journal: Journal | None = None
_where: dict[str, Any] = {}


def open_journal(settings: GuardSettings) -> Journal:
    """The journal of this process, made the first time."""
    global journal
    if journal is None:
        journal = Journal(settings)
    return journal


def settings() -> GuardSettings:
    """The settings in use; the defaults before `install`."""
    return journal.settings if journal is not None else GuardSettings()


def report(sighting: Sighting) -> None:
    """Tell a hazard.

    Raises:
        HazardError: the settings are strict.
    """
    if journal is None:
        return
    try:
        journal.report(sighting)
    except HazardError:
        raise
    except Exception as error:
        journal.trouble("report", error)


def report_aside(sighting: Sighting) -> None:
    """Tell a hazard from where nothing may be raised: a finaliser, a timer, a thread of the guard."""
    with contextlib.suppress(HazardError):
        report(sighting)


def write(record: dict[str, Any]) -> None:
    """Append another record."""
    if journal is not None:
        journal.write(record)


def trouble(where: str, error: BaseException) -> None:
    """The guard itself failed; the program must not."""
    if journal is not None:
        journal.trouble(where, error)


def note_where(**facts: Any) -> None:
    """Remember a fact about where the guard runs, such as `preload=True`."""
    _where.update(facts)


def where_is(name: str) -> Any:
    """A fact about where the guard runs; None when nobody noted it."""
    return _where.get(name)
