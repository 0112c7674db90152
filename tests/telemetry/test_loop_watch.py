"""A blocked loop is reported while it is blocked, with the culprit's name, and once more at its end."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from turnlane.telemetry import loop_watch
from turnlane.telemetry.events import add_sink
from turnlane.telemetry.loop_watch import LoopWatch, shown_stack


class Reports:
    """Collects events and lets threads and tasks wait for them."""

    def __init__(self) -> None:
        self.blocked: list[Mapping[str, Any]] = []
        self.lags: list[float] = []
        self.told = threading.Event()
        self.ended = asyncio.Event()
        self.sampled = asyncio.Event()

    def __call__(self, name: str, fields: Mapping[str, Any]) -> None:
        if name == "loop.lag":
            self.lags.append(fields["seconds"])
            self.sampled.set()
        elif name == "loop.blocked":
            self.blocked.append(fields)
            if fields["ended"]:
                self.ended.set()  # emitted in the loop's thread
            else:
                self.told.set()


@pytest.fixture
def reports() -> Iterator[Reports]:
    collector = Reports()
    remove = add_sink(collector)
    yield collector
    remove()


def the_culprit(reports: Reports) -> None:
    assert reports.told.wait(timeout=30), "nobody noticed the block while it lasted"


def test_block_is_reported_while_it_lasts_and_when_it_ends(reports: Reports) -> None:
    async def handler() -> None:
        the_culprit(reports)

    async def main() -> None:
        watch = LoopWatch(threshold=0.05)
        watch.start()
        await handler()
        await asyncio.wait_for(reports.ended.wait(), 30)
        watch.stop()

    asyncio.run(main())
    during, after = reports.blocked
    assert during["hazard"] == after["hazard"] == "TL108"
    assert during["seconds"] >= 0.05
    assert after["seconds"] >= during["seconds"]
    assert "in the_culprit" in during["stack"]
    assert "in handler" in during["stack"]
    assert "/asyncio/" not in during["stack"]
    assert "in main" in during["stack"].splitlines()[0]
    assert "loop_watch.py" not in during["stack"].replace("test_loop_watch.py", "")


def test_one_report_per_block_however_long_it_lasts(reports: Reports) -> None:
    def still_blocking() -> None:
        the_culprit(reports)
        watch._look(time.monotonic() + 10)
        watch._look(time.monotonic() + 20)

    async def main() -> None:
        watch.start()
        still_blocking()
        await asyncio.wait_for(reports.ended.wait(), 30)
        watch.stop()

    watch = LoopWatch(threshold=0.05)
    asyncio.run(main())
    assert [report["ended"] for report in reports.blocked] == [False, True]


def test_block_that_nobody_could_see_is_told_at_its_end_without_a_stack(reports: Reports) -> None:
    now = [100.0]

    async def main() -> None:
        watch = LoopWatch(clock=lambda: now[0])
        watch.start()
        # What happens when native code holds the GIL: no thread of ours ran, and the clock went on.
        watch._stopped.set()
        now[0] += 7.0
        await asyncio.wait_for(reports.ended.wait(), 30)
        watch.stop()

    asyncio.run(main())
    (report,) = reports.blocked
    assert report["note"] == loop_watch.NO_STACK
    assert report["seconds"] == pytest.approx(7.0 - loop_watch.BEAT)


def test_lag_is_sampled(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_watch, "SAMPLE", 0.0)

    async def main() -> None:
        watch = LoopWatch(threshold=1e6)
        watch.start()
        await asyncio.wait_for(reports.sampled.wait(), 30)
        watch.stop()

    asyncio.run(main())
    assert reports.lags[0] >= 0
    assert not reports.blocked


def test_starting_and_stopping_twice_is_the_same_as_once(reports: Reports) -> None:
    async def main() -> None:
        watch = LoopWatch()
        watch.stop()
        watch.start()
        thread = watch._thread
        watch.start()
        assert watch._thread is thread
        watch.stop()
        watch.stop()
        assert thread is not None
        await asyncio.to_thread(thread.join, 30)
        assert not thread.is_alive()

    asyncio.run(main())
    assert not reports.blocked


def summary(*names: tuple[str, str]) -> traceback.StackSummary:
    return traceback.StackSummary.from_list([(file, 1, name, "code()") for file, name in names])


def test_frames_of_ours_between_the_users_are_left_out() -> None:
    stack = summary(
        (f"{loop_watch._STDLIB}/asyncio/runners.py", "run"),
        (f"{loop_watch._OURS}worker/turn.py", "run_attempt"),
        ("/srv/app.py", "agent"),
        (f"{loop_watch._OURS}runtime/tools.py", "call"),
        ("/srv/tools.py", "look_up"),
    )
    shown = shown_stack(stack)
    assert "look_up" in shown
    assert "in agent" in shown
    assert "run_attempt" not in shown
    assert "in call" not in shown


def test_our_own_block_is_shown_as_ours() -> None:
    stack = summary(
        ("/srv/start.py", "start"),
        (f"{loop_watch._STDLIB}/asyncio/runners.py", "run"),
        (f"{loop_watch._OURS}worker/turn.py", "settle"),
        (f"{loop_watch._OURS}runtime/engine.py", "commit"),
    )
    shown = shown_stack(stack)
    assert "in settle" in shown
    assert "in commit" in shown
    assert "in start" not in shown


def test_stack_of_the_loop_alone_is_shown() -> None:
    assert "in run" in shown_stack(summary((f"{loop_watch._STDLIB}/asyncio/runners.py", "run")))
