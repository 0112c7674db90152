"""The quick form of the fault suite: real systems broken in every way under load, judged by what users saw."""

from pathlib import Path

import pytest
from tests.faults.kinds import PROVIDER
from tests.faults.outcome import Outcome
from tests.faults.schedule import Schedule, run_schedule

from turnlane.testing.postgres_server import NEWEST, PostgresMissing, programs

pytestmark = [pytest.mark.faults, pytest.mark.anyio]


async def test_one_server_keeps_its_promises_through_every_fault(tmp_path: Path) -> None:
    schedule = Schedule("embedded", seed=5, faults=1, turns=120, users=8, each=6, limit=120)
    outcome = await run_schedule(schedule, tmp_path)
    check(outcome, schedule, tmp_path)
    assert outcome.struck.keys() >= {"kill_server", "freeze_server", "restart_server", "clock_jump", *PROVIDER}


async def test_a_cluster_keeps_its_promises_through_every_fault(tmp_path: Path) -> None:
    try:
        programs(NEWEST)
    except PostgresMissing as missing:
        pytest.skip(str(missing))
    schedule = Schedule("cluster", seed=5, faults=1, turns=120, users=8, each=6, limit=120)
    outcome = await run_schedule(schedule, tmp_path)
    check(outcome, schedule, tmp_path)
    processes = {f"{what}_{where}" for what in ("kill", "freeze", "roll") for where in ("worker", "front")}
    postgres = {"kill_backends", "kill_postgres", "restart_postgres", "freeze_postgres"}
    assert outcome.struck.keys() >= {*processes, *postgres, "store_silent", *PROVIDER}


def check(outcome: Outcome, schedule: Schedule, folder: Path) -> None:
    """All is well, and the schedule did what it is for: streams were read, tools acted, users thought again."""
    assert outcome.ok, f"{outcome}\n{folder}"
    figures = outcome.figures()
    assert figures["deaths"] > 0
    assert figures["turns"] >= schedule.turns
    assert figures["streams"] > 0
    assert figures["acts"] > 0
    assert figures["interrupted"] + figures["cancelled"] + figures["joined"] > 0
