"""Every rule finds its bad examples where they are marked, nothing in its good ones, and repairs as it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from turnlane.checker import fixing, notebook
from turnlane.checker.finding import Finding
from turnlane.checker.languages import language, languages_of
from turnlane.checker.rule import Example, Rule
from turnlane.checker.rules import all_rules
from turnlane.checker.settings import Settings
from turnlane.checker.texts import Texts

MARK = re.compile(r"[ \t]*(?:#|//|--|<!--)[ \t]*here(?:[ \t]*-->)?[ \t]*$", re.MULTILINE)
FILE = re.compile(r"^(?:#|//)[ \t]*file:[ \t]*(\S+)[ \t]*$", re.MULTILINE)
ALONE = {"python": "main.py", "typescript": "main.ts", "deployment": "Dockerfile"}
"""The name of an example's only file, when it does not say it."""


class Case(NamedTuple):
    rule: Rule
    example: Example

    @property
    def name(self) -> str:
        rule, title = type(self.rule), self.example.title
        number = [*self.rule.bad, *self.rule.good].index(self.example)
        return f"{rule.code}-{rule.__name__}-{rule.language}-{title or number}".replace(" ", "-")


def files(code: str, of: str) -> dict[str, str]:
    """The files of an example, by path, still marked."""
    parts = FILE.split(code)
    found = {name: text.removeprefix("\n") for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    if parts[0].strip():
        found[ALONE[of]] = parts[0]
    return found


def marked(code: str) -> set[int]:
    """The lines of a file that end with the mark."""
    return {number for number, line in enumerate(code.splitlines(), 1) if MARK.search(line)}


def write(folder: Path, texts: dict[str, str]) -> None:
    for path, text in texts.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(as_notebook(text) if path.endswith(".ipynb") else text)


def as_notebook(program: str) -> str:
    """Python with `# %%` between the cells as the JSON of a notebook."""
    import json

    cells = re.split(r"^# %%.*\n", program, flags=re.MULTILINE)
    return json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code",
                    "execution_count": None,
                    "metadata": {},
                    "outputs": [],
                    "source": cell.strip("\n").splitlines(keepends=True),
                }
                for cell in cells
                if cell.strip()
            ],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 5,
        },
        indent=1,
    )


def find(rule: Rule, paths: list[str], texts: Texts) -> list[Finding]:
    """What the rule alone says of the files."""
    known = language(type(rule).language)
    assert known is not None
    mine = [path for path in paths if type(rule).language in languages_of(path)]
    facts = {path: known.extract(path, texts.data(path)) for path in mine}
    said = known.check(facts, texts, [rule], Settings())
    return [one for one in said if isinstance(one, Finding)]


def cases(which: str) -> Iterator[object]:
    for rule in all_rules():
        for example in getattr(rule, which):
            case = Case(rule, example)
            yield pytest.param(case, id=case.name)


def found_lines(findings: list[Finding], paths: list[str], texts: Texts) -> dict[str, set[int]]:
    lines: dict[str, set[int]] = {path: set() for path in paths}
    for finding in findings:
        lines[finding.place.path].add(finding.place.line)
    return lines


@pytest.mark.parametrize("case", list(cases("bad")))
def test_bad_example(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, example = case
    monkeypatch.chdir(tmp_path)
    texts = files(example.code, type(rule).language)
    assert any(map(marked, texts.values())), "a bad example marks no line"
    notebooks = [path for path in texts if path.endswith(".ipynb")]
    # The marks of a notebook stay in: its lines are counted in the joined program.
    write(tmp_path, {path: text if path in notebooks else MARK.sub("", text) for path, text in texts.items()})

    sources = Texts()
    findings = find(rule, list(texts), sources)

    expected = {path: marked(sources[path].text if path in notebooks else text) for path, text in texts.items()}
    assert found_lines(findings, list(texts), sources) == expected
    assert {finding.code for finding in findings} == {type(rule).code}
    assert all(finding.message and not finding.message.endswith(".") for finding in findings)


@pytest.mark.parametrize("case", list(cases("good")))
def test_good_example(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, example = case
    monkeypatch.chdir(tmp_path)
    texts = files(example.code, type(rule).language)
    assert not any(map(marked, texts.values())), "a good example marks a line"
    write(tmp_path, texts)

    assert find(rule, list(texts), Texts()) == []


@pytest.mark.parametrize("case", [one for one in cases("bad") if one.values[0].example.after])  # type: ignore[attr-defined]
def test_fix(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, example = case
    monkeypatch.chdir(tmp_path)
    of = type(rule).language
    before = {path: MARK.sub("", text) for path, text in files(example.code, of).items()}
    write(tmp_path, before)

    sources = Texts()
    findings = find(rule, list(before), sources)
    fixed = fixing.apply({path: sources.raw(path) for path in before}, findings, unsafe=True)

    after = {path: fixed.texts.get(path, sources.raw(path)) for path in before}
    expected = files(example.after, of)
    assert {path: readable(path, text) for path, text in after.items()} == {
        path: readable(path, as_notebook(text) if path.endswith(".ipynb") else text)
        for path, text in expected.items()
    }
    write_again = {path: text for path, text in after.items() if not path.endswith(".ipynb")}
    write(tmp_path, write_again)
    again = Texts({path: text.encode() for path, text in after.items()})
    rest = fixing.apply(after, find(rule, list(after), again), unsafe=True)
    assert rest.texts == {}, "fixing twice changes more"


def readable(path: str, text: str) -> str:
    """What is compared: of a notebook its joined program."""
    return notebook.read(text).program if path.endswith(".ipynb") else text.strip("\n")
