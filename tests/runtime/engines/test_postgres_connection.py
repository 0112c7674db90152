"""Which errors of the driver mean that the database is away, so that waiting for it is right."""

import asyncio
import ssl

import pytest
from asyncpg import exceptions as pg

from turnlane.runtime.engines.postgres.connection import explain, is_outage


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        asyncio.IncompleteReadError(b"", 5),
        pg.AdminShutdownError("terminating connection"),
        pg.DiskFullError("no space"),
        pg.TooManyConnectionsError("sorry, too many clients already"),
        pg.ReadOnlySQLTransactionError("read-only"),
        pg.InterfaceError("connection is closed"),
        pg.IdleInTransactionSessionTimeoutError("this process was frozen"),
        # An administrator mends these, and what waits goes on.
        pg.InvalidPasswordError("changed"),
        pg.InsufficientPrivilegeError("taken away"),
        pg.InvalidCatalogNameError("dropped"),
        pg.UndefinedTableError("dropped"),
        # What a request got in the fault suite whose connection was cut at the wrong moment (seed 6).
        pg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_database_is_to_blame(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        pg.UniqueViolationError("twice"),
        pg.UndefinedColumnError("no such column"),
        ValueError("ours"),
        KeyError("ours"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_statement_is_to_blame(error: Exception) -> None:
    assert not is_outage(error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (pg.InvalidPasswordError("wrong"), "refuses the user or password"),
        (pg.InvalidCatalogNameError("none"), "createdb turns"),
        (pg.InsufficientPrivilegeError("permission denied"), "turnlane migrate"),
        (pg.TooManyConnectionsError("too many"), "max_connections"),
        (pg.DiskFullError("no space"), "free some space"),
        (pg.ReadOnlySQLTransactionError("read-only"), "is a standby"),
        (pg.AdminShutdownError("terminating"), "turns wait until it is back"),
        (pg.ConnectionDoesNotExistError("closed in the middle"), "broke: turns wait"),
        (pg.InternalClientError("cannot switch to state 15"), "broke: turns wait"),
        (pg.InterfaceError("cannot call Transaction.__aexit__()"), "broke: turns wait"),
        # What the second process gets from a pooler that knows nothing of prepared statements.
        (pg.DuplicatePreparedStatementError('"__asyncpg_stmt_1__" already exists\nHINT:'), "transaction mode"),
        (ConnectionError('PostgreSQL server at "db:5432" rejected SSL upgrade'), "`ssl = on`"),
        (ssl.SSLCertVerificationError(1, "self-signed certificate"), "at sslrootcert in --engine"),
        (pg.ClientConfigurationError("no such file", hint="Give it."), "no such file: correct the URL"),
        (pg.UndefinedFunctionError("no function\nHINT:  You might need a cast."), "(no function): run `turnlane"),
        (pg.TargetServerAttributeNotMatched("None of the hosts match"), "target_session_attrs"),
        (TimeoutError(), "does not answer"),
        (ConnectionRefusedError(111, "Connection refused"), "is it running"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_sentence_says_what_happened_where_and_what_to_do(error: Exception, words: str) -> None:
    sentence = str(explain(error, "postgresql://ada:s3cret@db.example:5432/turns"))
    assert words in sentence
    assert "PostgreSQL at db.example:5432/turns" in sentence
    assert "s3cret" not in sentence
    assert "\n" not in sentence
