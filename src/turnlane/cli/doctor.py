"""`turnlane doctor`: where a project's agents run, and which of its packages conflict."""

from __future__ import annotations

import ast
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

from turnlane.cli.complaint import FAILED, Complaint
from turnlane.guard.commands import host_of, loop_of, of_celery, of_gunicorn, of_uvicorn, option
from turnlane.guard.describing import lines, processes
from turnlane.guard.launch import environment
from turnlane.guard.record_file import RecordFile
from turnlane.guard.settings import GuardSettings

CODES: Final = "TL601,TL602,TL605"
"""What the files of a project can show: versions, Node, what is loaded before the fork."""

ANSWERS_WITHIN: Final = 30.0
"""Seconds that an interpreter may take to start."""

NODE_PACKAGES: Final = (
    "openai",
    "ai",
    "@ai-sdk/openai",
    "langchain",
    "@langchain/core",
    "@openai/agents",
    "typescript",
)


def doctor(
    project: Path = Path("."),
    /,
    *,
    python: Path | None = None,
    output_format: Literal["full", "json"] = "full",
) -> int:
    """Say where a project's agents run, since that decides what is right there, and which packages conflict.

    It starts nothing of the project. The exit status is 1 when something conflicts.

    Parameters
    ----------
    project
        Folder of the project.
    python
        Its interpreter. Without it: that of `.venv` in the project, of the active environment, or turnlane's own.
    output_format
        full, for people; or json.
    """
    if not project.is_dir():
        raise Complaint(f"{project} is not a folder: name that of a project, or none for the current one")
    where = where_of(python or interpreter_of(project))
    report = {
        "python": where,
        "node": node_of(project),
        "starts": list(starts_of(project)),
        "conflicts": [*_of_versions(where), *_of_files(project)],
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n" if output_format == "json" else _shown(report))
    return FAILED if report["conflicts"] else 0


def interpreter_of(project: Path) -> Path:
    """The interpreter that a project most likely runs on."""
    active = os.environ.get("VIRTUAL_ENV")
    folders = [project / ".venv", project / "venv", *([Path(active)] if active else [])]
    for folder in folders:
        for name in ("bin/python", "Scripts/python.exe"):
            if (folder / name).exists():
                return folder / name
    return Path(sys.executable)


def where_of(python: Path) -> dict[str, Any]:
    """What the guard says of itself in that interpreter, and which interpreter it is.

    Raises:
        Complaint: it can't be asked.
    """
    with tempfile.TemporaryDirectory(prefix="turnlane-doctor-") as folder:
        records = Path(folder) / "records.jsonl"
        settings = GuardSettings(output=str(records), summary=False)
        try:
            done = subprocess.run(  # noqa: S603 - the interpreter is the user's own
                [str(python.absolute() if python.exists() else python), "-c", "pass"],
                env=environment(settings),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=ANSWERS_WITHIN,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = error.strerror if isinstance(error, OSError) else "it does not answer"
            raise Complaint(f"{python} can't be run: {reason}; name the project's with --python") from None
        start = next((record for record in RecordFile(records).new() if record["kind"] == "start"), None)
    if start is None:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Complaint(f"{python} can't be asked: {said}; it must be Python 3.11 or newer")
    # What started this process and what it does is ours, not the project's.
    return {"interpreter": str(python), **{k: v for k, v in start["where"].items() if k not in _OURS}}


_OURS: Final = ("host", "program", "loop", "processes", "threads")


def node_of(project: Path) -> dict[str, Any] | None:
    """The Node side of a project, from its files; None if it has none."""
    try:
        package = json.loads((project / "package.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(package, dict):
        return None
    wanted = {**_mapping(package, "devDependencies"), **_mapping(package, "dependencies")}
    return {
        "version": _node_version(),
        "engines": _mapping(package, "engines").get("node"),
        "modules": "ESM" if package.get("type") == "module" else "CommonJS",
        "packages": {
            name: _installed_node_package(project, name) or f"{asked} (not installed)"
            for name, asked in sorted(wanted.items())
            if name in NODE_PACKAGES or "autogen" in name
        },
    }


def _mapping(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _installed_node_package(project: Path, name: str) -> str | None:
    try:
        version = json.loads((project / "node_modules" / name / "package.json").read_text("utf-8")).get("version")
    except (OSError, ValueError, AttributeError):
        return None
    return version if isinstance(version, str) else None


def _node_version() -> str | None:
    node = shutil.which("node")
    if node is None:
        return None
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().removeprefix("v") or None


def starts_of(project: Path) -> Iterator[dict[str, str]]:
    """What the project's files say it is started with."""
    for name, command in _commands(project):
        words = ["python", *command] if command[0] not in ("python", "python3") else list(command)
        host = host_of(words, {})
        facts = _processes(words, project)
        detail = ", ".join(filter(None, (processes(facts), loop_of(host, facts.get("worker_class", "")))))
        yield {"file": name, "command": " ".join(command), "host": host, "detail": detail}
    if any(project.glob("*.ipynb")):
        yield {"file": "*.ipynb", "command": "", "host": "jupyter", "detail": loop_of("jupyter")}


def _processes(words: list[str], project: Path) -> dict[str, Any]:
    if (pool := of_celery(words)) is not None:
        return {"pool": pool, **({"start_method": "fork"} if pool == "prefork" else {})}
    asked = of_gunicorn(words)
    if not asked:
        return of_uvicorn(words)
    if option(words, "-k", "--worker-class") is None:
        asked.pop("worker_class")
    configuration = project / (option(words, "-c", "--config") or "gunicorn.conf.py")
    return {"worker_class": "sync", **_of_gunicorn_file(configuration), **asked}


_GUNICORN_NAMES: Final = {"preload_app": "preload", "worker_class": "worker_class", "workers": "workers"}


def _of_gunicorn_file(path: Path) -> dict[str, Any]:
    """What gunicorn's configuration says in so many words: it is Python, and not run here."""
    try:
        tree = ast.parse("\n".join(_lines(path)))
    except SyntaxError:
        return {}
    return {
        _GUNICORN_NAMES[target.id]: statement.value.value
        for statement in tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id in _GUNICORN_NAMES
    }


def _commands(project: Path) -> Iterator[tuple[str, list[str]]]:
    for line in _lines(project / "Procfile"):
        _, colon, command = line.partition(":")
        if colon and command.split():
            yield "Procfile", command.split()
    for line in "\n".join(_lines(project / "Dockerfile")).replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.upper() in ("CMD", "ENTRYPOINT") and (words := _docker_words(rest.strip())):
            yield "Dockerfile", words


def _docker_words(text: str) -> list[str]:
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            return []
        return [str(word) for word in words] if isinstance(words, list) else []
    return text.split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def _of_versions(where: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"code": "TL601", "message": sentence, "file": None, "line": None}
        for sentence in where.get("conflicts", ())
    ]


def _of_files(project: Path) -> list[dict[str, Any]]:
    """What `turnlane check` finds of these in the project's files."""
    from turnlane.checker.command import Streams
    from turnlane.checker.command import main as check

    out = io.StringIO()
    check(["--select", CODES, "--output-format", "json", "--quiet", str(project)], Streams(out, io.StringIO()))
    try:
        found = json.loads(out.getvalue() or "[]")
    except ValueError:
        return []
    return [
        {
            "code": finding["code"],
            "message": finding["message"],
            "file": finding["filename"],
            "line": finding["location"]["row"],
        }
        for finding in found
    ]


def _shown(report: dict[str, Any]) -> str:
    where = report["python"]
    rows = [f"{'python at':10} {where['interpreter']}", *lines(where)]
    for start in report["starts"]:
        detail = f" ({start['detail']})" if start["detail"] else ""
        rows.append(f"{'started':10} {start['host']}{detail}, {start['file']}: {start['command']}".rstrip(": "))
    if report["node"] is not None:
        rows += _node_lines(report["node"])
    rows.append("")
    for conflict in report["conflicts"]:
        place = f"{conflict['file']}:{conflict['line']}: " if conflict["file"] else ""
        rows.append(f"{conflict['code']} {place}{conflict['message'].replace('`', '')}")
    codes = sorted({conflict["code"] for conflict in report["conflicts"]})
    explain = ", ".join(f"turnlane explain {code}" for code in codes)
    rows.append(f"What to do: {explain}" if codes else "nothing conflicts")
    return "\n".join(rows) + "\n"


def _node_lines(node: dict[str, Any]) -> Iterator[str]:
    asked = f", the project asks for {node['engines']}" if node["engines"] else ""
    yield f"{'node':10} {node['version'] or 'not installed'}{asked}; {node['modules']} modules"
    if node["packages"]:
        yield f"{'npm':10} " + ", ".join(f"{name} {version}" for name, version in node["packages"].items())
