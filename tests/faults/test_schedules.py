"""The quick form of the fault suite: real systems broken in every way under load, judged by what users saw."""

from pathlib import Path

import pytest
from tests.faults.kinds import PROVIDER
from tests.faults.schedule import Schedule, run_schedule

pytestmark = [pytest.mark.faults, pytest.mark.anyio]


async def test_one_server_keeps_its_promises_through_every_fault(tmp_path: Path) -> None:
    schedule = Schedule("embedded", seed=5, faults=1, turns=150, users=10, each=6, limit=120)
    outcome = await run_schedule(schedule, tmp_path)
    assert outcome.ok, f"{outcome}\n{tmp_path}"
    # The schedule did what it is for: turns were cut off and ran again, streams were read, tools acted.
    figures = outcome.figures()
    assert outcome.struck.keys() >= {"kill_server", "freeze_server", "restart_server", "clock_jump", *PROVIDER}
    assert figures["deaths"] == 1
    assert figures["turns"] >= schedule.turns
    for what in ("re-runs", "streams", "acts"):
        assert figures[what] > 0, f"{what}\n{outcome}"
