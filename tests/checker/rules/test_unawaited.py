"""TL106 where files are broken or are notebooks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turnlane.checker.finding import Finding
from turnlane.checker.languages import language
from turnlane.checker.rules.unawaited import Unawaited
from turnlane.checker.settings import Settings
from turnlane.checker.texts import Texts

HEAD = "from autogen_agentchat.teams import RoundRobinGroupChat\n"


def findings(path: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    monkeypatch.chdir(folder)
    (folder / path).write_text(text)
    texts = Texts()
    python = language("python")
    assert python is not None
    facts = {path: python.extract(path, texts.data(path))}
    return [one for one in python.check(facts, texts, [Unawaited()], Settings()) if isinstance(one, Finding)]


def test_what_a_broken_line_reads_is_not_said_to_be_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = HEAD + (
        "\n\nasync def main(team: RoundRobinGroupChat) -> None:\n"
        "    stream = team.run_stream(task='hello')\n"
        "    async item in stream:\n"
        "        print(item)\n"
        "    team.reset()\n"
    )

    assert [one.place.line for one in findings("main.py", program, tmp_path, monkeypatch)] == [8]


def test_a_notebook_cell_awaits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [
        HEAD + "team = RoundRobinGroupChat([])",
        "team.run(task='hello')",
        "stream = team.run_stream(task='x')",
    ]
    notebook = {
        "cells": [
            {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": cell}
            for cell in cells
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }

    found = findings("main.ipynb", json.dumps(notebook), tmp_path, monkeypatch)

    assert [one.message for one in found] == ["`team.run(...)` is never awaited: nothing runs"]
    assert [edit.text for one in found if one.fix for edit in one.fix.edits] == ["await "]
