"""Where a program runs, and which of its packages can't work together."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.guard.conftest import Watched

from turnlane.guard import versions, where
from turnlane.guard.commands import host_of, is_reloading, of_celery, of_gunicorn
from turnlane.guard.describing import one_line


@pytest.mark.parametrize(
    ("command", "host"),
    [
        ("python app.py --reload", "script"),
        ("python -u -W ignore -X dev app.py", "script"),
        ("python -m app", "script"),
        ("python -c pass", "script"),
        ("python", "interactive"),
        ("python /v/bin/uvicorn app:app", "uvicorn"),
        ("python -m uvicorn app:app", "uvicorn"),
        ("python /v/bin/fastapi dev app.py", "uvicorn"),
        ("python /v/bin/gunicorn app:app", "gunicorn"),
        ("python -m celery -A app worker", "celery"),
        ("python -m streamlit run app.py", "streamlit"),
        ("python /v/lib/streamlit/__main__.py run app.py", "streamlit"),
        ("python -m ipykernel_launcher -f kernel.json", "jupyter"),
        ("python -m pytest tests", "pytest"),
        ("python /v/bin/flask --app app run", "flask development server"),
        ("python /v/bin/flask --app app db upgrade", "script"),
        ("python manage.py runserver", "django development server"),
        ("python manage.py migrate", "script"),
    ],
)
def test_the_host_of_a_command(command: str, host: str) -> None:
    assert host_of(command.split(), {}) == host


def test_a_child_and_a_cloud() -> None:
    spawned = ["python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main()"]
    assert host_of(spawned, {}) == "child process"
    assert host_of(["python", "-m", "x"], {"AWS_LAMBDA_FUNCTION_NAME": "f"}) == "lambda"


def test_the_processes_of_a_command() -> None:
    gunicorn = ["python", "/v/bin/gunicorn", "-w4", "--preload", "-k", "uvicorn.workers.UvicornWorker", "app:app"]
    assert of_gunicorn(gunicorn) == {
        "worker_class": "uvicorn.workers.UvicornWorker",
        "preload": True,
        "workers": "4",
    }
    assert of_gunicorn(["python", "/v/bin/gunicorn", "app:app"]) == {"worker_class": "sync"}
    assert of_gunicorn(["python", "app.py", "--preload"]) == {}
    assert of_celery(["python", "-m", "celery", "-A", "app", "worker"]) == "prefork"
    assert of_celery(["python", "-m", "celery", "-A", "app", "worker", "--pool=threads"]) == "threads"
    assert of_celery(["python", "-m", "celery", "-A", "app", "beat"]) is None
    assert is_reloading(["python", "-m", "uvicorn", "app:app", "--reload"])
    assert not is_reloading(["python", "app.py", "--reload"])


def test_here_says_the_loop_and_its_owner() -> None:
    async def inside() -> dict[str, object]:
        return where.here()["loop"]

    assert where.here()["loop"] == {}
    found = asyncio.run(inside())
    assert (found["kind"], found["thread"]) == ("asyncio", "MainThread")
    assert one_line({"host": "uvicorn", "python": "3.12.1", "loop": {**found, "owner": "uvicorn"}}).startswith(
        "uvicorn, Python 3.12.1, loop of uvicorn (asyncio) in MainThread"
    )


@pytest.mark.parametrize(
    ("callers", "owner"),
    [
        (["ipykernel.kernelapp", "tornado.platform.asyncio"], "the notebook's kernel"),
        (["__main__", "tornado.ioloop"], "tornado"),
        (["_pytest.python", "anyio.pytest_plugin"], "pytest"),
        (["__main__"], "the program"),
    ],
)
def test_the_owner_of_a_loop_is_not_the_library_that_it_is_made_with(callers: list[str], owner: str) -> None:
    async def inside() -> str:
        return where.owner()

    def call(names: list[str]) -> str:
        if not names:
            return asyncio.new_event_loop().run_until_complete(inside())
        module: dict[str, Any] = {"__name__": names[0]}
        exec("def start(go, rest):\n    return go(rest)", module)
        return str(module["start"](call, names[1:]))

    with ThreadPoolExecutor(1) as pool:  # where pytest is not further up
        assert pool.submit(call, callers).result() == owner


def test_versions_are_read_from_the_folders(tmp_path: Path) -> None:
    for name in ("autogen_core-0.7.5.dist-info", "Flask-3.1.0.dist-info", "numpy-2.0.dist-info", "openai"):
        (tmp_path / name).mkdir()
    assert versions.installed([str(tmp_path), str(tmp_path / "gone")]) == {
        "autogen-core": "0.7.5",
        "flask": "3.1.0",
    }


@pytest.mark.parametrize(
    ("installed", "told"),
    [
        ({"autogen-core": "0.7.5", "autogen-agentchat": "0.7.4"}, "different releases"),
        ({"autogen-core": "0.7.5", "autogen-agentchat": "0.2.36"}, "different releases"),
        ({"openai": "1.40.0", "httpx": "0.28.1"}, "proxies"),
        ({"autogen": "0.9.0", "ag2": "0.8.0"}, "module `autogen`"),
        ({"pyautogen": "0.2.35", "ag2": "0.8.0"}, "module `autogen`"),
    ],
)
def test_conflicts(installed: dict[str, str], told: str) -> None:
    (sentence,) = versions.conflicts(installed)
    assert told in sentence


@pytest.mark.parametrize(
    "installed",
    [
        {
            "autogen-core": "0.7.5",
            "autogen-agentchat": "0.7.5",
            "autogen-ext": "0.7.5",
            "openai": "3.1",
            "httpx": "0.28",
        },
        {"openai": "1.55.3", "httpx": "0.28.1"},
        {"openai": "1.40.0", "httpx": "0.27.2"},
        {"autogen": "0.9.0", "ag2": "0.9.0"},
        {"autogen": "0.14.1", "ag2": "1.0.0"},  # 1.x brings a module of its own name
        {"autogen": "0.14.1", "autogen-agentchat": "0.7.5", "autogen-core": "0.7.5"},
        {},
    ],
)
def test_what_fits(installed: dict[str, str]) -> None:
    assert versions.conflicts(installed) == []


def test_both_autogens_in_one_process(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    classic, current = ModuleType("autogen"), ModuleType("autogen_agentchat")
    classic.ConversableAgent = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "autogen", classic)
    monkeypatch.setitem(sys.modules, "autogen_agentchat", current)
    versions._imported(current)
    versions._imported(classic)
    assert "loaded in one process" in watched.hazard("TL601")["message"]


def test_the_current_one_alone_is_silent(watched: Watched) -> None:
    import autogen_agentchat
    import autogen_core

    for module in (autogen_agentchat, autogen_core):
        versions._imported(module)
    assert watched.hazards == []
