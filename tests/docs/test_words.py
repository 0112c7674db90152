"""Commands, flags, variables, metrics, events, paths and links in the docs exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from cyclopts import CycloptsError

from turnlane.cli.main import command_line
from turnlane.runtime.settings import OTHER_VARIABLES, ServeSettings, WorkerSettings, variable_of
from turnlane.telemetry.events import EVENTS
from turnlane.telemetry.prometheus import METRICS
from turnlane.testing.guarded_tests import ALLOW
from turnlane.testing.plugin import pytest_addoption

from .pages import ROOT, SHELL, blocks, commands, hand_written, inline_code, name_of, pages, turnlane_commands
from .pages import without_code as prose_of

DEPLOYMENT = [path for path in sorted((ROOT / "deploy").iterdir()) if path.is_file()]
MACHINE = re.compile(r"/(?:work|home|root|Users)/|/tmp/[a-z]")

FOREIGN_FLAGS = {"--preload", "--workers", "--stop-timeout", "--env", "--kills", "--turns", "--seed", "--only"}
"""Of gunicorn, uvicorn, docker, and of our own fault suite and benchmarks."""

IN_ENVIRONMENT = {"TURNLANE_API_KEY", "TURNLANE_CACHE_DIR"}
"""Variables of verbs other than serve."""

AT_PYTEST = {"turnlane_probe", ALLOW}
"""Names of the pytest plugin that look like metrics: a fixture and a marker."""

AT_LEAST = 30
"""The docs have more commands; with fewer, the search is broken and the test would pass for nothing."""


def test_there_are_commands() -> None:
    assert len(turnlane_commands()) >= AT_LEAST


@pytest.mark.parametrize(
    ("where", "arguments"),
    turnlane_commands(),
    ids=[f"{where} {' '.join(words)}"[:90] for where, words in turnlane_commands()],
)
def test_a_command_can_be_typed(where: str, arguments: list[str]) -> None:
    try:
        command_line().parse_args(arguments)
    except CycloptsError as error:
        pytest.fail(f"{where}: turnlane {' '.join(arguments)}: {error}")


def test_the_unit_and_the_image_start_a_command_that_exists() -> None:
    unit = (ROOT / "deploy/turnlane.service").read_text()
    [start] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    command_line().parse_args(start.split()[1:])
    image = (ROOT / "deploy/Dockerfile").read_text()
    assert 'ENTRYPOINT ["turnlane"]\nCMD ["serve"]' in image


def test_the_health_check_of_the_image_is_a_program() -> None:
    image = (ROOT / "deploy/Dockerfile").read_text()
    [command] = re.findall(r"HEALTHCHECK .*?CMD (\[.*?\])$", image, re.DOTALL | re.MULTILINE)
    python, option, program = json.loads(command)
    assert (python, option) == ("python", "-c")
    compile(program, "HEALTHCHECK", "exec")


@pytest.mark.parametrize("page", hand_written(), ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    typed = [words for block in blocks(page) if block.language in SHELL for words in commands(block.text)]
    typed += [code.split() for code in inline_code(page) if code.startswith("make ")]
    for words in typed:
        if words[0] == "make":
            for target in words[1:]:
                assert "=" in target or re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / unquote(place)).resolve() if place else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link}: there is no such heading"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ +(.+?) *$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", hand_written(), ids=name_of)
def test_paths_of_the_repository_exist(page: Path) -> None:
    for code in inline_code(page):
        if re.fullmatch(r"(?:examples|deploy|docs|src|tests|benchmarks)/[\w./*-]+", code):
            assert list(ROOT.glob(code.rstrip("/"))), code


@pytest.mark.parametrize("page", [*hand_written(), *DEPLOYMENT], ids=name_of)
def test_variables_exist(page: Path) -> None:
    fields = {**ServeSettings.model_fields, **WorkerSettings.model_fields}
    known = {variable_of(field) for field in fields} | set(OTHER_VARIABLES) | IN_ENVIRONMENT
    assert set(re.findall(r"\bTURNLANE_[A-Z_]*[A-Z]", page.read_text())) <= known


@pytest.mark.parametrize("page", hand_written(), ids=name_of)
def test_flags_exist(page: Path) -> None:
    reference = (ROOT / "docs/reference/cli.md").read_text()
    for code in inline_code(page):
        for flag in re.findall(r"(?:^|\s)(--[a-z][a-z-]+)", code):
            assert flag in FOREIGN_FLAGS | flags_of_pytest() or flag in reference, flag


def flags_of_pytest() -> set[str]:
    """Those that our plugin adds."""
    parser = pytest.Parser(_ispytest=True)
    pytest_addoption(parser)
    return {flag for group in parser._groups for option in group.options for flag in option.names()}


@pytest.mark.parametrize("page", hand_written(), ids=name_of)
def test_metrics_exist(page: Path) -> None:
    known = {metric.shown_name for metric in METRICS}
    for name in set(re.findall(r"\bturnlane_[a-z_]+", page.read_text())) - AT_PYTEST:
        assert re.sub(r"_(?:bucket|sum|count)$", "", name) in known, name


@pytest.mark.parametrize("page", hand_written(), ids=name_of)
def test_events_exist(page: Path) -> None:
    family = "|".join(sorted({name.partition(".")[0] for name in EVENTS}))
    lines = [line for block in blocks(page) if block.language == "text" for line in block.text.splitlines()]
    # At the start of a log line, readable or JSON.
    named = [match[1] for line in lines if (match := re.match(rf"((?:{family})\.[a-z]+)\s", line))]
    named += [name for line in lines for name in re.findall(r'"event": "([^"]+)"', line)]
    assert set(named) <= set(EVENTS)


@pytest.mark.parametrize("page", [*pages(), *DEPLOYMENT, *sorted((ROOT / "examples").glob("*.*"))], ids=name_of)
def test_no_path_of_one_machine(page: Path) -> None:
    assert MACHINE.search(page.read_text()) is None
