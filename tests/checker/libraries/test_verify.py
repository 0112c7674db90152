"""The verifier finds what a library's source lacks; the tables pass it for the libraries installed here."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnlane.checker.libraries.packages import Packages
from turnlane.checker.libraries.verify import check, coverage, installed, table_symbols


def test_the_tables_agree_with_the_installed_libraries() -> None:
    symbols = table_symbols()
    packages = installed(symbols)
    checked, _ = coverage(symbols, packages)

    assert list(check(symbols, packages)) == []
    assert {"asyncio", "concurrent", "starlette", "autogen_core"} <= set(checked)


@pytest.fixture
def library(tmp_path: Path) -> Packages:
    package = tmp_path / "hostlib"
    package.mkdir()
    (package / "__init__.py").write_text("from ._app import App as App\nfrom ._app import *\n")
    (package / "_app.py").write_text(
        "class Base:\n"
        "    def listen(self, handler): ...\n"
        "class App(Base):\n"
        "    def __init__(self, on_start=None): self.router = object()\n"
        "    def get(self, path): ...\n"
        "def any_keyword(**kwargs): ...\n"
    )
    packages = Packages()
    packages.add_folder(package, "hostlib")
    return packages


@pytest.mark.parametrize(
    ("symbol", "keywords"),
    [
        ("hostlib.App", {"on_start"}),
        ("hostlib.App.get", set()),
        ("hostlib.App.listen", {"handler"}),
        ("hostlib.App.router.add_get", set()),
        ("hostlib.any_keyword", {"callback"}),
        ("hostlib.*.listen", {"handler"}),
        ("otherlib.App", set()),
    ],
)
def test_what_is_there(library: Packages, symbol: str, keywords: set[str]) -> None:
    assert list(check({symbol: keywords}, library)) == []


@pytest.mark.parametrize(
    ("symbol", "keywords", "problem"),
    [
        ("hostlib.Server", set(), "hostlib.Server: not found"),
        ("hostlib.App.post", set(), "hostlib.App.post: not found"),
        ("hostlib.App", {"on_stop"}, "hostlib.App: takes no on_stop"),
        ("hostlib.App.listen", {"callback"}, "hostlib.App.listen: takes no callback"),
        ("hostlib.*.submit", set(), "hostlib.*.submit: nothing in hostlib has that method"),
    ],
)
def test_what_is_not_there(library: Packages, symbol: str, keywords: set[str], problem: str) -> None:
    assert list(check({symbol: keywords}, library)) == [problem]
