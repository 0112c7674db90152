"""The planted programs: that there are enough of them, and that a few of them are told right, right now.

`make planted` runs all of them three times.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from turnlane import hazards

from .plant import PROGRAMS, SCRIPTS, TWINS, Plant, plants, read
from .run import Outcome, run_plant, summary

ALL = list(plants())

SHOWN_BY_A_RUN = (
    *("TL101", "TL102", "TL103", "TL104", "TL105", "TL106", "TL107", "TL108", "TL109", "TL110", "TL112", "TL113"),
    *("TL201", "TL202", "TL203", "TL204", "TL205", "TL206", "TL207"),
    *("TL301", "TL302", "TL303", "TL304", "TL305", "TL306", "TL307", "TL605"),
    *("TL401", "TL402", "TL403", "TL404", "TL405"),
    *("TL501", "TL502", "TL503", "TL504", "TL505"),
)

FEWER = {"TL107": 1, "TL109": 2, "TL205": 2}
"""What so many frameworks can have; docs/explanation/guard-and-probe.md says why the others cannot."""

QUICK = (
    "fastapi/TL201_support_agent",
    "fastapi/TL106_forgotten_load_state",
    "fastapi/TL402_asks_itself",
    "flask/TL307_cut_by_max_tokens",
    "flask/TL202_messages_list",
    "flask/TL103_loop_of_the_request_thread",
)


@pytest.mark.parametrize("code", SHOWN_BY_A_RUN)
def test_every_hazard_that_a_run_can_show_is_planted(code: str) -> None:
    frameworks = {plant.framework for plant in ALL if code in plant.wanted}
    assert len(frameworks) >= FEWER.get(code, 3), f"{code} is planted for {sorted(frameworks)} only"


def test_three_frameworks_and_many_hosts_are_planted() -> None:
    assert {"agentchat", "classic", "ag2", "agent_framework", "openai"} <= {plant.framework for plant in ALL}
    assert {"fastapi", "flask", "gunicorn", "streamlit", "celery", "node"} <= {plant.host for plant in ALL}


@pytest.mark.parametrize("plant", ALL, ids=lambda plant: plant.name)
def test_a_plant_is_whole(plant: Plant) -> None:
    assert plant.true <= set(hazards.codes())
    assert plant.folder.name.split("_")[0] in plant.wanted
    assert plant.script.exists()
    wrong, right = (plant.program(twin).read_text() for twin in TWINS)
    assert wrong != right or plant.start_of_right
    for text in (wrong, right):
        assert not any(code in text for code in hazards.codes()), "a program must not name its hazard"
        if plant.program("wrong").suffix == ".py":
            ast.parse(text)


def test_a_key_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plant.toml").write_text(
        'code = "TL201"\nhost = "script"\nframework = "openai"\nstrat = "python"\n'
    )
    with pytest.raises(ValueError, match="strat"):
        read(tmp_path)


def test_only_the_planted_code_counts_and_any_word_about_a_right_program_is_false() -> None:
    plant = Plant(
        folder=PROGRAMS / "x" / "TL201_x",
        code="TL201/TL203",
        also=("TL204",),
        host="x",
        framework="x",
        start="x",
        script=SCRIPTS / "plain.yaml",
    )

    def outcome(twin: str, *codes: str) -> Outcome:
        return Outcome(plant, twin, "guard", frozenset(codes))

    assert outcome("wrong", "TL203", "TL204").ok
    assert not outcome("wrong", "TL204").ok
    assert outcome("wrong", "TL201", "TL106").others == {"TL106"}
    assert outcome("right").ok
    assert not outcome("right", "TL204").ok
    runs = [outcome("wrong", "TL203"), outcome("wrong", "TL204"), outcome("right"), outcome("right", "TL204")]
    assert summary(runs).startswith("1 of 2 planted named (50.0 %)")
    assert "1 of 2 right programs blamed" in summary(runs)


@pytest.mark.anyio
@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("twin", TWINS)
async def test_the_guard_names_the_mistake_and_lets_the_right_form_alone(name: str, twin: str) -> None:
    outcome = await run_plant(read(PROGRAMS / name), twin, "guard")
    assert outcome.ok, f"{sorted(outcome.codes)}\n{outcome.trouble}\n{outcome.text[-3000:]}"
