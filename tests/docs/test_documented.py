"""What there is, is documented: settings, verbs, events, metrics, hazards, pages."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from turnlane import hazards
from turnlane.cli.main import VERBS
from turnlane.cli.turns import verbs as turns_verbs
from turnlane.runtime.app import AgentSettings
from turnlane.runtime.conversation import EVENT_KINDS
from turnlane.runtime.settings import OTHER_VARIABLES, ServeSettings, WorkerSettings, flag_of, variable_of
from turnlane.telemetry.events import EVENTS
from turnlane.telemetry.prometheus import METRICS

from .pages import README, ROOT, hand_written, name_of, pages

REFERENCE = ROOT / "docs/reference"
FIRST_SCREEN = 12
"""Lines of the README that a reader sees without scrolling, whatever his screen."""


def read(page: str) -> str:
    return (REFERENCE / page).read_text(encoding="utf-8")


def test_every_setting() -> None:
    page = read("settings.md")
    fields = {**ServeSettings.model_fields, **WorkerSettings.model_fields}
    names = [name for field in fields for name in (flag_of(field), variable_of(field))]
    names += [*OTHER_VARIABLES, *AgentSettings.model_fields]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_how_to_names_every_setting_of_an_agent() -> None:
    page = (ROOT / "docs/how-to/write-an-app.md").read_text()
    assert [name for name in AgentSettings.model_fields if f"`{name}`" not in page] == []


def test_every_verb() -> None:
    page = read("cli.md")
    shown = [*VERBS, *(f"turns {name}" for name in turns_verbs if not name.startswith("-"))]
    assert [verb for verb in shown if f"turnlane {verb}\n" not in page] == []


def test_every_event() -> None:
    page = read("events.md") + read("http.md")
    assert [name for name in [*EVENTS, *EVENT_KINDS] if f"`{name}`" not in page] == []


def test_every_metric() -> None:
    page = read("metrics.md")
    assert [metric.shown_name for metric in METRICS if f"`{metric.shown_name}`" not in page] == []


def test_every_hazard_has_a_page_and_stands_in_the_index() -> None:
    index = (ROOT / "docs/hazards/index.md").read_text()
    for hazard in hazards.all():
        assert (ROOT / f"docs/hazards/{hazard.code}.md").is_file()
        assert f"[{hazard.code}]" in index


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs/index.md"
    linked = {
        (index.parent / link.partition("#")[0]).resolve()
        for link in re.findall(r"\]\(([^)]+)\)", index.read_text())
    }
    listed = [page for page in pages() if page.is_relative_to(ROOT / "docs") and page != index]
    # The pages of single hazards are listed by an index of their own.
    listed = [page for page in listed if not re.fullmatch(r"TL\d{3}\.md", page.name)]
    assert [name_of(page) for page in listed if page.resolve() not in linked] == []


def test_the_first_screen_of_the_readme_has_the_two_commands() -> None:
    first = "\n".join(README.read_text().splitlines()[:FIRST_SCREEN])
    assert "\nmake serve " in first
    assert "\nmake test " in first


@pytest.mark.parametrize("page", hand_written(), ids=name_of)
def test_lines_can_be_read_in_a_terminal(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    long = [line for line in prose.splitlines() if len(line) > 121 and not line.startswith("|")]
    assert long == []


# --- generated pages ---


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current() -> None:
    command = [sys.executable, str(ROOT / "docs/generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


def test_a_stale_page_is_named(generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "GENERATORS", {"turnlane.hazards": "docs/hazards"})
    generate.write(tmp_path)
    assert generate.first_stale(tmp_path) is None
    (tmp_path / "docs/hazards/TL999.md").write_text("of a hazard that is gone")
    assert generate.first_stale(tmp_path) == "docs/hazards/TL999.md"
    (tmp_path / "docs/hazards/TL201.md").write_text("old")
    assert generate.first_stale(tmp_path) == "docs/hazards/TL201.md"
    generate.write(tmp_path)
    assert generate.first_stale(tmp_path) is None
