"""Connections to PostgreSQL: how they are made, what breaks them, and what its errors mean to a user."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

import asyncpg
from asyncpg import exceptions as pg

from turnlane.runtime.engine import EngineUnavailable

if TYPE_CHECKING:
    from turnlane.telemetry.outage import Outage

Connection: TypeAlias = "asyncpg.Connection[Any]"

CONNECT_TIMEOUT: Final = 3.0
"""Seconds to a connection."""

COMMAND_TIMEOUT: Final = 10.0
"""Seconds for one statement. A network that is silent for so long counts as gone."""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between two tries to reach the database."""

PROGRAM: Final = "turnlane"

# Set after connecting and not as parameters of the start-up packet: a pooler refuses those it does not know.
# - synchronous_commit: accepted means durable, whatever the server's default (promise 1).
# - jit: compiling a statement that runs for a millisecond takes longer than the statement.
# - enable_*: everything here looks few rows up by a key. A plan that was made, and kept, while the tables were
#   empty would read them from end to end for as long as the connection lives.
# - plan_cache_mode: making a plan for each call costs more than the calls.
# - idle_in_transaction_session_timeout: a frozen process must not hold a lane, and so a batch of another
#   process, for as long as a request is patient.
# - tcp_*: a process whose network is gone must not hold its lock for two hours.
_SESSION: Final = """
    SELECT set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') = 'off' THEN 'on'
            ELSE current_setting('synchronous_commit') END, false),
        set_config('jit', 'off', false),
        set_config('plan_cache_mode', 'force_generic_plan', false),
        set_config('enable_seqscan', 'off', false),
        set_config('enable_hashjoin', 'off', false),
        set_config('enable_mergejoin', 'off', false),
        set_config('idle_in_transaction_session_timeout', '3s', false),
        set_config('statement_timeout', '30s', false),
        set_config('client_min_messages', 'warning', false),
        set_config('tcp_keepalives_idle', '5', false),
        set_config('tcp_keepalives_interval', '2', false),
        set_config('tcp_keepalives_count', '3', false)
"""

# Class 08: connection, 28: password, 53: insufficient resources (disk, memory, connections), 57: operator
# intervention, 58: system error, XX: internal error; a standby, a transaction that was idle for too long (this
# process was frozen), no such database or schema or table, no right to use it. Whatever waits is right once an
# administrator has mended it (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_OUTAGES: Final = ("08", "28", "53", "57", "58", "XX")
_OUTAGE_STATES: Final = ("25006", "25P03", "25P04", "3D000", "3F000", "42501", "42P01", "42883")
_AGAIN: Final = ("40001", "40P01", "23505", "55P03")
"""Serialization, deadlock, the same key twice at once, a lock that was not had: the same call again is right."""


