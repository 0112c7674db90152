"""pre-commit and GitHub's action run the command as they are written here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from turnlane.checker.options import parse

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / ".pre-commit-hooks.yaml"
ACTION = ROOT / "action.yml"
WRONG = "f()  # turnlane: ignore[TL999]\n"

Files = Callable[[Mapping[str, str]], None]


def program(folder: Path) -> Path:
    """A folder with the command `turnlane` of this checkout, as an installation has it."""
    folder.mkdir(parents=True)
    command = folder / "turnlane"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m turnlane.cli.main "$@"\n')
    command.chmod(0o755)
    return folder


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_pre_commit_runs_the_hook(here: Path, files: Files, tmp_path: Path) -> None:
    pytest.importorskip("pre_commit", reason="pre-commit is not installed")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    # pre-commit would install the package with all that it needs; here it is installed already.
    (hooks / HOOKS.name).write_text(HOOKS.read_text().replace("language: python", "language: system"))
    git(hooks, "init", "-q")
    git(hooks, "add", ".")
    git(hooks, "commit", "-qm", "x")
    revision = subprocess.run(
        ["git", "-C", str(hooks), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    config = {"repos": [{"repo": str(hooks), "rev": revision, "hooks": [{"id": "turnlane-check"}]}]}
    files({".pre-commit-config.yaml": yaml.safe_dump(config), "x.py": WRONG})
    git(here, "init", "-q")
    git(here, "add", ".")
    path = f"{program(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PRE_COMMIT_HOME": str(tmp_path / "home")}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pre_commit", "run"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    found = run()
    assert found.returncode == 1
    assert "turnlane check" in found.stdout
    assert "x.py:1:25: TL001" in found.stdout
    files({"x.py": "f()\n"})
    git(here, "add", ".")
    assert run().returncode == 0


def steps() -> list[dict[str, object]]:
    listed: list[dict[str, object]] = yaml.safe_load(ACTION.read_text())["runs"]["steps"]
    return listed


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("inputs", "status", "says"),
    [
        ({}, 1, "::warning title=turnlane (TL001),file=src/x.py,line=1,"),
        ({"ARGS": "--exit-zero --select TL001"}, 0, "::warning"),
        ({"FORMAT": "concise", "PATHS": "src other"}, 1, "src/x.py:1:25: TL001"),
        ({"PATHS": "other"}, 0, ""),
        ({"PATHS": "$(touch made) other"}, 2, ""),
    ],
)
def test_the_action_checks(
    inputs: dict[str, str], status: int, says: str, here: Path, files: Files, tmp_path: Path
) -> None:
    files({"src/x.py": WRONG, "other/y.py": "x = 1\n"})
    program(tmp_path / "turnlane/bin")
    *_, check = steps()
    defaults = {name: spec["default"] for name, spec in yaml.safe_load(ACTION.read_text())["inputs"].items()}
    given = {"PATHS": defaults["paths"], "ARGS": defaults["args"], "FORMAT": defaults["output-format"], **inputs}
    assert check["env"].keys() == given.keys()  # type: ignore[attr-defined]
    environment = {**os.environ, **given, "RUNNER_TEMP": str(tmp_path)}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", str(check["run"])],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.startswith(says)) == (status, True), done.stdout + done.stderr
    assert not (here / "made").exists()


def test_the_action_installs_itself_and_reads_no_input_as_shell() -> None:
    install, check = steps()
    assert '"$SOURCE"' in str(install["run"])
    assert all("${{" not in str(step["run"]) for step in (install, check))


def test_the_hook_is_a_command_that_can_be_typed() -> None:
    (hook,) = yaml.safe_load(HOOKS.read_text())
    verb, *arguments = hook["entry"].split()[1:]
    assert verb == "check"
    assert parse(arguments).paths == []
    assert hook["pass_filenames"] is False
