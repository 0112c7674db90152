"""How loaded a process is."""

from __future__ import annotations

import asyncio
import os

import pytest

from turnlane.guard import gauges

from .conftest import Watched


def test_a_gauge_tells_what_the_process_has(watched: Watched) -> None:
    read = gauges.Gauges.__new__(gauges.Gauges)
    read._asked = []

    async def main() -> tuple[dict[str, object], dict[str, object]]:
        waiting = [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]
        first = await asyncio.to_thread(read.read)
        ends: list[int] = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]
        second = await asyncio.to_thread(read.read)
        for end in ends:
            os.close(end)
        for task in waiting:
            task.cancel()
        return first, second

    first, second = asyncio.run(main())
    assert first["kind"] == "gauge"
    assert first["tasks"] == 4
    assert second["fds"] == int(str(first["fds"])) + 5
    assert set(first) == {"kind", "lag", "fds", "tasks", "threads", "clients"}


@pytest.mark.parametrize("answered", [True, False])
def test_lag_is_how_late_the_loop_comes_round(answered: bool) -> None:
    lag = gauges.Lag()
    if answered:
        lag.answer()
        known = lag.seconds
        assert lag.seconds == known
    else:
        before = lag.seconds
        assert lag.seconds > before
