"""Front ends and workers as processes over one PostgreSQL: they find each other's turns, drain, roll and die."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from turnlane.cli.assembly import running, running_worker
from turnlane.cli.serve import greeting as serve_greeting
from turnlane.cli.worker import greeting as worker_greeting
from turnlane.runtime.loading import load_app
from turnlane.runtime.settings import ServeSettings, WorkerSettings

from .conftest import ECHO, PATIENCE, SERVE, WORK, Json, Serve, Server, Work, Worker, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from turnlane.testing.postgres_server import PostgresServer

SECRET = "a-very-secret-word"
"""The server trusts everybody, whatever password they give."""

FOREVER = "3600"
"""A lease that no test waits for: who runs a dead worker's turn before knew otherwise that it is dead."""


def text_of(response: Json) -> str:
    return str(response["output"][0]["content"][0]["text"])


def start_waiting_turn(front: Server, gate: Path, **more: object) -> str:
    """A turn that runs until the file `gate` is there."""
    turn = str(front.ask(f"wait {gate}", background=True, **more)["id"])
    wait_until(lambda: Path(f"{gate}.running").exists())
    return turn


def ended(front: Server, turn: str) -> Json:
    found: Json = {}

    def has_ended() -> bool:
        found.update(front.get(f"/v1/responses/{turn}").json())
        return found["status"] not in ("queued", "in_progress")

    wait_until(has_ended)
    return found


# --- one cluster for the tests that do it no harm; starting it takes longer than they do ---


@dataclass
class Cluster:
    one: Server
    other: Server
    worker: Worker


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, postgres_servers: Callable[[int], PostgresServer]
) -> Iterator[Cluster]:
    """Two front ends and a worker, which know the database by the environment; one front end by a flag."""
    server = postgres_servers(18)
    name = server.create_database()
    url = server.url(name, password=SECRET)
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "echo_app.py").write_text(ECHO)
    environment = {"TURNLANE_ENGINE": url, "TURNLANE_LEASE": "5"}
    cluster = Cluster(
        Server([*SERVE, "echo_app.py", "--no-worker"], folder, environment),
        Server([*SERVE, "echo_app.py", "--no-worker", "--engine", url], folder, {}),
        Worker([*WORK, "echo_app.py"], folder, environment),
    )
    members = [cluster.one, cluster.other, cluster.worker]
    try:
        for member in members:
            member.ready()
        yield cluster
    finally:
        for member in members:
            member.kill()
        server.drop_database(name)


def test_a_turn_is_taken_by_one_process_run_by_another_and_read_at_a_third(cluster: Cluster) -> None:
    response = cluster.one.ask("hello")
    assert text_of(response) == "echo hello"
    assert text_of(cluster.other.get(f"/v1/responses/{response['id']}").json()) == "echo hello"
    assert cluster.worker.event("turn.ended", turn=response["id"])["attempt"] == 1
    assert (
        cluster.other.ask("and?", previous_response_id=response["id"])["conversation"] == response["conversation"]
    )


def test_worker_answers_for_its_health_and_nothing_else(cluster: Cluster) -> None:
    cluster.one.ask("count me")
    assert cluster.worker.get("/healthz").json() == {"status": "ok"}
    assert cluster.worker.get("/readyz").json() == {"status": "ready"}
    assert 'turnlane_turns_total{agent="agent",status="completed"}' in cluster.worker.get("/metrics").text
    refused = cluster.worker.post("/v1/responses", model="agent", input="hello")
    assert refused.status_code == 404
    assert refused.json()["error"]["message"].endswith("runs agents and answers /healthz, /readyz, /metrics only")


def test_nobody_is_shown_the_password(cluster: Cluster) -> None:
    cluster.one.ask("hello")
    for member in (cluster.one, cluster.other, cluster.worker):
        assert SECRET not in member.said
        started = member.event(f"{member.kind}.started")
        assert started["data"].startswith("postgresql://postgres@127.0.0.1:")
        exposed = "every user of this machine can read the password in --engine: set TURNLANE_ENGINE instead"
        assert started.get("note", "").startswith(exposed) == (member is cluster.other)


# --- draining, rolling, dying ---


@pytest.fixture
def engine(postgres_ready_url: str) -> dict[str, str]:
    """A database of the test's own, as an environment."""
    return {"TURNLANE_ENGINE": postgres_ready_url, "TURNLANE_LEASE": "5"}


def test_one_process_serves_alone_when_only_the_url_is_changed(
    serve: Serve, echo: Path, tmp_path: Path, engine: dict[str, str]
) -> None:
    server = serve(echo, **engine)
    turn = start_waiting_turn(server, tmp_path / "gate")
    server.send(signal.SIGTERM)
    server.event("server.draining", running=1)
    (tmp_path / "gate").touch()
    assert server.end() == 0
    assert server.event("turn.ended", turn=turn)["status"] == "completed"
    assert not (tmp_path / ".turnlane").exists()


