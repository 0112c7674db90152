"""The command line as a whole: verbs, errors as one sentence, and a quick start."""

from __future__ import annotations

import io
import subprocess
import sys
from importlib import import_module

import pytest

from turnlane import __version__
from turnlane.cli.main import ENVIRONMENT_PREFIX, VERBS, main
from turnlane.runtime import settings


def run(*arguments: str) -> tuple[int, str]:
    errors = io.StringIO()
    return main(arguments, errors=errors), errors.getvalue()


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == (0, "")
    said = capsys.readouterr().out
    for verb, (_, summary) in VERBS.items():
        assert verb in said
        assert summary.split(".")[0] in " ".join(said.replace("│", " ").split())


@pytest.mark.parametrize("verb", VERBS)
def test_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(verb, "--help") == (0, "")
    assert f"Usage: turnlane {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("place", [place for place, _ in VERBS.values()])
def test_verb_is_where_the_table_says(place: str) -> None:
    module, _, name = place.partition(":")
    assert callable(getattr(import_module(module), name))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == (0, "")
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["srve"], 'Unknown command "srve". Did you mean "serve"?'),
        (["serve", "x.py", "--prot", "1"], "Unknown option: --prot. Did you mean --port?"),
        (["serve", "x.py", "--port", "70000"], "--port 70000: Input should be less than or equal to 65535"),
        (["serve", "x.py", "--log-level", "loud"], "--log-level loud: Input should be 'debug', 'info'"),
        (["practice", "--port", "99999"], "--port"),
        (["turns", "list", "--status", "gone"], 'Invalid value "gone" for --status'),
        (["turns", "show"], "TURN"),
        (["serve"], "nothing to serve"),
        (["serve", "gone.py", "--port", "0"], "there is no file gone.py"),
        (["chat"], "give a file to talk to"),
        (["chat", "http://127.0.0.1:1"], "nothing answers at http://127.0.0.1:1"),
        (["explain", "TL999"], "No hazard is called 'TL999'"),
        (["explain", "shared-agnet"], "Did you mean TL201 (shared-agent)"),
        (["turns", "--url", "127.0.0.1:8080"], "write it as http://127.0.0.1:8080"),
        (["turns", "--data", "nowhere"], "nowhere is no data folder"),
        (["turns", "--data", "x", "--url", "http://x"], "not both"),
    ],
)
def test_mistake_is_one_sentence(arguments: list[str], said: str) -> None:
    status, errors = run(*arguments)
    assert errors.startswith("turnlane: ")
    assert said in errors
    assert errors.count("\n") == 1
    assert status == (1 if "nothing answers" in said else 2)


def test_prefix_of_variables_is_that_of_the_settings() -> None:
    assert ENVIRONMENT_PREFIX == settings.ENVIRONMENT_PREFIX


@pytest.mark.parametrize("arguments", [["--help"], ["explain", "TL201"], ["--version"]])
def test_quick_verbs_import_nothing_heavy(arguments: list[str]) -> None:
    heavy = {"pydantic", "structlog", "uvicorn", "starlette", "prometheus_client", "httpx2", "openai"}
    script = (
        "import sys; from turnlane.cli.main import main; status = main(sys.argv[1:]); "
        "sys.stderr.write(' '.join(sys.modules)); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stderr.split())


def test_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"'{sys.executable}' -m turnlane.cli.main explain | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "# Hazards\n"
    assert done.stderr == ""
