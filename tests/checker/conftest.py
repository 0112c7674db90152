"""What tests of the checker share: a folder of their own, and a cache that is nobody else's."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from turnlane.checker.command import Streams, main


class Said(NamedTuple):
    """What one call of the command said."""

    status: int
    out: str
    errors: str


Check = Callable[..., Said]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNLANE_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "turnlane-cache"))
    for name in ("NO_COLOR", "FORCE_COLOR", "TURNLANE_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the command is started in."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def files(here: Path) -> Callable[[Mapping[str, str]], None]:
    """Writes files into the folder."""

    def write(texts: Mapping[str, str]) -> None:
        for path, text in texts.items():
            place = here / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def check(here: Path) -> Check:
    """Runs `turnlane check` in the folder, without the cache of whole answers."""

    def run(*arguments: str, **details: object) -> Said:
        out, errors = io.StringIO(), io.StringIO()
        status = main(arguments, Streams(out, errors), **details)  # type: ignore[arg-type]
        return Said(status, out.getvalue(), errors.getvalue())

    return run


def notebook_of(*cells: str, indent: int | None = 1) -> str:
    """A notebook with these code cells."""
    listed = [
        {
            "cell_type": "code",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": cell.splitlines(keepends=True),
        }
        for cell in cells
    ]
    return json.dumps({"cells": listed, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=indent)


@pytest.fixture
def notebook() -> Callable[..., str]:
    """Makes the text of a notebook."""
    return notebook_of
