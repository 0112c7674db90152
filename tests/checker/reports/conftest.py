"""One report with everything that a format has to show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from turnlane.checker.finding import Edit, Finding, Fix, Note, Place, Step
from turnlane.checker.reports import Report
from turnlane.checker.texts import Texts

PYTHON = "import asyncio\n\n\nasync def chat():\n\treturn ünï(agent.run())  # 日本\n"
TYPESCRIPT = "const a = 1;\nrun(\n  a,\n);\n"


@pytest.fixture
def texts(notebook: Callable[..., str]) -> Texts:
    cells = notebook("x = 1", "%time f()\ny = [f()]")
    return Texts({"app.py": PYTHON.encode(), "web/a b.ts": TYPESCRIPT.encode(), "n.ipynb": cells.encode()})


@pytest.fixture
def findings() -> tuple[Finding, ...]:
    call = Place("app.py", 5, 14, 5, 25)
    insert = Fix("Insert `await`", (Edit(Place("app.py", 5, 14, 5, 14), "await "),), True)
    unsafe = Fix("Call it", (Edit(Place("web/a b.ts", 2, 0, 2, 3), "go"),), False)
    steps = (
        Step(Place("app.py", 4, 0, 4, 5), "handler `chat` (FastAPI)"),
        Step(Place("n.ipynb", 3, 5, 3, 8), "`f` is called"),
    )
    return (
        Finding("TL106", call, "`agent.run` is not awaited: 100%, really", "error", "await it", steps, insert),
        Finding("TL102", Place("n.ipynb", 3, 5, 3, 8), "a loop in <a cell> & more", "warning"),
        Finding("TL201", Place("web/a b.ts", 2, 0, 4, 1), "one `agent` for all\x1b[0m", "information", fix=unsafe),
    )


@pytest.fixture
def report(findings: tuple[Finding, ...], texts: Texts) -> Report:
    notes = (Note("bad.py", 3, "it does not parse"), Note("", 0, "something else"))
    return Report(findings, notes, texts, 3)


@pytest.fixture
def empty() -> Report:
    return Report((), (), Texts(), 1)


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
