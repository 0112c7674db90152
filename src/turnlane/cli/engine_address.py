"""Where turns are kept, by a URL: the one place that picks an engine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from turnlane.runtime.engine import Engine
from turnlane.runtime.engines.embedded import DATABASE, EmbeddedEngine
from turnlane.runtime.engines.moving import Store
from turnlane.runtime.settings import ProcessSettings

POSTGRESQL: Final = ("postgresql", "postgres")
"""Schemes of PostgreSQL: its own libpq reads both."""

KINDS: Final = "postgresql://USER@HOST/DATABASE or sqlite:///FOLDER"

_SECRET_PARAMETERS: Final = ("password", "sslpassword")


class EngineAddressError(Exception):
    """A URL that names no engine. The message says what to write instead, and never repeats the URL."""


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where turns are kept: in a folder (the embedded engine), or else in the PostgreSQL database of a URL."""

    folder: Path | None = None
    url: str = ""

    @classmethod
    def of(cls, url: str | None, folder: Path) -> Self:
        """The address that a URL means; None: the embedded engine in `folder`.

        Raises:
            EngineAddressError: it means none.
        """
        if url is None:
            return cls(folder)
        scheme, separator, _ = url.strip().partition("://")
        if not separator or re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) is None:
            raise EngineAddressError(f"--engine takes a URL: {KINDS}; leave it out for the folder of --data")
        if scheme.lower() in POSTGRESQL:
            _check_postgresql(url.strip())
            return cls(url=url.strip())
        if scheme.lower() == "sqlite":
            return cls(_folder_of(url.strip()))
        raise EngineAddressError(
            f"there is no engine for {scheme!r}: --engine takes {KINDS}; leave it out for the folder of --data"
        )

    @property
    def shared(self) -> bool:
        """Whether several processes may use it at once."""
        return self.folder is None

    @property
    def shown(self) -> str:
        """What logs and people may see: without password and parameters."""
        if self.folder is not None:
            return str(self.folder)
        parts = urlsplit(self.url)
        user, at, host = parts.netloc.rpartition("@")
        return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}"

    @property
    def secrets(self) -> list[str]:
        """What must never be shown: the passwords in the URL, as they are written and as they are meant."""
        if self.folder is not None:
            return []
        parts = urlsplit(self.url)
        parameters = [value for name, value in parse_qsl(parts.query) if name in _SECRET_PARAMETERS]
        return [text for found in (parts.password, *parameters) if found for text in {found, unquote(found)}]

    def with_secrets(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The environment with what `redact` must also know, for `remember_secrets`."""
        return {**environ, **{f"ENGINE_{n}_PASSWORD": secret for n, secret in enumerate(self.secrets)}}

    def exposed_in(self, arguments: Sequence[str]) -> bool:
        """Whether a password stands in the arguments of a process, which every user of the machine can read."""
        return bool(self.secrets) and any(self.url in argument for argument in arguments)

    def engine(self, settings: ProcessSettings) -> Engine:
        """The engine, not open yet.

        Raises:
            EngineAddressError: what it needs is not installed.
        """
        if self.folder is not None:
            return EmbeddedEngine(self.folder, bounds=settings.bounds)
        with needs_postgresql():
            from turnlane.runtime.engines.postgres.engine import PostgresEngine
        return PostgresEngine(self.url, bounds=settings.bounds, lease=settings.lease)

    def store(self) -> Store:
        """What the engine keeps, to be moved while no engine is open on it.

        Raises:
            EngineAddressError: what it needs is not installed.
        """
        if self.folder is not None:
            from turnlane.runtime.engines.moving_sqlite import SqliteStore

            return SqliteStore(self.folder)
        with needs_postgresql():
            from turnlane.runtime.engines.postgres.moving import PostgresStore
        return PostgresStore(self.url)


class needs_postgresql:
    """Around imports of what knows PostgreSQL: tells how to install what is missing."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("turnlane"):
            raise EngineAddressError(
                f"the PostgreSQL engine needs the package {error.name}, which is not installed: "
                "pip install 'turnlane[postgresql]'"
            ) from error


def _check_postgresql(url: str) -> None:
    """Find what a driver would misread and then repeat: a password that is not written as URLs want it."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise EngineAddressError(f"the URL of --engine can't be read ({error}): write {KINDS}") from None
    numbers = _ports_are_numbers(parts)
    if _at_is_misplaced(parts) or (not numbers and "@" in parts.query):
        # The URL was cut inside the password: its pieces stand as host, port, path or parameter.
        raise EngineAddressError(
            "the password in the URL of --engine holds a character that ends it: write / as %2F, # as %23, "
            "? as %3F and @ as %40, or keep the password in PGPASSWORD or a password file"
        )
    if not numbers:
        raise EngineAddressError(f"the URL of --engine has a port that is no number: write {KINDS}")


def _at_is_misplaced(parts: SplitResult) -> bool:
    """Whether an `@` stands where none belongs; in the value of a parameter it does (`?user=ann@corp`)."""
    hosts = parts.netloc.partition("@")[2]
    names = [parameter.partition("=")[0] for parameter in parts.query.split("&")]
    return any("@" in text for text in (hosts, parts.path, parts.fragment, *names))


def _ports_are_numbers(parts: SplitResult) -> bool:
    """Of all hosts: there may be several, as HOST:PORT,HOST:PORT."""
    hosts = parts.netloc.rpartition("@")[2].split(",")
    return all(re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:\d*)?", host) for host in hosts)


def _folder_of(url: str) -> Path:
    """`sqlite:///FOLDER` is relative, `sqlite:////FOLDER` absolute, as other programs have it."""
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc or not path:
        raise EngineAddressError(
            "the URL of --engine names no folder: write sqlite:///FOLDER, or sqlite:////FOLDER from the root"
        )
    folder = Path(path)
    return folder.parent if folder.name == DATABASE else folder
