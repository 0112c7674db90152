"""Which engine a URL means, what may be shown of it, and what is said about one that can't be used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from turnlane.cli.engine_address import EngineAddress, EngineAddressError
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.runtime.settings import ServeSettings

DATA = Path("data")


def of(url: str | None) -> EngineAddress:
    return EngineAddress.of(url, DATA)


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        (None, DATA),
        ("sqlite:///shop", Path("shop")),
        ("sqlite:////var/lib/shop", Path("/var/lib/shop")),
        ("sqlite:///shop/turnlane.db", Path("shop")),
        ("sqlite:///my%20shop", Path("my shop")),
    ],
)
def test_folder_is_the_embedded_engine(url: str | None, folder: Path) -> None:
    address = of(url)
    assert (address.folder, address.shown, address.shared) == (folder, str(folder), False)
    engine = address.engine(ServeSettings(max_lane=3, max_attempts=2))
    assert isinstance(engine, EmbeddedEngine)
    assert engine.folder == folder
    assert (engine.bounds.lane, engine.bounds.attempts) == (3, 2)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:pw@db.example:5432/shop", "postgresql://ann@db.example:5432/shop"),
        ("postgres://ann:p%40w@db/shop?sslmode=require&password=pw2", "postgres://ann@db/shop"),
        ("postgresql://ann:pw@one:5432,two:5433/shop?target_session_attrs=read-write",
         "postgresql://ann@one:5432,two:5433/shop"),
        ("postgresql://ann:pw@[::1]:5432/shop", "postgresql://ann@[::1]:5432/shop"),
        ("postgresql:///shop", "postgresql:///shop"),
        ("  postgresql://db/shop\n", "postgresql://db/shop"),
        ("postgresql://db/shop?user=ann@corp", "postgresql://db/shop"),
    ],
)  # fmt: skip
def test_url_of_postgresql_is_shown_without_its_password(url: str, shown: str) -> None:
    address = of(url)
    assert (address.folder, address.shown, address.shared) == (None, shown, True)


def test_passwords_are_known_as_they_are_written_and_as_they_are_meant() -> None:
    address = of("postgresql://ann:p%40w@db/shop?password=two&sslpassword=three")
    assert sorted(address.secrets) == ["p%40w", "p@w", "three", "two"]
    assert of("postgresql://ann@db/shop").secrets == []
    assert of(None).secrets == []


def test_a_password_among_the_arguments_is_noticed() -> None:
    url = "postgresql://ann:pw@db/shop"
    assert of(url).exposed_in(["turnlane", "serve", f"--engine={url}"])
    assert not of(url).exposed_in(["turnlane", "serve", "app.py"])
    assert not of("postgresql://ann@db/shop").exposed_in(["--engine", "postgresql://ann@db/shop"])


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://ann:secret@db/shop", "no engine for 'mysql': --engine takes postgresql://"),
        ("postgresql+asyncpg://ann:secret@db/shop", "no engine for 'postgresql+asyncpg'"),
        ("ann:secret@db/shop", "--engine takes a URL"),
        ("secret", "--engine takes a URL"),
        ("postgresql://ann:sec/ret@db/shop", "write / as %2F"),
        ("postgresql://ann:sec#ret@db/shop", "# as %23"),
        ("postgresql://ann:sec?ret@db/shop", "? as %3F"),
        # The driver would take what follows the first @ for the host, and name it.
        ("postgresql://ann:se@cret@db/shop", "@ as %40"),
        ("postgresql://ann:se@cret/w@db/shop", "@ as %40"),
        ("postgresql://ann:se@cret?w@db/shop", "@ as %40"),
        ("postgresql://ann:se@cret#w@db/shop", "@ as %40"),
        ("postgresql://ann:12/cret@db/shop", "/ as %2F"),
        ("postgresql://ann:secret@[::1/shop", "can't be read"),
        ("postgresql://ann:secret@db:5432,other:five/shop", "port that is no number"),
        ("sqlite:///", "names no folder"),
        ("sqlite://secret/shop", "names no folder"),
    ],
)
def test_a_url_that_means_no_engine_is_told_and_never_repeated(url: str, said: str) -> None:
    with pytest.raises(EngineAddressError) as caught:
        of(url)
    assert said in str(caught.value)
    for piece in ("secret", "sec/", "sec#", "sec?", "ret@", "cret"):
        assert piece not in str(caught.value)


def test_what_postgresql_needs_and_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("turnlane.runtime.engines.postgres")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(EngineAddressError, match=r"package asyncpg.*pip install 'turnlane\[postgresql\]'"):
        of("postgresql://db/shop").engine(ServeSettings())
