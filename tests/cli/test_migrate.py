"""`turnlane migrate`, and what `serve` and `worker` say of a schema or a database that they can't use."""

from __future__ import annotations

import asyncio
import io
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from turnlane.cli.main import main
from turnlane.runtime.engines.postgres import schema

if TYPE_CHECKING:
    from turnlane.testing.postgres_server import PostgresServer

Said = tuple[int, str, str]
Turnlane = Callable[..., Said]


@pytest.fixture
def turnlane(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Turnlane:
    """Runs a command line in this process: exit status, what it printed, what it complained."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Said:
        errors = io.StringIO()
        status = main([str(argument) for argument in arguments], errors=errors)
        return status, capsys.readouterr().out, errors.getvalue()

    return run


def set_schema(server: PostgresServer, url: str, version: int, works_from: int) -> None:
    database = urlsplit(url).path.lstrip("/")
    server.execute(
        "UPDATE turnlane.schema_version SET version = $1, works_from = $2", version, works_from, database=database
    )


def where(url: str) -> str:
    return "PostgreSQL at " + url.partition("@")[2]


# --- migrate ---


def test_empty_database_is_told_and_made(turnlane: Turnlane, postgres_url: str) -> None:
    status, said, _ = turnlane("migrate", "--check", "--engine", postgres_url)
    assert (status, said) == (1, f"{postgres_url}: no schema yet, this turnlane makes version {schema.VERSION}\n")
    assert asyncio.run(schema.version(postgres_url)) is None
    assert turnlane("migrate", "--engine", postgres_url) == (
        0,
        f"{postgres_url}: schema {schema.VERSION}; made\n",
        "",
    )
    for check in ([], ["--check"]):
        status, said, _ = turnlane("migrate", *check, "--engine", postgres_url)
        assert (status, said) == (0, f"{postgres_url}: schema {schema.VERSION}; nothing to do\n")


@pytest.mark.parametrize("check", [[], ["--check"]], ids=["move", "check"])
def test_newer_schema_that_this_version_works_on_needs_nothing(
    turnlane: Turnlane, postgres_ready_url: str, postgres_server: PostgresServer, check: list[str]
) -> None:
    set_schema(postgres_server, postgres_ready_url, 99, schema.VERSION)
    status, said, _ = turnlane("migrate", *check, "--engine", postgres_ready_url)
    assert (status, said.partition(": ")[2]) == (
        0,
        f"schema 99, of a newer turnlane than this one (schema {schema.VERSION}); nothing to do\n",
    )
    assert asyncio.run(schema.version(postgres_ready_url)) == 99


@pytest.mark.parametrize("check", [[], ["--check"]], ids=["move", "check"])
def test_newer_schema_that_this_version_cannot_work_on_is_told(
    turnlane: Turnlane, postgres_ready_url: str, postgres_server: PostgresServer, check: list[str]
) -> None:
    set_schema(postgres_server, postgres_ready_url, 99, 99)
    status, said, complaint = turnlane("migrate", *check, "--engine", postgres_ready_url)
    assert (status, said) == (1, "")
    assert "has schema 99 of a newer turnlane" in complaint
    assert "install that version, or a newer one" in complaint


def test_engine_may_come_from_the_environment_and_other_settings_of_serving_may_be_there(
    turnlane: Turnlane, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNLANE_ENGINE", postgres_url)
    monkeypatch.setenv("TURNLANE_PORT", "80")
    monkeypatch.setenv("TURNLANE_CHECK", "1")
    assert turnlane("migrate")[:2] == (0, f"{postgres_url}: schema {schema.VERSION}; made\n")


def test_embedded_engine_needs_none(turnlane: Turnlane) -> None:
    status, said, _ = turnlane("migrate", "--data", "shop")
    assert (status, said) == (
        0,
        "shop: the embedded engine moves its file by itself when it is opened; nothing to do\n",
    )


# --- what the verbs say of a schema and of a database ---

VERBS = [["serve", "--port", "0", "--log-level", "error"], ["worker", "--log-level", "error"]]


@pytest.fixture(params=VERBS, ids=["serve", "worker"])
def start(request: pytest.FixtureRequest, turnlane: Turnlane, echo: Path) -> Callable[[str], str]:
    """Starts a verb that can't start; gives the one sentence that it says."""

    def say(url: str) -> str:
        status, said, complaint = turnlane(*request.param, echo, "--engine", url)
        assert (status, said) == (1, "")
        assert complaint.startswith("turnlane: ")
        assert complaint.count("\n") == 1
        return complaint

    return say


def test_older_schema(
    start: Callable[[str], str], postgres_ready_url: str, postgres_server: PostgresServer
) -> None:
    set_schema(postgres_server, postgres_ready_url, schema.VERSION - 1, schema.VERSION - 1)
    said = start(postgres_ready_url)
    assert f"{where(postgres_ready_url)} has schema {schema.VERSION - 1}, and this turnlane needs" in said
    assert "run `turnlane migrate`" in said


def test_newer_schema(
    start: Callable[[str], str], postgres_ready_url: str, postgres_server: PostgresServer
) -> None:
    set_schema(postgres_server, postgres_ready_url, 99, 99)
    assert "install that version, or a newer one" in start(postgres_ready_url)


def test_unreachable_host(start: Callable[[str], str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql://ann:a-very-secret-word@127.0.0.1:{unused.getsockname()[1]}/shop"
        said = start(url)
    assert f"{where(url)} can't be reached" in said
    assert "secret" not in said


def test_host_that_nobody_knows(start: Callable[[str], str]) -> None:
    said = start("postgresql://ann:a-very-secret-word@no-such-host.invalid/shop")
    assert "PostgreSQL at no-such-host.invalid/shop can't be reached" in said
    assert "secret" not in said


def test_wrong_password(
    start: Callable[[str], str], postgres_url: str, postgres_server: PostgresServer, user: str
) -> None:
    said = start(postgres_server.url(name_of(postgres_url), user=user, password="a-wrong-secret"))
    assert "refuses the user or password" in said
    assert "a-wrong-secret" not in said


def test_missing_database(start: Callable[[str], str], postgres_server: PostgresServer) -> None:
    assert "there is no such database: make it (createdb shop)" in start(postgres_server.url("shop"))


def test_user_without_rights(
    start: Callable[[str], str], postgres_url: str, postgres_server: PostgresServer, user: str
) -> None:
    said = start(postgres_server.url(name_of(postgres_url), user=user, password=PASSWORD))
    assert "give it CREATE on the database, or run `turnlane migrate` once as a user who has it" in said
    assert PASSWORD not in said


PASSWORD = "its-own-secret"


@pytest.fixture
def user(postgres_server: PostgresServer) -> Iterator[str]:
    name = f"weak_{os.getpid()}"
    postgres_server.create_user(name, PASSWORD)
    yield name
    postgres_server.execute(f"DROP ROLE {name}")


def name_of(url: str) -> str:
    return urlsplit(url).path.lstrip("/")
