"""Progress: a table on a terminal, lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from turnlane.probe.conditions import Conditions
from turnlane.probe.drive import Talk
from turnlane.probe.live import LiveTable, PlainLines, progress
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.report import Level

LEVEL = Level(concurrency=5, requests=10, succeeded=7, leaks=3, lost=1, p50=0.25, p99=0.5)
OUTCOME = LevelOutcome(
    conditions=Conditions(concurrency=5),
    level=LEVEL,
    requests=(),
    leaks=(),
    hazards=(),
    calls=(),
    recorded={},
    owners={},
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_the_table_of_levels_and_what_runs() -> None:
    out = Terminal()
    table = LiveTable(Console(file=out, force_terminal=True, width=100))
    with table:
        table.step("5 users at once")
        table.talk(Talk(Conditions(concurrency=5, turns=2)))
        table.level(OUTCOME)
        table.step("fresh agents")
    shown = out.getvalue()
    assert "fresh agents" in shown
    assert "250 ms" in shown


@pytest.mark.parametrize("width", [60, 80])
def test_the_bar_stays_on_its_line(width: int) -> None:
    out = Terminal()
    with LiveTable(Console(file=out, force_terminal=True, width=width)) as table:
        table.step("20 users at once")
        talk = Talk(Conditions(concurrency=20, turns=2, rounds=3))
        table.talk(talk)
    (line,) = [line for line in out.getvalue().splitlines() if "20 users at once" in line]
    assert "0 of 120" in line


def test_a_pipe_gets_lines() -> None:
    out = io.StringIO()
    watcher = progress(out)
    assert isinstance(watcher, PlainLines)
    watcher.step("5 users at once")
    watcher.level(OUTCOME)
    first, second = out.getvalue().splitlines()
    assert first.endswith("5 users at once")
    assert second.endswith("7 of 10 answered, 3 leaked, 1 lost messages, p50 250 ms")


def test_which_of_both_is_asked_of_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(progress(Terminal()), LiveTable)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress(Terminal()), PlainLines)  # it cannot draw over what it has shown
