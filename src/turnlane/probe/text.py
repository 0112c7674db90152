"""The report for a terminal: the verdict, what speaks for it, the levels, the first causes, what to do next."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from turnlane.probe.report import Evidence, Frame, Leak, Level, Report, RequestRecord, Verdict

MAX_CAUSES: Final = 6
MAX_LEAKS: Final = 4
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What would steer the reader's terminal, turn its text round, or cannot be encoded."""


def text(report: Report, *, width: int = 100, color: bool = False) -> str:
    """The report as lines of text.

    Args:
        width: columns of the terminal.
        color: with the terminal's codes for colour.
    """
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, force_terminal=color, color_system="standard" if color else None)
    # What the program has said is in there.
    printable = (
        Segment(_UNPRINTABLE.sub("\ufffd", part.text), part.style) for part in console.render(shown(report, width))
    )
    console.print(Segments(printable), end="")
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def shown(report: Report, width: int) -> RenderableType:
    """The report for a rich console of so many columns."""
    parts: list[RenderableType] = []
    for verdict in report.verdicts:
        parts += [_verdict(verdict), Text()]
    if not report.verdicts:
        parts += [Text(headline_of_clean(report), style="bold"), Text()]
    parts.append(levels_table(report.levels, width))
    parts += _causes(report.requests)
    parts += _leaks(report.leaks)
    parts += _faults(report)
    parts += [Text(f"\n{note}", style="dim") for note in report.notes]
    codes = [verdict.code for verdict in report.verdicts]
    if codes:
        parts.append(Text("\nMore: " + ", ".join(f"turnlane explain {code}" for code in dict.fromkeys(codes))))
    return Group(*parts)


def headline(report: Report) -> str:
    """The verdict in one line."""
    if report.verdicts:
        first = report.verdicts[0]
        return f"{first.code}: {first.summary}"
    return headline_of_clean(report)


def headline_of_clean(report: Report) -> str:
    """The line of a report without a verdict."""
    number = sum(level.requests for level in report.levels)
    wrong = [
        (sum(level.failed for level in report.levels), "failed"),
        (sum(level.leaks for level in report.levels), "leaked another user's words"),
        (
            sum((level.lost or 0) + (level.reordered or 0) for level in report.levels),
            "lost or reordered their own",
        ),
    ]
    told = " and ".join(f"{count} {what}" for count, what in wrong if count)
    if told:
        return f"Of {number} requests {told}; no verdict says why."
    return f"Nothing went wrong in {number} requests."


def _verdict(verdict: Verdict) -> RenderableType:
    lines: list[RenderableType] = [Text.assemble((verdict.code, "bold red"), " ", (verdict.summary, "bold"))]
    facts = [f"confidence {verdict.confidence:.0%}"]
    if verdict.minimal_level is not None:
        facts.append(f"from {verdict.minimal_level} user{'s' if verdict.minimal_level != 1 else ''} at once")
    if verdict.place is not None:
        facts.append(str(verdict.place))
    lines += [Padding(Text(", ".join(facts), style="dim"), (0, 0, 0, 2))]
    if verdict.evidence:
        lines.append(Padding(_evidence(verdict.evidence), (0, 0, 0, 2)))
    lines.append(Padding(Text.assemble(("Do this: ", "bold"), verdict.fix), (0, 0, 0, 2)))
    return Group(*lines)


def _evidence(evidence: Sequence[Evidence]) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    for head in ("changed", "before", "with the change", ""):
        table.add_column(head)
    for one in evidence:
        # As texts, not as rich's markup: a prompt may hold [/INST].
        said = map(Text, (one.experiment, one.before, one.after))
        table.add_row(*said, Text(vanished(one), style="green" if one.vanished else ""))
    return table


def vanished(evidence: Evidence) -> str:
    """What became of the failure, in a word; empty for a plain observation."""
    if evidence.vanished is None:
        return ""
    return "vanished" if evidence.vanished else "stayed"


def levels_table(levels: Sequence[Level], width: int) -> Table:
    """The levels so far, with as many columns as fit: also the live table's rows."""
    between = 2 if width >= _ROOM_FOR_GAPS else 1
    table = Table(box=None, padding=(0, between, 0, 0), header_style="dim")
    columns = _LEVEL if width >= _ROOM_FOR_ALL else _LEVEL[:_NEEDED]
    for head, _ in columns:
        table.add_column(head, justify="right", no_wrap=True)
    for level in levels:
        table.add_row(*(cell(level) for _, cell in columns))
    return table


