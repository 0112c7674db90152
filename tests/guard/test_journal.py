"""What is written, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from turnlane.guard import stacks
from turnlane.guard.journal import Journal
from turnlane.guard.settings import GuardSettings


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Incorrect API key provided: sk-abcdefgh12345678", "abcdefgh12345678"),
        ("secret dsn=postgres://user:p4ssw0rd@db.example/app", "p4ssw0rd"),
        ("authorization=Bearer abc.def-ghi.jkl", "abc.def-ghi.jkl"),
        ("OpenAI(api_key='not-a-known-shape')", "not-a-known-shape"),
        ('{"password": "tiger-tiger"}', "tiger-tiger"),
        ("connect host=db password=tiger_tiger dbname=app", "tiger_tiger"),
    ],
)
def test_no_record_shows_a_secret(tmp_path: Path, text: str, secret: str) -> None:
    path = tmp_path / "records"
    Journal(GuardSettings(output=str(path))).write({"kind": "failure", "message": text})
    assert secret not in path.read_text()
    assert "***" in json.loads(path.read_text())["message"]


@pytest.mark.parametrize(
    "text",
    [
        "client = OpenAI(api_key=os.environ['KEY'])",
        "def login(password: str) -> None:",
        "GET http://127.0.0.1:8000/chat",
    ],
)
def test_what_is_no_secret_is_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "records"
    Journal(GuardSettings(output=str(path))).write({"kind": "failure", "message": text})
    assert json.loads(path.read_text())["message"] == text


def test_a_line_that_holds_a_whole_program_is_cut(tmp_path: Path) -> None:
    program = tmp_path / "generated.py"
    program.write_text("def seen(): return stacks.capture(0)  # " + "x" * 100_000)
    names: dict[str, Any] = {"stacks": stacks}
    exec(compile(program.read_text(), str(program), "exec"), names)
    (frame, *_) = reversed(stacks.shown(names["seen"]()))
    assert frame.text == program.read_text()[: stacks.MAX_LINE]
