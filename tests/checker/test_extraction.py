"""Reading one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from turnlane.checker import extraction, languages
from turnlane.checker.extraction import Task, read
from turnlane.checker.texts import Texts

Files = Callable[[Mapping[str, str]], None]


class _Toy:
    """A language whose facts are how long a file is; some files are too much for it."""

    name = "toy"
    version = 1

    def takes(self, path: str) -> bool:
        return True

    def extract(self, path: str, data: bytes) -> Any:
        if data == b"raise":
            raise KeyError("inside")
        return (path, len(data))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "language", lambda name: _Toy())


@pytest.mark.usefixtures("toy")
def test_what_a_language_raises_is_a_problem_of_the_file(here: Path, files: Files) -> None:
    files({"0.py": "raise"})
    one = read(Task("toy", "0.py"), Texts())
    assert one.facts is None
    assert "failed inside of turnlane with KeyError" in one.problem


def test_a_file_that_is_gone_is_a_problem(here: Path) -> None:
    one = read(Task("python", "gone.py"), Texts())
    assert one.problem == "not read: no such file or directory"


def test_unsaved_text_stands_for_the_file(here: Path) -> None:
    one = read(Task("python", "gone.py"), Texts({"gone.py": b"x = 1  # turnlane: ignore[TL101]\n"}))
    assert one.marked
    assert one.facts.path == "gone.py"


def test_a_language_is_imported_when_a_file_of_it_is_met() -> None:
    assert languages.languages_of("a/b.py") == ("python",)
    assert languages.languages_of("a/B.IPYNB") == ("python",)
    assert languages.languages_of("x.tsx") == ("typescript",)
    assert languages.languages_of("setup.py") == ("python", "deployment")
    assert languages.languages_of("requirements.txt") == ("deployment",)
    assert languages.languages_of("a.png") == ()
    assert languages.languages_of(".py") == ()
