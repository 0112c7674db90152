"""`turnlane check` as a user calls it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from turnlane import __version__
from turnlane.checker.options import parser

Files = Callable[[Mapping[str, str]], None]
Check = Callable[..., Any]

WRONG = "f()  # turnlane: ignore[TL999] gone\n"
CLEAN = "x = 1\n"
OWN = ("--select", "TL001")
"""The one code that needs no rule."""


def test_clean_found_and_could_not_run(check: Check, files: Files) -> None:
    files({"clean/x.py": CLEAN, "wrong/x.py": WRONG})
    assert check("clean", *OWN) == (0, "No hazards found.\n", "")
    said = check("wrong", *OWN)
    assert said.status == 1
    assert said.out.startswith("wrong/x.py:1:25: TL001 [*] warning: ")
    assert said.out.endswith("Found 1 warning. [*] 1 fixable with --fix.\n")
    assert check("gone") == (2, "", "turnlane: gone does not exist: name a file or a folder\n")
    assert check("wrong", *OWN, "--exit-zero").status == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--slect"], "unknown option --slect: did you mean --select?"),
        (["--select", "XX"], "no code begins with 'XX'"),
        (["-", "x.py"], "can't be checked together with other paths"),
        (["--stdin-filename", "x.py"], "give - as the path"),
        (["--watch", "--fix"], "--watch only checks"),
        (["--write-baseline", "b", "--fix"], "fix first"),
        (["--isolated", "--config", "x"], "leave out --config"),
        (["--baseline", "gone.json"], "gone.json can't be read"),
        (["--output-file", "no/such/folder"], "no/such/folder can't be written"),
        (["--output-format", "xml"], "invalid choice: 'xml'"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], says: str, check: Check, files: Files) -> None:
    files({"x.py": WRONG})
    said = check(*arguments)
    assert (said.status, said.out) == (2, "")
    assert said.errors.startswith("turnlane: ")
    assert says in said.errors
    assert said.errors.count("\n") == 1


def test_the_configuration_counts(check: Check, files: Files) -> None:
    files({"x.py": WRONG, "pyproject.toml": '[tool.turnlane]\nignore = ["TL001"]\n'})
    assert check().status == 0
    assert check("--isolated").status == 1
    assert check(*OWN).status == 1
    files(
        {"pyproject.toml": '[tool.turnlane]\noutput-format = "json"\nseverity = "warning"\nselect = ["TL001"]\n'}
    )
    assert json.loads(check().out)[0]["code"] == "TL001"
    assert json.loads(check("--severity", "error").out) == []
    assert check("--output-format", "concise").out.startswith("x.py:1:25: TL001")


def test_per_file_ignores(check: Check, files: Files) -> None:
    files({"tests/x.py": WRONG, "y.py": CLEAN})
    assert check(*OWN).status == 1
    assert check(*OWN, "--per-file-ignores", "tests/**:TL0").status == 0


def test_show_files_and_exclude(check: Check, files: Files) -> None:
    files({"a.py": "", "old/b.py": "", ".gitignore": "gen.py\n", "gen.py": ""})
    assert check("--show-files").out == "a.py\nold/b.py\n"
    assert check("--show-files", "--extend-exclude", "old").out == "a.py\n"
    assert check("--show-files", "--no-respect-gitignore").out == "a.py\ngen.py\nold/b.py\n"
    assert check("a.py", "--show-files", "old/b.py", "--force-exclude", "--exclude", "old").out == "a.py\n"


def test_fix_writes_what_is_safe(check: Check, files: Files, here: Path) -> None:
    files({"a/x.py": WRONG, "a/y.py": "f()  # turnlane: ignore\n"})
    shown = check("--diff", *OWN)
    assert shown.status == 1
    assert "-f()  # turnlane: ignore[TL999] gone\n+f()\n" in shown.out
    assert shown.errors == "Would fix a/x.py: 1 x TL001\n"
    assert (here / "a/x.py").read_text() == WRONG
    said = check("--fix", *OWN)
    assert (here / "a/x.py").read_text() == "f()\n"
    assert said.status == 1  # the other one can't be fixed
    assert "Fixed a/x.py: 1 x TL001\nFound 1 warning.\n" in said.out
    assert check("--diff", *OWN) == (0, "", "")
    (here / "a/y.py").unlink()
    assert check("--fix", *OWN).status == 0


def test_fix_of_a_notebook_keeps_the_rest(check: Check, files: Files, here: Path, notebook: Any) -> None:
    files({"n.ipynb": notebook("%time x\n" + WRONG.strip(), "y = 2")})
    assert check("--fix", *OWN).status == 0
    assert (here / "n.ipynb").read_text() == notebook("%time x\nf()", "y = 2")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write every file")
def test_a_file_that_can_not_be_written_is_told(check: Check, files: Files, here: Path) -> None:
    files({"x.py": WRONG})
    (here / "x.py").chmod(0o444)
    said = check("--fix", *OWN)
    assert said.status == 2
    assert said.errors == "turnlane: x.py can't be written: permission denied\n"


def stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_standard_input(check: Check, files: Files, monkeypatch: pytest.MonkeyPatch, notebook: Any) -> None:
    stdin(monkeypatch, "f()  # turnlane: ignore\n")
    assert check("-", *OWN).out.startswith("stdin.py:1:6: TL001 ")
    stdin(monkeypatch, notebook("", "f()  # turnlane: ignore"))
    said = check("-", "--stdin-filename", "sub/n.ipynb", *OWN)
    assert said.out.startswith("sub/n.ipynb:cell 2:1:6: TL001 ")
    stdin(monkeypatch, "f()  # turnlane: ignore[TL999]\n")
    said = check("-", "--fix", "--stdin-filename", "x.ts", *OWN)
    assert (said.status, said.out) == (0, "f()  # turnlane: ignore[TL999]\n")  # `#` is no comment there
    stdin(monkeypatch, "f()  # turnlane: ignore[TL999]\n")
    said = check("-", "--fix", *OWN)
    assert (said.status, said.out) == (0, "f()\n")
    assert "Fixed stdin.py: 1 x TL001" in said.errors


def test_baseline(check: Check, files: Files, here: Path) -> None:
    files({"x.py": WRONG})
    assert check("--write-baseline", "known.json", *OWN) == (
        0,
        "Wrote 1 finding to known.json. Check with --baseline known.json from now on.\n",
        "",
    )
    assert check("--baseline", "known.json", *OWN).status == 0
    files({"x.py": f"import os\n{WRONG}g()  # turnlane: ignore[TL998]\n"})
    said = check("--baseline", "known.json", *OWN)
    assert "Found 1 warning" in said.out
    assert said.out.startswith("x.py:3:")
    files({"pyproject.toml": '[tool.turnlane]\nbaseline = "known.json"\nselect = ["TL001"]\n'})
    assert check().out == said.out
    check("--write-baseline", "known.json")
    assert check().status == 0


def test_statistics_quiet_and_output_file(check: Check, files: Files, here: Path) -> None:
    files({"x.py": WRONG, "broken.py": "def (:\n"})
    assert check("--statistics", *OWN).out.startswith("1  TL001 [*] unused-ignore\n")
    quiet = check("--quiet", "--output-format", "concise", *OWN)
    assert quiet.out.count("\n") == 1
    assert quiet.errors == ""
    said = check("--output-file", "out.sarif", "--output-format", "sarif", *OWN)
    assert (said.status, said.out) == (1, "")
    assert json.loads((here / "out.sarif").read_text())["version"] == "2.1.0"


def test_what_was_not_seen_is_said(check: Check, files: Files) -> None:
    files({"broken.py": "def (:\n", "n.ipynb": "{"})
    said = check()
    assert said.status == 0
    assert sorted(line.split(":")[1].strip() for line in said.errors.splitlines()) == ["broken.py", "n.ipynb"]


def test_colours(check: Check, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files({"x.py": WRONG})
    assert "\x1b[" not in check(*OWN).out
    assert "\x1b[" in check("--color", "always", *OWN).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in check(*OWN).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in check(*OWN).out


def test_letters_that_the_terminal_lacks_are_escaped(files: Files) -> None:
    from turnlane.checker.command import Streams, main

    files({"x.py": "ü()  # turnlane: ignore\n"})
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", newline="\n")
    assert main(OWN, Streams(out, out)) == 1
    assert rb"\xfc()  # turnlane: ignore" in raw.getvalue()


def test_watch_checks_again_when_a_file_changes(check: Check, files: Files) -> None:
    files({"x.py": CLEAN})
    rounds = iter([lambda: files({"x.py": WRONG}), lambda: None, lambda: files({"x.py": CLEAN + CLEAN})])

    def wait() -> bool:
        step = next(rounds, None)
        if step is not None:
            step()
        return step is not None

    said = check("--watch", "--output-format", "concise", *OWN, wait=wait)
    assert [line.split(".")[0] for line in said.out.splitlines() if line.startswith(("No", "Found"))] == [
        "No hazards found",
        "Found 1 warning",
        "No hazards found",
    ]
    assert said.status == 0


def test_the_second_run_reads_only_what_changed(check: Check, files: Files, here: Path) -> None:
    from turnlane.checker import extraction

    files({f"{number}.py": WRONG for number in range(30)})
    first = check(*OWN, "--jobs", "1")
    read: list[str] = []
    original = extraction.read

    def counted(task: Any, texts: Any) -> Any:
        read.append(task.path)
        return original(task, texts)

    files({"7.py": CLEAN})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "read", counted)
        second = check(*OWN, "--jobs", "1")
    assert read == ["7.py"]
    assert first.out.count("TL001") == second.out.count("TL001") + 1
    assert check(*OWN, "--no-cache").out == second.out


def test_many_processes_find_what_one_finds(check: Check, files: Files) -> None:
    files({f"{number:03}.py": WRONG * (number % 3) for number in range(90)})
    assert check(*OWN, "--jobs", "1", "--no-cache") == check(*OWN, "--jobs", "4", "--no-cache")


def test_a_reader_that_has_seen_enough_is_no_error(files: Files) -> None:
    files({"x.py": WRONG * 3000})
    command = f"'{sys.executable}' -m turnlane.cli.main check --select TL001 --no-cache x.py | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("x.py:1:25: TL001")
    assert done.stderr == ""


def test_help_and_version(check: Check) -> None:
    said = check("--help")
    assert said.out.startswith("Usage: turnlane check [OPTIONS] [PATHS]...\n")
    for action in parser()._actions:
        assert all(name in said.out for name in action.option_strings)
        assert action.help
    assert check("--version").out == f"turnlane {__version__}\n"


def test_a_failure_inside_costs_a_note(check: Check, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    from turnlane.checker.languages import language

    files({"x.py": WRONG})
    monkeypatch.setattr(type(language("python")), "check", lambda *_: {}["gone"])
    said = check(*OWN)
    assert said.status == 1
    assert said.errors == (
        "note: python was not checked: turnlane failed with KeyError: 'gone'; please report it\n"
    )


HEAVY = {
    *("pydantic", "cyclopts", "rich", "yaml", "structlog", "asyncio", "dataclasses", "inspect", "tomllib"),
    *("tree_sitter", "multiprocessing", "starlette", "httpx2", "autogen_core", "pygls", "unittest", "shutil"),
}


def test_one_file_imports_nothing_heavy(here: Path, files: Files) -> None:
    files({"x.py": WRONG})
    script = (
        "import sys; from turnlane.cli.main import main; status = main(['check', 'x.py', '--no-cache']); "
        "sys.stderr.write(' '.join(sys.modules)); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "TL001" in done.stdout
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert HEAVY & loaded == set()
    ours = {name for name in done.stderr.split() if name.startswith("turnlane.")}
    assert {name.split(".")[1] for name in ours} <= {"checker", "cli", "hazards"}
    assert not any(name.startswith(("turnlane.checker.typescript", "turnlane.checker.rules.typ")) for name in ours)


def test_a_rule_that_fails_is_no_clean_check(check: Check, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    from turnlane.checker.rules.nested_loop import NestedLoop

    def fail(rule: object, project: object) -> object:
        raise RecursionError("too deep")

    monkeypatch.setattr(NestedLoop, "check", fail)
    files({"x.py": CLEAN})
    said = check("--quiet")
    assert said.status == 2
    assert said.errors == (
        "note: rule TL101 stopped inside of turnlane with RecursionError: too deep; please report it\n"
    )
    assert check("--ignore", "TL101").status == 0
