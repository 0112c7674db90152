"""The reference pages are what the code makes, and every setting is on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnlane.cli.reference import main, pages
from turnlane.runtime.settings import ServeSettings, WorkerSettings, flag_of, variable_of

SETTINGS = {**ServeSettings.model_fields, **WorkerSettings.model_fields}

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", pages())
def test_page_is_current(name: str) -> None:
    kept = (FOLDER / name).read_text(encoding="utf-8")
    assert kept == pages()[name], "run: python -m turnlane.cli.reference --write docs/reference"


def test_pages_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    assert main(["--write", str(tmp_path / "new")]) == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == set(pages())


@pytest.mark.parametrize("field", SETTINGS)
def test_every_setting_is_a_flag_and_a_variable_and_says_what_it_is(field: str) -> None:
    assert SETTINGS[field].description
    assert f"`{flag_of(field)}`" in pages()["settings.md"]
    assert f"`{flag_of(field)} " in pages()["cli.md"] or f"`{flag_of(field)}`" in pages()["cli.md"]
    assert variable_of(field) in pages()["cli.md"]
