"""The schema's versions: making it, moving it, and refusing one that does not fit this program."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.postgres.connection import Connection, connect, explain, place_of

VERSION: Final = 1
"""The version that this program makes and knows. Version n is what the first n files in `versions` make."""

OLDEST_SERVER: Final = 140_000
"""`server_version_num` of PostgreSQL 14."""

_LOCK: Final = "SELECT pg_advisory_xact_lock(1953853038, 2)"

_IS_THERE: Final = """SELECT EXISTS (SELECT FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'turnlane' AND c.relname = 'schema_version')"""

# Of pgmq 1.8 and later; an older one, made by somebody else, is not enough.
_NEEDED_OF_PGMQ: Final = "pgmq.read_grouped_head(text, integer, integer)"


async def version(url: str) -> int | None:
    """The schema's version in a database; None: there is none yet.

    Raises:
        EngineUnavailable: it is so new that this program can't work on it, or the database can't be reached.
    """
    try:
        connection = await connect(url)
        try:
            found, works_from = await _versions(connection)
        finally:
            await connection.close()
        _check_not_too_new(url, found, works_from)
        return found
    except EngineUnavailable:
        raise
    except Exception as error:
        raise explain(error, url) from error


async def migrate(url: str) -> tuple[int | None, int]:
    """Make the schema, or move it to this program's version. Returns the versions before and after.

    A newer one that this program can work on stays as it is.

    Raises:
        EngineUnavailable: it is so new that this program can't work on it, or the database can't be reached or
            changed.
    """
    try:
        connection = await connect(url)
        try:
            return await _move(connection, url)
        finally:
            await connection.close()
    except EngineUnavailable:
        raise
    except Exception as error:
        raise explain(error, url) from error


async def make_ready(connection: Connection, url: str) -> None:
    """Make the schema where there is none; check the one that is there.

    Raises:
        EngineUnavailable: it is older or newer than this program can work on; says what to do.
    """
    found, works_from = await _versions(connection)
    if found is None:
        await _move(connection, url)
    elif found < VERSION:
        raise EngineUnavailable(
            f"{place_of(url)} has schema {found}, and this turnlane needs {VERSION}: run `turnlane migrate`; "
            "programs of the version before go on working on the new schema"
        )
    _check_not_too_new(url, found, works_from)


def _check_not_too_new(url: str, found: int | None, works_from: int) -> None:
    if works_from > VERSION:
        raise EngineUnavailable(
            f"{place_of(url)} has schema {found} of a newer turnlane, which this one (schema {VERSION}) can't "
            "work on: install that version, or a newer one"
        )


async def _versions(connection: Connection) -> tuple[int | None, int]:
    """The schema's version, and that of the oldest program that works on it."""
    # Not `to_regclass`: who looked before another process made the schema, and then waited for it, would get its
    # answer from a cache of names that does not know it yet.
    if not await connection.fetchval(_IS_THERE):
        return None, 0
    row = await connection.fetchrow("SELECT version, works_from FROM turnlane.schema_version")
    return (row["version"], row["works_from"]) if row else (None, 0)


async def _move(connection: Connection, url: str) -> tuple[int | None, int]:
    _check_server(connection, url)
    # Making the tables of a queue engine takes longer than a statement may.
    await connection.execute("SET statement_timeout = '5min'")
    async with connection.transaction():
        await connection.execute(_LOCK, timeout=300)
        before, works_from = await _versions(connection)
        _check_not_too_new(url, before, works_from)
        await _ensure_pgmq(connection, url)
        for number in range((before or 0) + 1, VERSION + 1):
            await connection.execute(_statements(number), timeout=300)
    await connection.execute("SET statement_timeout = '30s'")
    return before, max(before or 0, VERSION)


def _check_server(connection: Connection, url: str) -> None:
    server = connection.get_server_version()
    if server.major * 10_000 < OLDEST_SERVER:
        raise EngineUnavailable(
            f"{place_of(url)} is PostgreSQL {server.major}, and Turnlane needs 14 or newer: use a newer server"
        )


async def _ensure_pgmq(connection: Connection, url: str) -> None:
    if await connection.fetchval("SELECT to_regprocedure($1)", _NEEDED_OF_PGMQ) is not None:
        return
    if await connection.fetchval("SELECT to_regnamespace('pgmq')") is not None:
        raise EngineUnavailable(
            f"{place_of(url)} has an older pgmq without message groups: update it, or use another database"
        )
    await connection.execute(_pgmq_sql(), timeout=300)


def _pgmq_sql() -> str:
    try:
        return files("pgmq").joinpath("sql/pgmq.sql").read_text(encoding="utf-8")
    except ModuleNotFoundError:
        raise EngineUnavailable("pgmq is not installed: pip install 'turnlane[postgresql]'") from None


def _statements(number: int) -> str:
    return (
        files("turnlane.runtime.engines.postgres").joinpath(f"versions/{number}.sql").read_text(encoding="utf-8")
    )
