"""What a failing schedule prints repeats it: the same command, the same faults, the same users."""

import shlex
from pathlib import Path

import pytest
from tests.faults.kinds import Kind
from tests.faults.long import parser, schedule_of
from tests.faults.schedule import Schedule, run_schedule
from tests.faults.systems import Embedded

SCHEDULE = Schedule(
    "cluster", seed=7, faults=3, turns=50, users=4, limit=3600, each=5, kinds=("kill_worker",), ledger=False
)


def test_the_command_that_is_printed_is_the_schedule() -> None:
    words = shlex.split(SCHEDULE.command)
    assert words[:3] == ["python", "-m", "tests.faults.long"]
    assert schedule_of(parser().parse_args(words[3:])) == SCHEDULE


def test_the_faults_of_a_lane_come_from_the_seed() -> None:
    async def nothing(chance: object) -> float:
        return 0.0

    kinds = [Kind(name, lane, nothing) for name, lane in (("a", "one"), ("b", "one"), ("c", "two"))]
    first, again = SCHEDULE.lanes(kinds), SCHEDULE.lanes(kinds)
    assert first == again
    assert sorted(kind.name for kind in first["one"]) == ["a"] * 3 + ["b"] * 3
    assert first["two"] == [kinds[2]] * 3
    assert SCHEDULE.chance("user 1").random() == SCHEDULE.chance("user 1").random()
    assert SCHEDULE.chance("user 1").random() != SCHEDULE.chance("user 2").random()


@pytest.mark.anyio
@pytest.mark.faults
async def test_a_schedule_that_breaks_off_says_how_to_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: Embedded) -> None:
        raise RuntimeError("no store today")

    monkeypatch.setattr(Embedded, "start", fail)
    schedule = Schedule("embedded", seed=7, faults=1, turns=1, users=1, limit=60)
    with pytest.raises(
        AssertionError, match=r"to repeat: python -m tests\.faults\.long embedded --seed 7"
    ) as told:
        await run_schedule(schedule, tmp_path)
    assert "no store today" in str(told.value.__cause__)
