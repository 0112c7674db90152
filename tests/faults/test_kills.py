"""The quick form of the fault suite: a real server killed under load, judged by what its clients saw."""

from pathlib import Path

import pytest
from tests.faults.schedule import Schedule, run_schedule

SEED = 5
"""One of the five kills is followed by a sixth, while the server starts."""

pytestmark = pytest.mark.faults


@pytest.mark.anyio
async def test_nothing_is_lost_doubled_mixed_or_stale_under_kills(tmp_path: Path) -> None:
    schedule = Schedule(seed=SEED, kills=5, turns=180, users=20, limit=150)
    outcome = await run_schedule(schedule, tmp_path)
    assert outcome.ok, f"{outcome}\n{tmp_path}"
    # The schedule did what it is for: turns were cut off and ran again, streams were read, tools acted.
    figures = outcome.figures()
    assert figures["deaths"] == schedule.kills + 1
    assert figures["completed"] == schedule.turns
    assert figures["re-runs"] > 0
    assert figures["streams"] > 0
    assert figures["acts"] > 0
    assert figures["listings"] == schedule.users
