"""Progress while the probe runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from turnlane.probe.drive import Talk
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.report import Level
from turnlane.probe.run import Watcher
from turnlane.probe.text import levels_table, seconds

_WIDTH: Final = 30
"""Columns of the bar, where there is room."""
_BESIDE: Final = 52
"""Columns of what usually stands beside it: the time, the step, how many of how many."""


def progress(out: TextIO) -> Watcher:
    """What shows the progress on `out`. A `LiveTable` must be entered as a context manager."""
    console = Console(file=out)
    return LiveTable(console) if out.isatty() and not console.is_dumb_terminal else PlainLines(out)


class PlainLines(Watcher):
    """One line per step: for logs and pipes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        self._out.write(f"{time.monotonic() - self._began:6.1f} s  {text}\n")
        self._out.flush()

    def level(self, outcome: LevelOutcome) -> None:
        self.step(f"  {_summary(outcome.level)}")


class LiveTable(Watcher):
    """The table of levels that grows, the step that runs and a bar of it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._levels: list[Level] = []
        self._step = ""
        self._talk: Talk | None = None
        # Last: it asks for what to show when it is made.
        self._live = Live(console=console, refresh_per_second=8, transient=True, get_renderable=self._shown)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def step(self, text: str) -> None:
        self._step, self._talk = text, None

    def talk(self, talk: Talk) -> None:
        self._talk = talk

    def level(self, outcome: LevelOutcome) -> None:
        self._levels.append(outcome.level)

    def _shown(self) -> RenderableType:
        parts: list[RenderableType] = [levels_table(self._levels, self._console.width)] if self._levels else []
        return Group(*parts, Text(""), self._line())

    def _line(self) -> Table:
        line = Table.grid(padding=(0, 2))
        line.add_row(f"{time.monotonic() - self._began:5.1f} s", Text(self._step, style="bold"), self._bar())
        return line

    def _bar(self) -> Text:
        talk = self._talk
        if talk is None:
            return Text("")
        done, failed = len(talk.spoken), sum(spoken.failed for spoken in talk.spoken)
        wide = max(1, min(_WIDTH, self._console.width - _BESIDE))
        filled = min(wide, wide * done // max(1, talk.conditions.requests))
        bar = Text("█" * filled, style="green") + Text("·" * (wide - filled), style="dim")
        counted = Text(f" {done} of {talk.conditions.requests}")
        return bar + counted + (Text(f", {failed} failed", style="red") if failed else Text(""))


def _summary(level: Level) -> str:
    parts = [f"{level.succeeded} of {level.requests} answered"]
    parts += [f"{level.leaks} leaked"] if level.leaks else []
    parts += [f"{level.lost} lost messages"] if level.lost else []
    parts += [f"p50 {seconds(level.p50)}"] if level.p50 is not None else []
    return ", ".join(parts)
