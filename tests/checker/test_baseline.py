"""Findings of yesterday stay known when lines move, and only they."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turnlane.checker import baseline
from turnlane.checker.finding import Finding, Place
from turnlane.checker.refusal import CannotRun
from turnlane.checker.texts import Texts


def at(line: int, code: str = "TL101", path: str = "x.py") -> Finding:
    return Finding(code, Place(path, line, 0, line, 1), "wrong", "error")


def texts(text: str) -> Texts:
    return Texts({"x.py": text.encode(), "y.py": text.encode()})


def new(text: str, *findings: Finding) -> list[int]:
    return [finding.place.line for finding in baseline.unknown("base.json", findings, texts(text))]


@pytest.fixture(autouse=True)
def _base(here: Path) -> None:
    assert baseline.write("base.json", [at(1), at(2), at(2, "TL201")], texts("f()\ng()\n")) == 3


def test_the_same_is_known() -> None:
    assert new("f()\ng()\n", at(1), at(2), at(2, "TL201")) == []


def test_moved_and_indented_lines_are_known() -> None:
    assert new("\n\n  g( )\nf()\n".replace("( )", "()"), at(3), at(4)) == []


@pytest.mark.parametrize(
    ("text", "finding", "line"),
    [
        ("f(1)\n", at(1), 1),
        ("f()\n", at(1, "TL102"), 1),
        ("f()\n", at(1, path="y.py"), 1),
    ],
)
def test_another_line_code_or_file_is_new(text: str, finding: Finding, line: int) -> None:
    assert new(text, finding) == [line]


def test_of_equal_ones_as_many_are_known_as_there_were() -> None:
    assert new("f()\nf()\nf()\n", at(1), at(2), at(3)) == [2, 3]


def test_it_lies_anywhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "sub").mkdir()
    baseline.write("sub/b.json", [at(1)], texts("f()\n"))
    assert json.loads((here / "sub/b.json").read_text())["findings"][0]["path"] == "../x.py"
    assert baseline.unknown(str(here / "sub/b.json"), [at(1)], texts("f()\n")) == ()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "findings": [1]}', "\xff"])
def test_what_is_no_baseline_ends_the_run(text: str, here: Path) -> None:
    (here / "base.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CannotRun, match=r"base\.json is no baseline: write it with"):
        new("f()\n", at(1))


def test_a_baseline_of_later_or_nowhere(here: Path) -> None:
    (here / "base.json").write_text('{"version": 2, "findings": []}')
    with pytest.raises(CannotRun, match="of another version"):
        new("f()\n", at(1))
    with pytest.raises(CannotRun, match=r"gone\.json can't be read: no such file or directory; write it with"):
        baseline.unknown("gone.json", [], texts(""))
    with pytest.raises(CannotRun, match="can't be written"):
        baseline.write("no/such/folder.json", [], texts(""))
