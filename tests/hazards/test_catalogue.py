"""The catalogue as other rooms use it: found by code or name, cheap to import, complete."""

from __future__ import annotations

import subprocess
import sys

import pytest

from turnlane import hazards

CODES = (
    "TL001",
    *(f"TL{number}" for number in range(101, 114)),
    *(f"TL{number}" for number in range(201, 209)),
    *(f"TL{number}" for number in range(301, 308)),
    *(f"TL{number}" for number in range(401, 406)),
    *(f"TL{number}" for number in range(501, 506)),
    *(f"TL{number}" for number in range(601, 606)),
)
SILENT = {
    *("TL102", "TL105", "TL106", "TL108", "TL110"),
    *(f"TL{number}" for number in range(201, 204)),
    *("TL205", "TL206", "TL207", "TL208", "TL301", "TL302", "TL304", "TL307"),
    *("TL401", "TL402", "TL403", "TL404", "TL405", "TL501", "TL503", "TL504"),
}
"""Marked **S** in the project's table of hazards. A page may be silent beyond it, never the reverse."""


def test_every_code_has_an_entry_in_order() -> None:
    assert hazards.codes() == CODES
    assert tuple(hazard.code for hazard in hazards.all()) == CODES


def test_names_are_unique() -> None:
    assert len({hazard.name for hazard in hazards.all()}) == len(CODES)


def test_the_silent_ones_are_marked() -> None:
    assert {hazard.code for hazard in hazards.all() if hazard.silent} >= SILENT


@pytest.mark.parametrize("asked", ["TL201", "tl201", " TL201 ", "shared-agent", "Shared-Agent", "shared_agent"])
def test_found_by_code_or_name(asked: str) -> None:
    hazard = hazards.get(asked)
    assert (hazard.code, hazard.name, str(hazard)) == ("TL201", "shared-agent", "TL201 shared-agent")
    assert hazard.family == "Who owns the conversation"
    assert hazard.url == "/hazards/TL201" == hazards.url_of("TL201")


@pytest.mark.parametrize(
    ("asked", "suggested"),
    [("TL210", "TL201"), ("shard-agent", "TL201 (shared-agent)"), ("deadlock", "TL110"), ("TL1O1", "TL101")],
)
def test_an_unknown_one_suggests_near_ones(asked: str, suggested: str) -> None:
    with pytest.raises(hazards.UnknownHazard, match="Did you mean") as error:
        hazards.get(asked)
    assert any(near.startswith(suggested[:3]) for near in error.value.near)
    assert asked in str(error.value)


@pytest.mark.parametrize("asked", ["", "qqqq", "TL999", "../../etc/passwd", "TL201-shared-agent.md"])
def test_nonsense_is_refused(asked: str) -> None:
    with pytest.raises(hazards.UnknownHazard):
        hazards.get(asked)


def test_a_page_is_read_once() -> None:
    assert hazards.get("TL201") is hazards.get("shared-agent")


def test_a_page_starts_with_the_right_form() -> None:
    title, _, summary, _, right, _, silent, *_ = hazards.get("TL201").page().splitlines()
    assert title == "# TL201 shared-agent"
    assert summary == hazards.get("TL201").summary
    assert right == f"**Do this:** {hazards.get('TL201').help}"
    assert silent.startswith("**Silent:**")


def test_what_was_measured_is_at_hand() -> None:
    assert hazards.get("TL201").seen.startswith("Measured: 20 users at once")
    assert hazards.get("TL603").seen == ""


IMPORTS = """
import sys, turnlane
before = set(sys.modules)
import turnlane.hazards
print(*sorted(set(sys.modules) - before), sep="\\n")
"""


def test_importing_it_is_cheap() -> None:
    """No page is read, nothing heavy is imported. Counted in modules: milliseconds depend on the machine."""
    listed = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
    imported = set(listed.stdout.split())
    assert {name for name in imported if name.startswith("turnlane")} == {
        "turnlane.hazards",
        "turnlane.hazards.catalogue",
    }
    assert not imported & {"dataclasses", "typing", "re", "pathlib", "inspect", "difflib", "importlib.resources"}
