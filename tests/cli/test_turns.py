"""`turnlane turns`: of a running server and of a data folder give the same."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from turnlane.cli.assembly import running_in_thread
from turnlane.cli.connection import Connection
from turnlane.cli.main import main
from turnlane.cli.turn_page import STOPPED_BY, page, table
from turnlane.runtime.conversation import Failure, LedgerEntry, Outcome, TurnEvent
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.runtime.loading import load_app
from turnlane.runtime.settings import ServeSettings
from turnlane.testing.scripted_worker import ScriptedWorker, first_turn


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


def shown_turn(**changes: Any) -> dict[str, Any]:
    turn: dict[str, Any] = {
        "id": "resp_1", "status": "queued", "stop_asked": None, "agent": "a", "conversation": "conv_1",
        "attempt": 1, "created_at": 0.0, "started_at": None, "finished_at": None, "not_before": None,
        "request_id": None, "usage": {"input_tokens": 0, "output_tokens": 0, "model_calls": 0, "retries": 0},
        "input": [], "output": [], "failure": None, "events": [], "superseded_events": [], "ledger": [],
    }  # fmt: skip
    return {**turn, **changes}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"status": "running", "stop_asked": "interrupt"}, "status        interrupting"),
        ({"status": "running", "stop_asked": "rollback"}, "status        rolling-back"),
        ({"status": "running", "stop_asked": "cancel"}, "status        cancelling"),
        ({"status": "interrupted", "stop_asked": "interrupt"}, "status        interrupted"),
        ({"status": "interrupted", "stop_asked": "interrupt"}, f"stopped by    {STOPPED_BY['interrupt']}"),
        ({"status": "cancelled", "stop_asked": "rollback"}, f"stopped by    {STOPPED_BY['rollback']}"),
        ({"not_before": 4000.0}, f"not before    {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(4000))}"),
    ],
)
def test_page_says_why_a_turn_stops_or_waits(changes: dict[str, Any], line: str) -> None:
    assert line in page(shown_turn(**changes)).splitlines()


def test_turn_that_has_started_says_no_more_what_it_waited_for() -> None:
    assert "not before" not in page(shown_turn(status="completed", not_before=4000.0))


@pytest.fixture
def unclear(tmp_path: Path) -> str:
    """A turn that needs attention, in the folder `data`: its owner died inside the tool `charge_card`."""
    return asyncio.run(_unclear(tmp_path / "data"))


async def _unclear(folder: Path) -> str:
    worker = ScriptedWorker()
    engine = EmbeddedEngine(folder)
    await engine.open()
    await engine.attach(worker)
    parts = [{"type": "input_text", "text": "pay"}]
    await engine.accept(first_turn(input=[{"id": "m", "type": "message", "role": "user", "content": parts}]))
    claim = await worker.claim()
    looked = {"item": "i1", "agent": "a", "call": "c1", "name": "look_up", "arguments": "{}"}
    charged = {"item": "i2", "agent": "a", "call": "c2", "name": "charge_card", "arguments": '{"amount": 5}'}
    events = [("tool.call", looked), ("tool.result", {**looked, "output": "ok"}), ("tool.call", charged)]
    await engine.publish(
        claim, [TurnEvent(number, kind, 86_400.0, data) for number, (kind, data) in enumerate(events)]
    )
    await engine.record(
        claim,
        [
            LedgerEntry("model", "ended", "d0", "0123456789abcdef", "gpt-4o", answer="..."),
            LedgerEntry("tool", "begun", "d1", "call-of-look-up", "look_up"),
            LedgerEntry("tool", "ended", "d1", "call-of-look-up", "look_up", answer="ok"),
            LedgerEntry("tool", "begun", "d2", "call-of-charge", "charge_card", once=True),
        ],
    )
    failure = Failure(
        "UnknownOutcome", "charge_card may have run", "tool", code="needs_attention", tool="charge_card"
    )
    await engine.commit(claim, Outcome("needs_attention", failure=failure))
    await engine.close()
    return claim.turn.id


def test_turn_that_needs_attention_is_found_and_shows_what_is_unknown(
    unclear: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("turns", "--data", tmp_path / "data", "--status", "needs_attention") == 0
    _, row = capsys.readouterr().out.splitlines()
    assert row.split()[:2] == [unclear, "needs_attention"]
    assert run("turns", "show", unclear, "--data", tmp_path / "data") == 0
    lines = capsys.readouterr().out.splitlines()
    titles = next(number for number, line in enumerate(lines) if line.startswith("LEDGER"))
    begun = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(86_400))
    assert [line.split() for line in lines[titles + 1 : titles + 4]] == [
        ["model", "gpt-4o", "known", "0123456789ab"],
        ["tool", "look_up", "known", "call-of-look"],
        ["tool,", "once", "charge_card", "UNKNOWN", "call-of-char", *begun.split(), '{"amount":', "5}"],
    ]
    assert run("turns", "show", unclear, "--data", tmp_path / "data", "--json") == 0
    ledger = json.loads(capsys.readouterr().out)["ledger"]
    assert [(entry["name"], entry["phase"], entry["once"]) for entry in ledger][-1] == (
        "charge_card",
        "begun",
        True,
    )
