"""Reading files in this process and in others."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from turnlane.checker import cache, extraction, languages
from turnlane.checker.extraction import Task, extract
from turnlane.checker.texts import Texts

Files = Callable[[Mapping[str, str]], None]


class _Toy:
    """A language whose facts are how long a file is; some files are too much for it."""

    name = "toy"
    version = 1

    def takes(self, path: str) -> bool:
        return True

    def extract(self, path: str, data: bytes) -> Any:
        if data == b"crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if data == b"raise":
            raise KeyError("inside")
        return (path, len(data), os.getpid())


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "language", lambda name: _Toy())


def tasks(count: int) -> list[Task]:
    return [Task("toy", f"{number}.py") for number in range(count)]


@pytest.mark.usefixtures("toy")
def test_a_few_files_are_read_here(here: Path, files: Files) -> None:
    files({task.path: "x" * 3 for task in tasks(3)})
    done = list(extract(tasks(3), Texts(), 4))
    assert [cache.loads(one.blob) for one in done] == [(f"{n}.py", 3, os.getpid()) for n in range(3)]


@pytest.mark.usefixtures("toy")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="one process only here")
def test_many_files_are_read_in_processes(here: Path, files: Files) -> None:
    files({task.path: "x" * 100_000 for task in tasks(100)})
    done = {one.task.path: cache.loads(one.blob) for one in extract(tasks(100), Texts(), 2)}
    assert done.keys() == {task.path for task in tasks(100)}
    assert len({process for _, _, process in done.values()}) == 2
    assert {length for _, length, _ in done.values()} == {100_000}


@pytest.mark.usefixtures("toy")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="one process only here")
def test_a_crash_costs_one_file(here: Path, files: Files) -> None:
    files({task.path: "crash" if task.path == "50.py" else "fine" for task in tasks(100)})
    done = {one.task.path: one for one in extract(tasks(100), Texts(), 2)}
    assert len(done) == 100
    assert {path for path, one in done.items() if not one.blob} == {"50.py"}
    assert "its parser crashed" in done["50.py"].problem


@pytest.mark.usefixtures("toy")
def test_what_a_language_raises_is_a_problem_of_the_file(here: Path, files: Files) -> None:
    files({"0.py": "raise"})
    (one,) = extract(tasks(1), Texts(), 1)
    assert one.blob == b""
    assert "failed inside of turnlane with KeyError" in one.problem


def test_a_file_that_is_gone_is_a_problem(here: Path) -> None:
    (one,) = extract([Task("python", "gone.py")], Texts(), 1)
    assert one.problem == "not read: no such file or directory"


def test_unsaved_text_stands_for_the_file(here: Path) -> None:
    (one,) = extract([Task("python", "gone.py")], Texts({"gone.py": b"x = 1  # turnlane: ignore[TL101]\n"}), 1)
    assert one.marked
    assert cache.loads(one.blob).path == "gone.py"


def test_a_language_is_imported_when_a_file_of_it_is_met() -> None:
    assert languages.languages_of("a/b.py") == ("python",)
    assert languages.languages_of("a/B.IPYNB") == ("python",)
    assert languages.languages_of("x.tsx") == ("typescript",)
    assert languages.languages_of("setup.py") == ("python", "deployment")
    assert languages.languages_of("requirements.txt") == ("deployment",)
    assert languages.languages_of("a.png") == ()
    assert languages.languages_of(".py") == ()
