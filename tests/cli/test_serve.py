"""`turnlane serve` as a process: starts, answers, drains, refuses what it can't do in one sentence."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from turnlane.cli.turn_source import StoredTurns

from .conftest import ECHO, PATIENCE, SERVE, Run, Serve, Server, wait_until

EXAMPLE = Path(__file__).parents[2] / "examples" / "support.py"


def test_example_answers_with_the_practice_provider_and_the_printed_curl_line_works(run: Run) -> None:
    server = run("serve", EXAMPLE, "--practice", "--port", "0", "--log-format", "text")
    server.wait_for("listening on http://127.0.0.1:")
    assert "turnlane serves support" in server.stdout
    command = shlex.split(next(line for line in server.stdout if "curl" in line).partition("try it")[2])
    if shutil.which(command[0]):
        answer = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
        assert "event: response.output_text.delta" in answer
        assert "event: response.completed" in answer
    server.send(signal.SIGTERM)
    assert server.end() == 0
    assert "server.stopped" in server.stderr[-1]
    assert not any("Traceback" in line for line in server.stderr)


def test_interrupt_ends_it_like_sigterm(serve: Serve, echo: Path) -> None:
    server = serve(echo)
    assert server.ask("hello")["output"][0]["content"][0]["text"] == "echo hello"
    server.send(signal.SIGINT)
    assert server.end() == 0
    assert server.event("server.draining")["grace"] == 30
    assert server.event("server.stopped")["released"] == 0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests that only ask it something; starting it takes longer than they do."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "echo_app.py").write_text(ECHO)
    server = Server([*SERVE, "echo_app.py", "--loop-watch", "0.05"], folder, {})
    yield server.ready()
    server.kill()


def test_logs_tell_who_ran_what(shared: Server) -> None:
    response = shared.ask("a greeting")
    ended = shared.event("turn.ended", turn=response["id"])
    assert ended["conversation"] == response["conversation"]["id"]
    assert ended["agent"] == "agent"
    assert ended["attempt"] == 1
    request = shared.event("request.ended", request_id=ended["request_id"])
    assert (request["method"], request["path"], request["status"]) == ("POST", "/v1/responses", 200)
    assert "greeting" not in "\n".join(shared.stderr)


def test_failed_turn_has_its_stack_in_the_log_and_no_secret(shared: Server) -> None:
    answer = shared.post("/v1/responses", model="agent", input="fail hunter2")
    assert answer.status_code == 500
    failed = shared.event("turn.failed", error="ValueError")
    assert "in on_messages" in failed["stack"]
    assert "hunter2" not in "\n".join(shared.stderr)
    assert "hunter2" not in answer.text


def test_blocked_loop_is_reported_with_the_culprit(shared: Server) -> None:
    shared.ask("block 0.5")
    blocked = shared.event("loop.blocked", ended=False)
    assert blocked["hazard"] == "TL108"
    assert "in the_culprit" in blocked["stack"]
    assert shared.event("loop.blocked", ended=True)["seconds"] > blocked["seconds"]


def test_metrics_know_the_queue(shared: Server) -> None:
    shared.ask("hello")
    page = shared.get("/metrics").text
    assert re.search(r'turnlane_turns_total{agent="agent",status="completed"} [1-9]', page)
    assert "turnlane_turns_running 0.0" in page
    assert 'route="/v1/responses"' in page
    assert "process_resident_memory_bytes" in page


# --- draining ---


def start_waiting_turn(server: Server, gate: Path) -> str:
    """A turn that runs until the file `gate` is there."""
    turn = str(server.ask(f"wait {gate}", background=True)["id"])
    wait_until(lambda: Path(f"{gate}.running").exists())
    return turn


def test_draining_lets_running_turns_end_and_takes_no_new_ones(serve: Serve, echo: Path, tmp_path: Path) -> None:
    server = serve(echo)
    turn = start_waiting_turn(server, tmp_path / "gate")
    server.send(signal.SIGTERM)
    wait_until(lambda: server.get("/readyz").status_code == 503)
    refused = server.post("/v1/responses", model="agent", input="hello")
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert server.get(f"/v1/responses/{turn}").json()["status"] == "in_progress"
    (tmp_path / "gate").touch()
    assert server.end() == 0
    assert StoredTurns(tmp_path / ".turnlane").show(turn)["status"] == "completed"


def test_turn_that_outlives_the_grace_runs_again_at_the_next_start(
    serve: Serve, echo: Path, tmp_path: Path
) -> None:
    server = serve(echo, "--grace", "0.1")
    turn = start_waiting_turn(server, tmp_path / "gate")
    server.send(signal.SIGTERM)
    assert server.end() == 0
    assert server.event("server.stopped")["released"] == 1
    (tmp_path / "gate").touch()
    again = serve(echo)
    again.wait_for('"turn.ended"')
    response = again.get(f"/v1/responses/{turn}").json()
    assert response["status"] == "completed"
    assert response["attempt"] == 2


def test_second_signal_ends_it_at_once_and_loses_nothing(serve: Serve, echo: Path, tmp_path: Path) -> None:
    server = serve(echo, "--grace", "1000")
    turn = start_waiting_turn(server, tmp_path / "gate")
    server.send(signal.SIGTERM)
    server.wait_for('"server.draining"')
    server.send(signal.SIGTERM)
    assert server.end() == 128 + signal.SIGTERM
    assert StoredTurns(tmp_path / ".turnlane").show(turn)["status"] == "queued"


def test_request_that_waits_for_a_turn_is_told_that_it_runs_later(
    serve: Serve, echo: Path, tmp_path: Path
) -> None:
    server = serve(echo, "--grace", "0.1")
    turn = start_waiting_turn(server, tmp_path / "gate")
    conversation = server.get(f"/v1/responses/{turn}").json()["conversation"]["id"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            server.post, "/v1/responses", model="agent", conversation=conversation, input="behind it"
        )
        wait_until(lambda: server.get("/lanes").json()["stats"]["queued"] == 1)
        server.send(signal.SIGTERM)
        assert waiting.result(PATIENCE).json()["error"]["code"] == "server_stopped"
    assert server.end() == 0
    assert not any(event["level"] == "error" for event in server.events)


# --- what it refuses, in one sentence ---


def refusal(run: Run, *arguments: object, **environment: str) -> tuple[int, str]:
    process = run("serve", *arguments, **environment)
    status = process.end()
    assert process.stderr[0].startswith("turnlane: ")
    assert "Traceback" not in process.said
    return status, "\n".join(process.stderr)


def test_port_in_use(run: Run, echo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, said = refusal(run, echo, "--port", port)
    assert status == 1
    assert f"port {port} on 127.0.0.1 is in use" in said


def test_data_folder_in_use(run: Run, serve: Serve, echo: Path) -> None:
    serve(echo)
    status, said = refusal(run, echo, "--port", "0")
    assert status == 1
    assert ".turnlane" in said


def test_address_of_others(run: Run, echo: Path) -> None:
    status, said = refusal(run, echo, "--host", "192.0.2.1")
    assert status == 1
    assert "192.0.2.1 is no address of this machine" in said


def test_open_to_others_without_keys(run: Run, echo: Path) -> None:
    status, said = refusal(run, echo, "--host", "0.0.0.0", "--port", "0")
    assert status == 2
    assert "--api-key-file" in said


def test_no_engine_of_that_name(run: Run, echo: Path) -> None:
    status, said = refusal(run, echo, "--port", "0", "--engine", "mysql://u:secret@h/db")
    assert status == 2
    assert "no engine for 'mysql'" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(:\n", ":1: invalid syntax"),
        ("import os\nraise ValueError(os.environ['MY_API_KEY'])\n", ":2: ValueError: ***"),
        ("import asyncio\nasync def m(): ...\nasyncio.run(m())\n", "TL113"),
        ("def agent():\n    raise KeyError('k')\n", ":2: the factory of agent 'agent' raised KeyError"),
        ("def agent():\n    return 7\n", "agent"),
    ],
)
def test_file_that_is_wrong(run: Run, tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "shop.py").write_text(text)
    status, said = refusal(run, "shop.py", "--port", "0", MY_API_KEY="a-very-secret-value")
    assert status == 2
    assert expected in said
    assert "a-very-secret-value" not in said


def test_factory_that_gives_the_same_agent_twice(run: Run, echo: Path) -> None:
    echo.write_text(
        echo.read_text()
        + textwrap.dedent("""
        one = Echo()
        def shared() -> Echo:
            return one
        """)
    )
    status, said = refusal(run, f"{echo}:shared", "--port", "0")
    assert status == 2
    assert "TL201" in said


# --- settings from elsewhere ---


def test_settings_may_come_from_the_environment_and_flags_win(run: Run, echo: Path, tmp_path: Path) -> None:
    server = run(
        "serve", "--log-format", "json", TURNLANE_TARGET=f"{echo}:agent", TURNLANE_PORT="0",
        TURNLANE_LOG_FORMAT="text", TURNLANE_DATA="elsewhere",
    )  # fmt: skip
    started = json.loads(server.wait_for('"server.started"'))
    assert started["agents"] == ["agent"]
    assert (tmp_path / "elsewhere" / "turnlane.db").is_file()


def test_keys_are_asked_for_on_request(serve: Serve, echo: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("ann 0123456789abcdef-key\n")
    server = serve(echo, "--api-key-file", "keys", "--host", "0.0.0.0")
    assert server.url.startswith("http://127.0.0.1:")
    assert server.get("/v1/models").status_code == 401
    assert server.get("/healthz").status_code == 200
    assert server.event("server.started")["keys"] == 1
