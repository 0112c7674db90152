"""`turnlane probe` as a process."""

from __future__ import annotations

import io
import json
import os
import signal
from pathlib import Path

import pytest

from turnlane.cli.main import main

from .conftest import Run

SHOP = '''
import os
import httpx2

said = []
with open("pid", "w") as file:
    file.write(str(os.getpid()))

async def shared(message: str) -> str:
    """One list for everybody."""
    said.append({"role": "user", "content": message})
    return await ask(said)

async def right(message: str, conversation: str) -> str:
    return await ask([{"role": "user", "content": message}])

async def ask(messages):
    async with httpx2.AsyncClient() as http:
        body = {"model": "m", "messages": messages}
        answer = await http.post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json=body)
    return answer.json()["choices"][0]["message"]["content"]
'''
QUICK = ("--levels", "1,3", "--rounds", "1", "--no-attribute")


@pytest.fixture
def shop(tmp_path: Path) -> str:
    path = tmp_path / "shop_app.py"
    path.write_text(SHOP)
    return str(path)


def test_a_leak_fails_where_it_is_asked_to(run: Run, shop: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ("--output-format", "json", "--output", str(report), "--fail-on", "leak,error")
    process = run("probe", f"{shop}:shared", *QUICK, *words)
    assert process.end() == 1
    found = json.loads(report.read_text())
    assert found["leaks"]
    assert [level["concurrency"] for level in found["levels"]] == [1, 3]
    assert any("3 users at once" in line for line in process.stderr)


def test_a_right_program_ends_well_and_says_so(run: Run, shop: str) -> None:
    process = run("probe", f"{shop}:right", *QUICK, "--fail-on", "leak,error,lost")
    assert process.end() == 0
    assert any("Nothing went wrong" in line for line in process.stdout)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_program_ends_with_an_interrupted_probe(
    run: Run, shop: str, tmp_path: Path, number: signal.Signals
) -> None:
    process = run("probe", f"{shop}:right", "--rounds", "50", "--no-attribute")
    process.wait_for("1 user at once")
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, 0)
    process.send(number)
    assert process.end() == 130
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "Say what to probe"),
        (("--url", "http://127.0.0.1:1/x", "--levels", "1,no"), "--levels '1,no' must be numbers"),
        (("--url", "http://127.0.0.1:1/x", "--levels", "0"), "--levels '0' must be numbers"),
        (
            ("--url", "http://127.0.0.1:1/x", "--header", "secret-value"),
            "--header must be written as 'Name: value'",
        ),
        (("--url", "http://127.0.0.1:1/x", "--fail-on", "leaks"), "--fail-on 'leaks' is unknown"),
        (("--url", "http://127.0.0.1:1/x", "--output", "gone/report.html"), "gone/report.html cannot be written"),
        (("--url", "http://127.0.0.1:1/x", "--rounds", "0"), "--rounds"),
        (("--url", "http://127.0.0.1:1/x"), "Nothing answers at 127.0.0.1:1"),
    ],
)
def test_a_mistake_is_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    errors = io.StringIO()
    assert main(["probe", *words], errors=errors) == 2
    told = errors.getvalue().splitlines()
    assert len(told) == 1
    assert told[0].startswith("turnlane: ")
    assert sentence in told[0]
    assert "secret-value" not in told[0]
