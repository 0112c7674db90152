"""`turnlane move`: everything that one engine keeps into another, with nothing lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from turnlane.cli.assembly import complaints
from turnlane.cli.complaint import Complaint
from turnlane.cli.engine_address import EngineAddress
from turnlane.runtime.engines.moving import MoveFailed, MoveRefused, Progress, Summary
from turnlane.runtime.engines.moving import move as move_all
from turnlane.telemetry.redact import redact, remember_secrets

DIGITS: Final = 16
"""Of the digest that are shown."""


def move(source: str, target: str, /) -> int:
    """Copy all conversations of an engine into an empty one. Neither may be in use; the source stays as it is.

    What was running waits again in the target, its attempts counted. The target gets everything or nothing, and
    is compared with the source at the end.

    Parameters
    ----------
    source
        Where everything is: a data folder, or the URL of an engine, as for `turnlane serve --engine`.
    target
        Where it shall be: the same kinds. A folder is made, and an empty database gets its schema.
    """
    with complaints(), _move_complaints():
        here, there = _address(source), _address(target)
        remember_secrets(there.with_secrets(here.with_secrets()))
        if _is_same(here, there):
            raise Complaint(f"{here.shown} is the source and the target: give two different ones")
        with _shown_progress(sys.stderr) as progress:
            moved = asyncio.run(move_all(here.store(), there.store(), progress))
    sys.stdout.write(_told(moved, here, there))
    return 0


def _address(place: str) -> EngineAddress:
    return EngineAddress.of(place, Path()) if "://" in place else EngineAddress(Path(place))


def _is_same(here: EngineAddress, there: EngineAddress) -> bool:
    if here.folder is not None and there.folder is not None:
        return here.folder.resolve() == there.folder.resolve()
    return here == there


@contextmanager
def _move_complaints() -> Iterator[None]:
    try:
        yield
    except (MoveRefused, MoveFailed) as error:
        raise Complaint(redact(str(error)), 1) from error


@contextmanager
def _shown_progress(out: TextIO) -> Iterator[Progress]:
    """One line that changes, on a terminal only. Everything is read twice: to be copied, and to be compared."""
    shown = False

    def show(done: int, total: int) -> None:
        nonlocal shown
        if out.isatty():
            shown = True
            doing = "copying" if done * 2 <= total else "comparing"
            out.write(f"\r{doing}: {100 * done // total} % of {total // 2:,} conversations and turns ")
            out.flush()

    try:
        yield show
    finally:
        if shown:
            out.write("\n")


def _told(moved: Summary, here: EngineAddress, there: EngineAddress) -> str:
    return (
        f"moved {moved.conversations:,} conversations with {moved.items:,} items, {moved.states:,} states, "
        f"{moved.turns:,} turns, {moved.events:,} events and {moved.ledger_entries:,} ledger entries\n"
        f"  from {here.shown}, which is left as it was\n"
        f"  to   {there.shown}\n"
        f"  compared: both hold the same (sha256 {moved.digest[:DIGITS]}...)\n"
    )