def test_rolling_to_a_new_version_of_the_app_loses_nothing(
    serve: Serve, work: Work, echo: Path, tmp_path: Path, engine: dict[str, str]
) -> None:
    front = serve(echo, "--no-worker", **engine)
    old = work(echo, "--grace", "0.2", **engine)
    conversations = [str(front.post("/v1/conversations").json()["id"]) for _ in range(5)]
    turns = []
    for number, conversation in enumerate(conversations):
        turns.append(start_waiting_turn(front, tmp_path / f"gate-{number}", conversation=conversation))
        turns.append(str(front.ask("and then", conversation=conversation, background=True)["id"]))
    echo.write_text(ECHO.replace('f"echo ', 'f"new '))
    new = work(echo, **engine)
    old.send(signal.SIGTERM)
    assert old.end() == 0
    assert old.event("worker.stopped")["released"] == 5
    for number in range(5):
        (tmp_path / f"gate-{number}").touch()
    responses = [ended(front, turn) for turn in turns]
    assert [response["status"] for response in responses] == ["completed"] * 10
    assert [text_of(response).partition(" ")[0] for response in responses] == ["new"] * 10
    assert [response["attempt"] for response in responses] == [2, 1] * 5
    assert {event["turn"] for event in new.events if event["event"] == "turn.ended"} == set(turns)


def test_draining_lets_a_request_at_one_process_end_whose_turn_runs_at_another(
    serve: Serve, work: Work, echo: Path, tmp_path: Path, engine: dict[str, str]
) -> None:
    front, worker = serve(echo, "--no-worker", **engine), work(echo, **engine)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(front.ask, f"wait {tmp_path / 'gate'}")
        wait_until(lambda: Path(f"{tmp_path / 'gate'}.running").exists())
        worker.send(signal.SIGTERM)
        worker.event("worker.draining", running=1, grace=30)
        wait_until(lambda: worker.get("/readyz").status_code == 503)
        waiting = str(front.ask("hello", background=True)["id"])
        front.send(signal.SIGTERM)
        front.event("server.draining")
        assert front.post("/v1/responses", model="agent", input="hello").status_code == 503
        assert front.get(f"/v1/responses/{waiting}").json()["status"] == "queued"
        (tmp_path / "gate").touch()
        assert asking.result(PATIENCE)["attempt"] == 1
    assert (worker.end(), front.end()) == (0, 0)
    ran = [event["turn"] for event in worker.events if event["event"] == "turn.ended"]
    assert waiting not in ran
    assert not any("Traceback" in line for line in (*worker.stderr, *front.stderr))


def test_turns_of_a_worker_that_ends_at_once_run_at_another(
    serve: Serve, work: Work, echo: Path, tmp_path: Path, engine: dict[str, str]
) -> None:
    engine["TURNLANE_LEASE"] = FOREVER
    front, worker = serve(echo, "--no-worker", **engine), work(echo, **engine)
    turn = start_waiting_turn(front, tmp_path / "gate")
    other = work(echo, "--log-level", "debug", **engine)
    worker.send(signal.SIGKILL)
    assert worker.end() == -signal.SIGKILL
    other.event("turn.started", turn=turn, attempt=2)
    other.send(signal.SIGTERM)
    other.event("worker.draining")
    other.send(signal.SIGTERM)
    assert other.end() == 128 + signal.SIGTERM
    (tmp_path / "gate").touch()
    third = work(echo, **engine)
    assert ended(front, turn)["attempt"] == 3
    assert third.event("turn.ended", turn=turn)["status"] == "completed"


def test_worker_whose_database_is_away_at_its_end_does_not_wait_for_it(
    serve: Serve, work: Work, echo: Path, tmp_path: Path
) -> None:
    from turnlane.testing.postgres_server import PostgresServer

    with PostgresServer(fsync=False) as database:
        engine = {"TURNLANE_ENGINE": database.url(database.create_database()), "TURNLANE_LEASE": "5"}
        front, worker = serve(echo, "--no-worker", **engine), work(echo, "--grace", "0.1", **engine)
        turn = start_waiting_turn(front, tmp_path / "gate")
        database.kill()
        worker.send(signal.SIGTERM)
        assert worker.end() == 1
        note = worker.event("worker.stopped")["note"]
        assert note.endswith("turns that ran here run again at another worker when their lease is over")
        database.start()
        (tmp_path / "gate").touch()
        work(echo, **engine)
        assert ended(front, turn)["status"] == "completed"


@pytest.mark.anyio
async def test_greetings_say_who_does_what(echo: Path, postgres_ready_url: str) -> None:
    app = load_app([str(echo)])
    async with (
        running(app, ServeSettings(engine=postgres_ready_url, port=0, no_worker=True)) as front,
        running_worker(app, WorkerSettings(engine=postgres_ready_url, health_port=0)) as worker,
    ):
        said_by_front, said_by_worker = serve_greeting(front), worker_greeting(worker)
    for said in (said_by_front, said_by_worker):
        assert f"  data     {postgres_ready_url}\n" in said
    assert "turnlane takes turns for agent\n" in said_by_front
    assert "run where `turnlane worker` is started" in said_by_front
    assert "turns go on" in said_by_front
    assert said_by_front.endswith(f"listening on {front.url}\n\n")
    assert "turnlane runs agent\n" in said_by_worker
    assert f"{worker.url}/readyz" in said_by_worker
    assert "the rest run again at another worker" in said_by_worker
    assert said_by_worker.endswith("taking turns, 1000 at once\n\n")
