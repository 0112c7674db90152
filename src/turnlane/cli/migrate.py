"""`turnlane migrate`: shows the version of a database's schema, and moves it to this program's."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from turnlane.cli.assembly import complaints
from turnlane.cli.complaint import FAILED
from turnlane.cli.engine_address import EngineAddress, needs_postgresql
from turnlane.runtime.settings import ServeSettings, variable_of
from turnlane.telemetry.redact import remember_secrets


def migrate(
    *,
    engine: Annotated[str | None, Parameter(env_var=variable_of("engine"))] = None,
    data: Annotated[Path, Parameter(env_var=variable_of("data"))] = ServeSettings.model_fields["data"].default,
    check: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show the schema of a database and move it to this version; the version before works on with it.

    So migrate first, then restart one process after the other. `serve` and `worker` make the schema in an empty
    database by themselves.

    Parameters
    ----------
    engine
        URL of the engine, as for `turnlane serve`.
    data
        Folder of the embedded engine.
    check
        Change nothing; the exit status is 1 when a move is due.
    """
    remember_secrets()
    with complaints():
        address = EngineAddress.of(engine, data)
        remember_secrets(address.with_secrets())
        if not address.shared:
            _say(f"{address.shown}: the embedded engine moves its file by itself when it is opened; nothing to do")
            return 0
        return asyncio.run(_check(address) if check else _migrate(address))


async def _check(address: EngineAddress) -> int:
    with needs_postgresql():
        from turnlane.runtime.engines.postgres import schema

    found = await schema.version(address.url)
    if found is None:
        _say(f"{address.shown}: no schema yet, this turnlane makes version {schema.VERSION}")
        return FAILED
    if found < schema.VERSION:
        _say(f"{address.shown}: schema {found}, this turnlane needs {schema.VERSION}: run `turnlane migrate`")
        return FAILED
    _say(f"{address.shown}: schema {found}{_newer(found, schema.VERSION)}; nothing to do")
    return 0


async def _migrate(address: EngineAddress) -> int:
    with needs_postgresql():
        from turnlane.runtime.engines.postgres import schema

    before, after = await schema.migrate(address.url)
    done = "nothing to do" if before == after else "made" if before is None else f"moved from {before}"
    _say(f"{address.shown}: schema {after}{_newer(after, schema.VERSION)}; {done}")
    return 0


def _newer(found: int, own: int) -> str:
    return f", of a newer turnlane than this one (schema {own})" if found > own else ""


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
