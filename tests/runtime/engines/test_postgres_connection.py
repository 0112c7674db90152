"""Which errors of the driver mean that the database is away, so that waiting for it is right."""

import asyncio

import pytest
from asyncpg import exceptions as pg

from turnlane.runtime.engines.postgres.connection import is_outage


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
