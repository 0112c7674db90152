"""`turnlane probe` as a process."""

from __future__ import annotations

import io
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from tests.probe.made_up import clean, request

from turnlane.cli.complaint import Complaint
from turnlane.cli.main import main
from turnlane.cli.probe import OutputFormat, Reported, _write

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


def test_an_interrupted_probe_reports_what_it_has_seen(run: Run, shop: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ("--levels", "3", "--rounds", "1", "--output-format", "json", "--output", str(report))
    process = run("probe", f"{shop}:shared", *words)
    process.wait_for("fresh")  # an experiment
    process.send(signal.SIGINT)
    assert process.end() == 130
    found = json.loads(report.read_text())
    assert [level["concurrency"] for level in found["levels"]] == [3]
    assert found["codes"] == ["TL202"]
    assert found["notes"][-1].startswith("The probe was interrupted")
    assert process.stderr[-1] == "turnlane: The probe was interrupted: its report is incomplete."


def test_one_request_in_all_is_a_report_too(run: Run, shop: str) -> None:
    process = run("probe", f"{shop}:right", "--max-requests", "1")
    assert process.end() == 0
    assert any("--max-requests is 1" in line for line in process.stdout)


def test_a_report_that_cannot_be_written_is_not_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Complaint, match="/dev/full cannot be written: No space left on device") as told:
        _write(clean(), Reported(output=Path("/dev/full")))
    assert told.value.status == 1
    assert "Nothing went wrong in 4 requests." in capsys.readouterr().out


def test_a_standard_output_without_room_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        with pytest.raises(Complaint, match="standard output: No space left on device"):
            _write(clean(), Reported())


@pytest.mark.parametrize("output_format", ["full", "json", "html"])
def test_a_report_is_written_whatever_the_program_has_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output_format: OutputFormat
) -> None:
    report = replace(
        clean(), requests=(request(1, 1, answer="half a \ud83d of a \U0001f600"),), notes=("\ud83d é",)
    )
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    _write(report, Reported(output_format=output_format))
    shown = raw.getvalue().decode("ascii")
    _write(report, Reported(output_format=output_format, output=tmp_path / "report"))
    written = (tmp_path / "report").read_text()
    assert ("\\xe9" in shown and "é" in written) or output_format == "json"
    if output_format == "json":
        assert json.loads(shown) == json.loads(written) == json.loads(json.dumps(report.as_json()))


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
