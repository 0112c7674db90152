"""The guard is loaded into programs that have none of our packages: it may use the standard library only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from turnlane.guard.launch import INJECTED, environment
from turnlane.guard.settings import GuardSettings

PROGRAM = """
import json, sys
installed = [m for m, v in sys.modules.items() if "site-packages" in (getattr(v, "__file__", "") or "")]
ours = sorted({".".join(m.split(".")[:2]) for m in sys.modules if m.startswith("turnlane.")})
print(json.dumps({"installed": installed, "ours": ours}))
"""


def records(output: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.read_text().splitlines()]


def run(arguments: list[str], output: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TURNLANE"))}
    env = environment(GuardSettings(output=str(output), summary=False), {**bare, **variables})
    return subprocess.run(
        [sys.executable, *arguments], env=env, capture_output=True, text=True, check=False, timeout=60
    )


def test_it_imports_the_standard_library_and_the_hazards_only(tmp_path: Path) -> None:
    done = run(["-c", PROGRAM], tmp_path / "out")
    loaded = json.loads(done.stdout)
    # The environment's own .pth files may import installed packages; the guard may not.
    without = json.loads(
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    )
    assert sorted(set(loaded["installed"]) - set(without["installed"])) == []
    assert loaded["ours"] == ["turnlane.guard", "turnlane.hazards"]
    assert [record["kind"] for record in records(tmp_path / "out")] == ["start", "end"]


def test_no_part_of_it_fails_while_it_is_put_in(tmp_path: Path) -> None:
    done = run(["-c", "print('hello')"], tmp_path / "out")
    assert done.stdout == "hello\n"
    assert done.stderr == ""
    assert [record for record in records(tmp_path / "out") if record["kind"] == "trouble"] == []


def test_it_is_found_where_turnlane_is_not_installed(tmp_path: Path) -> None:
    # -S leaves out site-packages, with it our editable install, and sitecustomize: imported by hand here.
    program = "import sitecustomize, sys; print('turnlane.guard' in sys.modules, 'turnlane.cli' in sys.modules)"
    done = run(["-S", "-c", program], tmp_path / "out")
    assert done.stdout == "True False\n", done.stderr


def test_the_environments_own_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.theirs = 1")
    done = run(["-c", "print(theirs)"], tmp_path / "out", PYTHONPATH=str(tmp_path))
    assert done.stdout == "1\n", done.stderr


def test_the_folder_that_is_injected_holds_nothing_else() -> None:
    assert sorted(path.name for path in INJECTED.iterdir() if path.name != "__pycache__") == ["sitecustomize.py"]