def seconds(value: float | None) -> str:
    """A time for people: `12 ms`, `1.25 s`, `–`."""
    if value is None:
        return "–"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _alarm(number: int | None) -> Text:
    return Text("–") if number is None else Text(str(number), style="bold red" if number else "")


_LEVEL: Final[Sequence[tuple[str, Callable[[Level], str | Text]]]] = (
    ("users", lambda level: str(level.concurrency)),
    ("requests", lambda level: str(level.requests)),
    ("ok", lambda level: str(level.succeeded)),
    ("errors", lambda level: _alarm(level.failed)),
    ("leaks", lambda level: _alarm(level.leaks)),
    ("lost", lambda level: _alarm(None if level.lost is None else level.lost + (level.reordered or 0))),
    ("p50", lambda level: seconds(level.p50)),
    ("p99", lambda level: seconds(level.p99)),
    ("provider", lambda level: seconds(level.provider_p50)),
    ("lag", lambda level: seconds(level.loop_lag)),
    ("files", lambda level: "–" if level.open_files is None else str(level.open_files)),
    ("calls", lambda level: f"{level.provider_calls_per_request:.1f}"),
)
"""The columns of a level; on a narrow terminal only the first `_NEEDED`."""
_NEEDED: Final = 6
_ROOM_FOR_ALL: Final = 80
_ROOM_FOR_GAPS: Final = 95


def _causes(requests: Sequence[RequestRecord]) -> list[RenderableType]:
    causes = [request.cause for request in requests if request.cause is not None]
    if not causes:
        return []
    lines: list[RenderableType] = [Text("\nErrors by first cause", style="bold")]
    counted = Counter(cause.text for cause in causes)
    for told, number in counted.most_common(MAX_CAUSES):
        cause = next(cause for cause in causes if cause.text == told)
        who = "".join(f", {kind} {name}" for kind, name in (("agent", cause.agent), ("tool", cause.tool)) if name)
        lines.append(
            Padding(Text.assemble((f"{number} × ", "bold red"), told, (f" ({cause.source}{who})", "dim")), (0, 2))
        )
        if cause.frames:
            last = told_frame(cause.frames)
            lines.append(
                Padding(Text(f"at {last.file}:{last.line} {last.function}: {last.text}", style="dim"), (0, 6))
            )
    if len(counted) > MAX_CAUSES:
        lines.append(Padding(Text(f"and {len(counted) - MAX_CAUSES} more causes", style="dim"), (0, 2)))
    return lines


def told_frame(frames: Sequence[Frame]) -> Frame:
    """The innermost frame of the program's own; the innermost of all when none is."""
    own = [frame for frame in frames if "site-packages" not in frame.file and "dist-packages" not in frame.file]
    return (own or list(frames))[-1]


def _leaks(leaks: Sequence[Leak]) -> list[RenderableType]:
    if not leaks:
        return []
    lines: list[RenderableType] = [
        Text(f"\n{len(leaks)} leak{'s' if len(leaks) != 1 else ''}, such as", style="bold")
    ]
    pairs = {(leak.seen_by, leak.owner, leak.where): leak for leak in reversed(leaks)}
    for leak in list(reversed(pairs.values()))[:MAX_LEAKS]:
        users = f"{leak.concurrency} at once"
        told = f"{leak.seen_by}'s {leak.where} held {leak.word}, the word of {leak.owner}, {users}: "
        lines.append(Padding(Text.assemble(told, (f"“{leak.text}”", "dim")), (0, 2)))
    return lines


def _faults(report: Report) -> list[RenderableType]:
    if not report.faults:
        return []
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("fault", "met", "requests", "reached users", "as", "calls", "repeated"):
        table.add_column(head)
    for fault in report.faults:
        shown_as = "; ".join(f"{number} × {told}" for told, number in fault.shown_as.items())
        told = (
            fault.fault,
            str(fault.met),
            str(fault.requests),
            str(fault.reached_user),
            shown_as or "–",
            f"{fault.calls_per_request:.1f}",
            "; ".join(fault.repeated) or "–",
        )
        table.add_row(*map(Text, told))
    return [Text("\nInjected faults", style="bold"), Padding(table, (0, 2))]
