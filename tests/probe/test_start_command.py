"""The start command of an experiment, and the files that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnlane.probe.sources import sources_of
from turnlane.probe.start_command import preloads, with_one_worker, without_preload, workers_of


@pytest.mark.parametrize(
    ("command", "workers", "single"),
    [
        ("uvicorn app:app --workers 4 --port 1", 4, "uvicorn app:app --workers 1 --port 1"),
        ("gunicorn -w4 app:app", 4, "gunicorn -w1 app:app"),
        ("gunicorn -w 3 app:app", 3, "gunicorn -w 1 app:app"),
        ("python -m gunicorn --workers=2 app:app", 2, "python -m gunicorn --workers=1 app:app"),
        ("node server.js -w 4", 1, "node server.js -w 1"),
        ("uvicorn app:app", 1, "uvicorn app:app"),
    ],
)
def test_one_worker(command: str, workers: int, single: str) -> None:
    words = command.split()
    assert workers_of(words, {}) == workers
    assert with_one_worker(words) == tuple(single.split())


def test_workers_may_come_from_the_environment() -> None:
    assert workers_of(["gunicorn", "app:app"], {"WEB_CONCURRENCY": "3"}) == 3


def test_preloading() -> None:
    words = ["gunicorn", "--preload", "-w", "2", "app:app"]
    assert preloads(words, {})
    assert not preloads(without_preload(words), {})
    assert preloads(["gunicorn", "app:app"], {"GUNICORN_CMD_ARGS": "--preload --workers 2"})
    assert not preloads(["python", "app.py", "--preload"], {})


def test_the_files_of_a_server_and_what_they_import(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "app.py").write_text("import os\nfrom .agents import support\nfrom shop import tools\n")
    (package / "agents.py").write_text("support = None\n")
    (package / "tools.py").write_text("")
    (package / "unrelated.py").write_text("")
    found = sources_of(["uvicorn", "shop.app:app", "--port", "1"], str(tmp_path))
    assert {path.name for path in found} == {"app.py", "__init__.py", "agents.py", "tools.py"}
    assert found[0].name == "app.py"


def test_the_files_of_a_node_server_also_behind_a_shell(tmp_path: Path) -> None:
    (tmp_path / "server.mjs").write_text('import { run } from "./agent.mjs";\nimport http from "node:http";\n')
    (tmp_path / "agent.mjs").write_text("export const run = 1;\n")
    for command in (["env", "PORT=1", "node", "server.mjs"], ["/bin/sh", "-c", "PORT=1 node server.mjs"]):
        assert [path.name for path in sources_of(command, str(tmp_path))] == ["server.mjs", "agent.mjs"]


def test_a_command_that_names_no_file_has_none(tmp_path: Path) -> None:
    assert sources_of(["docker", "run", "shop"], str(tmp_path)) == []
