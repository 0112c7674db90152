"""What ruff reports where it is configured to is not said twice, unless the user asks for our code by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnlane.checker.finding import Finding
from turnlane.checker.languages import language
from turnlane.checker.rule import Rule
from turnlane.checker.rules.blocked_loop import BlockedLoop
from turnlane.checker.rules.fire_and_forget import FireAndForget
from turnlane.checker.settings import Settings
from turnlane.checker.texts import Texts

DROPPED = """\
import asyncio


class Hub:
    async def start(self, work) -> None:
        asyncio.create_task(work())

    def publish(self, work) -> None:
        self.loop.create_task(work())
"""

BLOCKING = """\
import subprocess
import time

import requests
from fastapi import FastAPI

app = FastAPI()


def fetch(url: str) -> str:
    return requests.get(url, timeout=10).text


@app.get("/page")
async def page(url: str) -> str:
    time.sleep(1)
    requests.get(url, timeout=10)
    subprocess.run(["true"])
    return fetch(url)
"""


def lines(rule: Rule, program: str, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    monkeypatch.chdir(folder)
    (folder / "main.py").write_text(program)
    texts = Texts()
    python = language("python")
    assert python is not None
    facts = {"main.py": python.extract("main.py", texts.data("main.py"))}
    said = python.check(facts, texts, [rule], settings)
    return {one.place.line for one in said if isinstance(one, Finding)}


@pytest.mark.parametrize(
    ("rule", "program", "reported", "expected"),
    [
        (FireAndForget(), DROPPED, {"RUF006"}, {9}),
        (FireAndForget(), DROPPED, {"ASYNC251"}, {6, 9}),
        (BlockedLoop(), BLOCKING, {"ASYNC251"}, {11, 17, 18}),
        (BlockedLoop(), BLOCKING, {"ASYNC210"}, {11, 16, 18}),
        (BlockedLoop(), BLOCKING, {"ASYNC221"}, {11, 16, 17}),
        (BlockedLoop(), BLOCKING, {"ASYNC210", "ASYNC221", "ASYNC251", "RUF006"}, {11}),
    ],
)
def test_ruff_reports_what_it_sees(
    rule: Rule,
    program: str,
    reported: set[str],
    expected: set[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(ruff=lambda code, path: code in reported)

    assert lines(rule, program, settings, tmp_path, monkeypatch) == expected


def test_a_code_that_is_asked_for_is_reported_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(ruff=lambda code, path: True, asked_for=("TL501",))

    assert lines(FireAndForget(), DROPPED, settings, tmp_path, monkeypatch) == {6, 9}
