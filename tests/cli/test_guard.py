"""`turnlane guard` as a process around another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from .conftest import Run

ASKS = """
import sys
from turnlane.guard import requests
from turnlane.guard.requests import Request

with requests.within(Request("asgi", "POST /chat", id="R1")):
    try:
        input("your answer: ")
    except EOFError:
        print("nobody there")
sys.exit(7)
"""


def program(folder: Path, text: str) -> str:
    path = folder / "program.py"
    path.write_text(text)
    return str(path)


def test_it_tells_while_the_command_runs_and_sums_up(run: Run, tmp_path: Path) -> None:
    process = run("guard", "--", sys.executable, program(tmp_path, ASKS), "--an-option")
    assert process.end() == 7
    (line,) = [json.loads(line) for line in process.stderr if line.startswith("{")]
    assert (line["kind"], line["code"], line["request"]) == ("hazard", "TL504", "R1")
    assert "nobody there" in "\n".join(process.stdout)
    text = "\n".join(process.stderr)
    assert "1 hazard seen in 1 process." in text
    assert text.count("ran in: script, Python 3.") == 1


def test_strict_raises_in_the_program(run: Run, tmp_path: Path) -> None:
    process = run("guard", "--strict", "--", sys.executable, program(tmp_path, ASKS))
    assert process.end() == 1
    assert "HazardError: TL504 stdin-in-a-server" in "\n".join(process.stderr)


def test_records_go_to_a_file_of_ones_own(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "records.jsonl"
    output.write_text('{"kind": "hazard", "of": "an earlier run"}\n')
    text = "import os, sys; os.chdir('/'); os.execv(sys.executable, [sys.executable, '-c', 'pass'])"
    process = run("guard", "--output", "records.jsonl", "--", sys.executable, "-c", text)
    assert process.end() == 0
    kinds = [json.loads(line)["kind"] for line in output.read_text().splitlines()]
    assert kinds == ["start", "start", "end"]


def test_a_signal_reaches_the_command(run: Run, tmp_path: Path) -> None:
    text = "import signal; print('up', flush=True); signal.pause()"
    process = run("guard", "--", sys.executable, "-c", text)
    process.wait_for("up")
    process.send(signal.SIGTERM)
    assert process.end() == 128 + signal.SIGTERM


def test_a_command_that_ends_itself_after_a_signal(run: Run) -> None:
    text = (
        "import signal, sys; signal.signal(signal.SIGINT, lambda *_: sys.exit(5));"
        "print('up', flush=True); signal.pause()"
    )
    process = run("guard", "--", sys.executable, "-c", text)
    process.wait_for("up")
    process.send(signal.SIGINT)
    assert process.end() == 5


def said(run: Run, *words: str) -> tuple[int, str]:
    process = run("guard", *words)
    status = process.end()
    return status, " ".join(line for line in process.stderr if line)


def test_commands_that_can_not_be_run(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text("print()")
    assert said(run) == (2, "turnlane: say what to run after two dashes:  turnlane guard -- python app.py")
    status, text = said(run, "--", "no-such-program")
    assert (status, "there is no command no-such-program" in text) == (127, True)
    status, text = said(run, "--", "./app.py")
    assert (status, "run it as `python ./app.py`" in text) == (126, True)
    for output in ("no/such/folder.jsonl", os.devnull):
        status, text = said(run, "--output", output, "--", "true")
        assert (status, "name another file with --output" in text) == (2, True)


def test_a_reader_that_has_seen_enough_does_not_change_the_exit_status(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "turnlane.cli.main", "guard", "--", sys.executable, program(tmp_path, ASKS)]
    with os.fdopen(writer, "w") as stderr:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, timeout=60)
    assert done.returncode == 7


def test_a_command_that_is_not_watched_is_told_of(run: Run) -> None:
    for words in (["true"], [sys.executable, "-I", "-c", "pass"], [sys.executable, "-S", "-c", "pass"]):
        status, text = said(run, "--", *words)
        assert status == 0
        assert "loaded the guard, nothing was watched" in text
