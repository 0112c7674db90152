"""`turnlane doctor`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .conftest import Run


def test_a_project_with_everything_wrong(run: Run, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pyautogen>=0.2\nautogen-agentchat~=0.2\n")
    (tmp_path / "package.json").write_text(
        '{"dependencies": {"@autogen/core": "^0.4.0"}, "engines": {"node": ">=99"}}'
    )
    (tmp_path / "Procfile").write_text("web: gunicorn -w 4 --preload app:app -k uvicorn.workers.UvicornWorker\n")
    (tmp_path / "Dockerfile").write_text(
        'FROM python\nENTRYPOINT ["uvicorn", "app:app"]\nCMD celery \\\n worker\n'
    )
    process = run("doctor", "--output-format", "json", "--python", sys.executable)
    assert process.end() == 1
    report = json.loads("\n".join(process.stdout))
    assert {conflict["code"] for conflict in report["conflicts"]} == {"TL601", "TL602", "TL605"}
    assert report["python"]["interpreter"] == sys.executable
    assert report["python"]["packages"]["autogen-agentchat"]
    assert [start["host"] for start in report["starts"]] == ["gunicorn", "uvicorn", "celery"]
    assert report["starts"][0]["detail"] == (
        "4 workers of class uvicorn.workers.UvicornWorker, loaded before the fork, the server owns the loop"
    )
    assert report["starts"][2]["command"] == "celery worker"
    assert report["node"]["engines"] == ">=99"
    assert report["node"]["packages"] == {"@autogen/core": "^0.4.0 (not installed)"}


def test_who_owns_the_loop_and_how_processes_come_to_be(run: Run, tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text(
        "a: uvicorn app:app --workers 3\nb: celery -A app worker\nc: gunicorn app:app\nd: python bot.py\n"
        "e: gunicorn app:app -c other.py -k sync\nf: chainlit run app.py\n"
    )
    (tmp_path / "gunicorn.conf.py").write_text(
        "import os\nworkers = 2\nworker_class = 'gthread'\npreload_app = True\nbind = os.environ['BIND']\n"
    )
    (tmp_path / "other.py").write_text("worker_class: str = 'gevent'\nthis is no Python\n")
    process = run("doctor", "--output-format", "json", "--python", sys.executable)
    process.end()
    report = json.loads("\n".join(process.stdout))
    assert [start["detail"] for start in report["starts"]] == [
        "3 workers, children by spawn, the server owns the loop",
        "pool prefork, children by fork, no loop runs",
        "2 workers of class gthread, loaded before the fork, no loop runs",
        "the program owns the loop",
        "workers of class sync, no loop runs",
        "the server owns the loop",
    ]


def test_a_project_with_nothing_wrong(run: Run, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print('never run')\n")
    process = run("doctor")
    assert process.end() == 0
    assert process.stdout[-1] == "nothing conflicts"
    assert "never run" not in process.said


def test_an_interpreter_in_the_current_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my-python").symlink_to(sys.executable)
    process = run("doctor", "--python", "./my-python")
    assert process.end() == 0, process.said


def test_what_can_not_be_asked(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "babbles"
    script.write_bytes(b"#!/bin/sh\nprintf '\\377\\376 no\\n' >&2\nexit 1\n")
    script.chmod(0o700)
    for words, told in [
        (["--python", str(script)], "can't be asked"),
        (["no-such-folder"], "is not a folder"),
        (["--python", "no-such-python"], "can't be run"),
        (["--python", "/bin/ls"], "can't be asked"),
    ]:
        process = run("doctor", *words)
        assert process.end() == 2
        assert told in process.stderr[0]
