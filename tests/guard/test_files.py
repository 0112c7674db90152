"""TL206: files in which the state of several users meets."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.guard.conftest import Watched

from turnlane.guard import requests, runs, stacks
from turnlane.guard.requests import Request


class Agent:
    name = "support"


def ran() -> None:
    """A run of a fresh agent."""
    run = runs.begin(Agent(), "agent", "run", stacks.capture(0))
    assert run is not None
    runs.end(run, "ended")


def turn(path: Path, word: str, **keys: str) -> None:
    """Load, run, save."""
    with requests.within(Request("asgi", "POST /chat", keys=keys)):
        state = json.loads(path.read_text()) if path.exists() else []
        ran()
        path.write_text(json.dumps([*state, word]))


def test_one_file_for_everybody(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    turn(path, "ann's", user_id="ann-1")
    assert watched.hazards == []
    turn(path, "bob's", user_id="bob-2")
    hazard = watched.hazard("TL206")
    assert "state.json" in hazard["message"]
    assert hazard["object"] == f"file {path}"
    assert hazard["place"]["function"] == "turn"
    assert len(hazard["requests"]) == 2
    assert hazard["stacks"][0]["title"].endswith("wrote it here")


def test_nothing_says_whose_requests_they_are(watched: Watched, tmp_path: Path) -> None:
    turn(tmp_path / "state.json", "one")
    turn(tmp_path / "state.json", "two")
    assert watched.codes == {"TL206"}


def test_a_lost_update(watched: Watched, tmp_path: Path) -> None:
    """Also where the file has a key for each user."""
    path = tmp_path / "states.json"
    path.write_text("{}")
    with requests.within(Request("asgi", "POST /chat", keys={"user_id": "ann-1"})):
        state = json.loads(path.read_text())
        ran()
        _saved_by("bob-2", path)
        path.write_text(json.dumps({**state, "ann-1": "hers"}))
    assert "lost" in watched.hazard("TL206")["message"]


def _saved_by(user: str, path: Path) -> None:
    with requests.within(Request("asgi", "POST /chat", keys={"user_id": user})) as request:
        request.parent = None
        state = json.loads(path.read_text())
        ran()
        path.write_text(json.dumps({**state, user: "his"}))


@pytest.mark.anyio
async def test_through_a_thread_and_a_rename(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for user in ("ann-1", "bob-2"):
        with requests.within(Request("asgi", "POST /chat", keys={"user_id": user})):
            if await asyncio.to_thread(path.exists):
                await asyncio.to_thread(path.read_text)
            ran()
            new = path.with_suffix(f".{user}")
            await asyncio.to_thread(new.write_text, "everybody's state")
            await asyncio.to_thread(os.replace, new, path)
    hazard = watched.hazard("TL206")
    assert hazard["place"]["file"] == __file__


def _keyed(path: Path, user: str, lock: threading.Lock) -> None:
    with requests.within(Request("asgi", "POST /chat", keys={"user_id": user})):
        json.loads(path.read_text())
        ran()
        with lock:
            state = json.loads(path.read_text())
            path.write_text(json.dumps({**state, user: "state"}))


def test_a_store_with_a_key_for_each_and_a_lock(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "states.json"
    path.write_text("{}")
    lock = threading.Lock()
    for user in ("ann-1", "bob-2", "ann-1", "bob-2"):
        _keyed(path, user, lock)
    assert watched.hazards == []


def test_a_file_for_each_conversation(watched: Watched, tmp_path: Path) -> None:
    for user in ("ann-1", "bob-2", "ann-1", "bob-2"):
        turn(tmp_path / f"{user}.json", "state", user_id=user)
    assert watched.hazards == []


def test_one_users_file(watched: Watched, tmp_path: Path) -> None:
    for _ in range(3):
        turn(tmp_path / "state.json", "state", conversation_id="c-1")
    assert watched.hazards == []


def _logs(path: Path) -> None:
    with path.open("a") as file:
        file.write("line\n")


def _counts(path: Path) -> None:
    count = int(path.read_text()) if path.exists() else 0
    path.write_text(str(count + 1))


def _reports(path: Path) -> None:
    path.write_text("the last answer")


@pytest.mark.parametrize("after_the_run", [_logs, _counts, _reports])
def test_other_files_of_a_server(after_the_run: Any, watched: Watched, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text("{}")
    for user in ("ann-1", "bob-2", "eve-3"):
        with requests.within(Request("asgi", "POST /chat", keys={"user_id": user})):
            config.read_text()
            ran()
            after_the_run(tmp_path / "file.txt")
    assert watched.hazards == []


def test_a_script_keeps_its_state_where_it_likes(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for _ in range(2):
        path.write_text("state")
        path.read_text()
        ran()
        path.write_text("state")
    assert watched.hazards == []
