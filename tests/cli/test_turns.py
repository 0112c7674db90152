"""`turnlane turns`: of a running server and of a data folder give the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turnlane.cli.assembly import running_in_thread
from turnlane.cli.connection import Connection
from turnlane.cli.main import main
from turnlane.cli.turn_page import page, table
from turnlane.runtime.loading import load_app
from turnlane.runtime.settings import ServeSettings


@pytest.fixture
def turn(echo: Path, tmp_path: Path) -> str:
    """A turn that failed, in the folder `data` of a server that is stopped."""
    settings = ServeSettings(port=0, data=tmp_path / "data")
    with (
        running_in_thread(lambda: load_app([str(echo)]), settings) as server,
        Connection(server.url) as connection,
    ):
        stream = connection.stream("/v1/responses", {"model": "agent", "input": "fail now", "stream": True})
        events = list(stream)
    return str(events[0]["response"]["id"])


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_list_and_show_of_a_folder(turn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("turns", "--data", tmp_path / "data") == 0
    titles, row = capsys.readouterr().out.splitlines()
    assert titles.split()[:3] == ["TURN", "STATUS", "AGENT"]
    assert row.split()[:3] == [turn, "failed", "agent"]
    assert "ValueError" in row
    assert run("turns", "show", turn, "--data", tmp_path / "data") == 0
    shown = capsys.readouterr().out
    assert "> fail now" in shown
    assert "in on_messages" in shown


def test_json_holds_everything(turn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("turns", "show", turn, "--data", tmp_path / "data", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["failure"]["type"] == "ValueError"
    assert found["events"][-1][1] == "finished"
    assert run("turns", "list", "--data", tmp_path / "data", "--json", "--status", "completed") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_rerun_and_cancel_in_a_folder(turn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("turns", "rerun", turn, "--data", tmp_path / "data") == 0
    again, status = capsys.readouterr().out.split()
    assert again != turn
    assert status == "queued"
    assert run("turns", "cancel", again, "--data", tmp_path / "data") == 0
    assert capsys.readouterr().out.split() == [again, "cancelled"]
    assert run("turns", "rerun", "resp_gone", "--data", tmp_path / "data") == 1


def test_running_server_is_asked_over_http(
    echo: Path, turn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ServeSettings(port=0, data=tmp_path / "data")
    with running_in_thread(lambda: load_app([str(echo)]), settings) as server:
        assert run("turns", "--url", server.url) == 0
        assert turn in capsys.readouterr().out
        assert run("turns", "show", turn, "--url", server.url) == 0
        assert "in on_messages" in capsys.readouterr().out
        assert run("turns", "rerun", turn, "--url", server.url) == 0
        again = capsys.readouterr().out.split()[0]
        assert run("turns", "cancel", again, "--url", server.url) == 0
        assert run("turns", "show", "resp_gone", "--url", server.url) == 1
        assert "no turn 'resp_gone'" in capsys.readouterr().err
        # The same folder, while its server runs.
        assert run("turns", "--data", tmp_path / "data") == 1
        assert "--url" in capsys.readouterr().err


def test_table_of_nothing() -> None:
    assert table([]) == "no turns"


def test_page_of_a_turn_with_tools_and_a_question() -> None:
    turn = {
        "id": "resp_1", "status": "running", "cancel_requested": True, "agent": "a", "conversation": "conv_1",
        "attempt": 2, "created_at": 0.0, "started_at": 1.0, "finished_at": None, "request_id": None,
        "usage": {"input_tokens": 1, "output_tokens": 2, "model_calls": 3, "retries": 4},
        "input": [
            {"type": "message", "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image"}]},
            {"type": "function_call_output", "output": "yes"},
        ],
        "output": [
            {"type": "tool", "name": "t", "arguments": "{}", "output": "ok", "error": None},
            {"type": "tool", "name": "t", "arguments": "{}", "output": None, "error": {"message": "no"}},
            {"type": "input.required", "agent": "h", "prompt": "sure?"},
            {"type": "message", "agent": "a", "text": "done"},
        ],
        "failure": None, "events": [], "superseded_events": [[0, "started", 0.0, {}]],
    }  # fmt: skip
    shown = page(turn)
    for line in ("status        cancelling", "> hi [image]", "> yes", "[t({}) -> ok]", "[t({}) -> no]",
                 "h asks: sure?", "a: done", "0 events, 1 superseded; --json shows them"):  # fmt: skip
        assert line in shown.splitlines()