def place_of(url: str) -> str:
    """The database of a URL, as people are shown it: without user and password."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2] or "the local socket"
    return f"PostgreSQL at {where}{unquote(parts.path)}"


def is_outage(error: BaseException) -> bool:
    """Whether the database is to blame, so that waiting for it is right; not the statement."""
    if isinstance(error, pg.PostgresError):
        state = getattr(error, "sqlstate", None) or ""
        return state[:2] in _OUTAGES or state in _OUTAGE_STATES
    # InternalClientError: the driver lost track of a connection that was cut in the middle of something.
    broken = (OSError, TimeoutError, pg.InterfaceError, pg.InternalClientError, asyncio.IncompleteReadError)
    return isinstance(error, broken)


def is_worth_another_try(error: BaseException) -> bool:
    """Whether the same statements may succeed at once: others were in the way."""
    if isinstance(error, pg.InvalidCachedStatementError | pg.OutdatedSchemaCacheError):
        return True  # the schema was moved; the driver has forgotten its plans by now
    return isinstance(error, pg.PostgresError) and getattr(error, "sqlstate", None) in _AGAIN


def explain(error: BaseException, url: str) -> EngineUnavailable:
    """One sentence for what the database or the network said, and what to do."""
    unavailable = EngineUnavailable(_sentence(error, place_of(url), url))
    unavailable.__cause__ = error
    return unavailable


TRANSACTION_MODE: Final = (
    "{place} is a pooler in transaction mode, which drops LISTEN and the locks by which workers know who lives: "
    "give --engine the address of PostgreSQL itself, or a pool in session mode (Turnlane keeps its few "
    "connections open, a pool saves it nothing)"
)
_BROKE: Final = "the connection to {place} broke: turns wait until there is a new one"


def _sentence(error: BaseException, place: str, url: str) -> str:
    said = str(error).partition("\n")[0]  # details and hints stand on lines of their own
    match error:
        case pg.InvalidPasswordError() | pg.InvalidAuthorizationSpecificationError():
            return f"{place} refuses the user or password ({said}): correct them in --engine, or in PGPASSFILE"
        case pg.InvalidCatalogNameError():
            name = unquote(urlsplit(url).path.lstrip("/"))
            return f"{place}: there is no such database: make it (createdb {name}), or correct the URL of --engine"
        case pg.InsufficientPrivilegeError():
            return (
                f"{place}: the user may not do this ({said}): give it CREATE on the database, or run "
                "`turnlane migrate` once as a user who has it"
            )
        case pg.TooManyConnectionsError():
            return (
                f"{place} has no connection left: raise its max_connections, or run fewer processes "
                "(each takes up to 8 connections)"
            )
        case pg.DiskFullError():
            return f"the disk of {place} is full: nothing was stored; free some space, it goes on by itself"
        case pg.ReadOnlySQLTransactionError():
            return f"{place} is a standby and can't be written: point --engine at the primary"
        case pg.CannotConnectNowError() | pg.AdminShutdownError() | pg.CrashShutdownError():
            return f"{place} is stopping or starting ({said}): turns wait until it is back"
        case pg.UndefinedTableError() | pg.UndefinedFunctionError() | pg.InvalidSchemaNameError():
            return f"{place}: something of Turnlane's schema is missing ({said}): run `turnlane migrate`"
        case pg.TargetServerAttributeNotMatched():
            return f"{place}: no server is of the kind that target_session_attrs asks for: turns wait for one"
        case pg.DuplicatePreparedStatementError() | pg.InvalidSQLStatementNameError():
            # What was prepared on one backend is asked of another.
            return TRANSACTION_MODE.format(place=place)
        case ssl.SSLError():
            return f"{place}: TLS failed ({said}): look at its certificate, and at sslrootcert in --engine"
        case ConnectionError() if "rejected SSL" in str(error):
            return f"{place} has no TLS, and sslmode in --engine asks for it: set `ssl = on` at the server"
        case ValueError() | pg.ClientConfigurationError():
            return f"{place} failed: {said}: correct the URL of --engine"
        case pg.PostgresConnectionError() | pg.IdleInTransactionSessionTimeoutError():
            return _BROKE.format(place=place)
        case pg.InternalClientError() | pg.InterfaceError():
            return _BROKE.format(place=place)
        case TimeoutError():
            return f"{place} does not answer: look at the network and the server; turns wait until it is back"
        case ConnectionError() if error.errno is None:
            return _BROKE.format(place=place)
        case OSError():
            # asyncio says of a refused connection only where it went.
            known = error.errno if isinstance(error, ConnectionError) else None
            reason = os.strerror(known) if known else error.strerror or str(error) or type(error).__name__
            return f"{place} can't be reached ({reason}): is it running, and is the address right?"
        case pg.PostgresError():
            return f"{place} failed: {said}"
        case _:
            return f"{place} failed: {type(error).__name__}: {said}"


async def connect(url: str) -> Connection:
    """A connection with our session settings.

    Raises:
        asyncpg's errors, OSError, TimeoutError, ValueError (the URL is none).
    """
    connection = await asyncpg.connect(
        url,
        timeout=CONNECT_TIMEOUT,
        command_timeout=COMMAND_TIMEOUT,
        server_settings={"application_name": PROGRAM},
    )
    try:
        await connection.execute(_SESSION)
    except BaseException:
        connection.terminate()
        raise
    return connection


class Link:
    """One connection that is made anew when it breaks. For one task at a time."""

    def __init__(self, url: str, outage: Outage) -> None:
        self._url = url
        self._outage = outage
        self._connection: Connection | None = None
        self._in_use = asyncio.Lock()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """The connection, for this block alone. An error that means an outage is told, and breaks it."""
        async with self._in_use:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self.prepare(await connect(self._url))
                yield self._connection
            except asyncio.CancelledError:
                self.drop()
                raise
            except Exception as error:
                if is_outage(error):
                    self._outage.failed(str(explain(error, self._url)))
                    self.drop()
                raise
            else:
                self._outage.worked()

    async def prepare(self, connection: Connection) -> Connection:
        """What a new connection needs before it is used."""
        return connection

    def drop(self) -> None:
        """Let go of the connection without a goodbye, which a broken one would wait for."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            with suppress(Exception):
                await connection.close(timeout=1.0)


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 10)))
