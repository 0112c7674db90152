"""The report as one HTML page: no other file, no network, readable without a script, in light and in dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from turnlane.probe import plots
from turnlane.probe.report import Cause, Evidence, Hazard, Leak, Level, Report, RequestRecord, Stack, Verdict
from turnlane.probe.text import headline, headline_of_clean, seconds, vanished
from turnlane.probe.timeline import timeline

MAX_LEAKS: Final = 12
MAX_FRAMES: Final = 12

STYLE: Final = Path(__file__).with_name("html.css")


def page(report: Report) -> str:
    """The whole page. Everything that came from the program is escaped."""
    parts = [
        _head(report),
        _verdicts(report),
        _levels(report.levels),
        _causes(report.requests),
        _leaks(report.leaks),
        _faults(report),
        _timelines(report),
        _hazards(report.hazards),
        _measured(report),
    ]
    return "\n".join(part for part in parts if part) + "\n</main>\n</body>\n</html>\n"


def _head(report: Report) -> str:
    style = STYLE.read_text(encoding="utf-8")
    title = f"Turnlane probe: {report.target}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(headline(report))}</h1>\n"
        f'<p class="muted">Probe of <code>{escape(report.target)}</code>, {escape(report.started)}, '
        f"{report.seconds:.0f} s.</p>"
    )


def _verdicts(report: Report) -> str:
    if not report.verdicts:
        return f'<div class="card good"><p>{escape(headline_of_clean(report))}</p></div>'
    return "\n".join(_verdict(verdict) for verdict in report.verdicts)


def _verdict(verdict: Verdict) -> str:
    code, facts = escape(verdict.code), [f"confidence {verdict.confidence:.0%}"]
    if verdict.minimal_level is not None:
        facts.append(f"shows from {verdict.minimal_level} user{'s' if verdict.minimal_level != 1 else ''} at once")
    place = f"<p>In <code>{escape(str(verdict.place))}</code></p>" if verdict.place else ""
    return (
        f'<section class="card"><h3><span class="code">{code}</span> {escape(verdict.summary)}</h3>'
        f'<p class="muted">{escape(", ".join(facts))}; more: <code>turnlane explain {code}</code></p>'
        f"{place}<p><strong>Do this:</strong> {escape(verdict.fix)}</p>{_evidence(verdict.evidence)}</section>"
    )


def _evidence(evidence: Sequence[Evidence]) -> str:
    rows = [(one.experiment, one.before, one.after, vanished(one)) for one in evidence]
    return _table(("changed", "before", "with the change", "the failure"), rows) if rows else ""


def _levels(levels: Sequence[Level]) -> str:
    if not levels:
        return ""
    heads = (
        "users at once", "requests", "succeeded", "errors", "leaks", "lost", "reordered", "p50", "p99",
        "provider p50", "loop lag", "open files", "calls a request",
    )  # fmt: skip
    rows = [
        (
            str(level.concurrency), str(level.requests), str(level.succeeded), str(level.failed), str(level.leaks),
            _count(level.lost), _count(level.reordered), seconds(level.p50), seconds(level.p99),
            seconds(level.provider_p50), seconds(level.loop_lag), _count(level.open_files),
            f"{level.provider_calls_per_request:.2f}",
        )
        for level in levels
    ]  # fmt: skip
    table = _table(heads, rows, numbers=True, bad=frozenset({3, 4, 5, 6}))
    figures = "".join(
        f"<figure>{plot}</figure>" for plot in (plots.latency(levels), plots.troubles(levels)) if plot
    )
    return f'<h2>Levels</h2>\n{table}\n<div class="plots">{figures}</div>'


def _causes(requests: Sequence[RequestRecord]) -> str:
    counted: dict[str, list[Cause]] = {}
    for request in requests:
        if request.cause is not None:
            counted.setdefault(request.cause.text, []).append(request.cause)
    if not counted:
        return ""
    shown = "\n".join(_cause(causes[0], len(causes)) for causes in sorted(counted.values(), key=len, reverse=True))
    return f"<h2>Errors by first cause</h2>\n{shown}"


def _cause(cause: Cause, number: int) -> str:
    who = "".join(
        f", {kind} {escape(name)}" for kind, name in (("agent", cause.agent), ("tool", cause.tool)) if name
    )
    told = {
        "guard": "seen inside the program",
        "answer": "from the answer",
        "log": "from the program's output",
        "provider": "from what the provider refused",
        "connection": "from the connection",
    }[cause.source]
    frames = "\n".join(
        f"{frame.file}:{frame.line} {frame.function}\n    {frame.text}" for frame in cause.frames[-MAX_FRAMES:]
    )
    stack = f"<pre>{escape(frames)}</pre>" if frames else ""
    return (
        f'<details><summary><span class="bad">{number} ×</span> <code>{escape(cause.text)}</code> '
        f'<span class="muted">({told}{who})</span></summary><p>{escape(cause.message)}</p>{stack}</details>'
    )


def _leaks(leaks: Sequence[Leak]) -> str:
    if not leaks:
        return ""
    rows = [
        (leak.seen_by, leak.where, leak.owner, leak.word, str(leak.concurrency), leak.text)
        for leak in leaks[:MAX_LEAKS]
    ]
    more = (
        f'<p class="muted">{len(leaks) - MAX_LEAKS} more are in the JSON report.</p>'
        if len(leaks) > MAX_LEAKS
        else ""
    )
    table = _table(("whose", "where", "held the word of", "word", "users at once", "text around it"), rows)
    return f"<h2>Leaks</h2>\n{table}\n{more}"


def _faults(report: Report) -> str:
    if not report.faults:
        return ""
    rows = [
        (
            fault.fault, str(fault.met), str(fault.requests), str(fault.reached_user),
            "; ".join(f"{number} × {text}" for text, number in fault.shown_as.items()),
            f"{fault.calls_per_request:.1f}", "; ".join(fault.repeated),
        )
        for fault in report.faults
    ]  # fmt: skip
    heads = (
        "fault",
        "calls that met it",
        "requests",
        "reached the user",
        "as",
        "calls a request",
        "a retry repeated",
    )
    return f"<h2>Injected faults</h2>\n{_table(heads, rows)}"


def _timelines(report: Report) -> str:
    parts = []
    for level in report.levels:
        requests = [request for request in report.requests if request.concurrency == level.concurrency]
        leaks = [leak for leak in report.leaks if leak.concurrency == level.concurrency]
        users = "1 user" if level.concurrency == 1 else f"{level.concurrency} users at once"
        drawn = timeline(requests, leaks, title=f"Requests over time with {users}")
        if drawn:
            parts.append(f'<h3>{users}</h3>\n<div class="scroll">{drawn}</div>')
    if not parts:
        return ""
    keys = "".join(
        f'<span><i style="background: var(--{kind})"></i>{label}</span>'
        for kind, label in (
            ("fine", "answered"),
            ("leaked", "L: another user's word in it"),
            ("failed", "! failed"),
            ("lost", "? lost or reordered its own messages"),
            ("call", "provider call"),
        )
    )
    lead = "A lane is a conversation, a bar a request, an arc a leak from its owner to its reader."
    return "\n".join(["<h2>Timeline</h2>", f'<p class="muted">{lead}</p>', f'<p class="keys">{keys}</p>', *parts])


def _hazards(hazards: Sequence[Hazard]) -> str:
    if not hazards:
        return ""
    return "\n".join(["<h2>What the guard saw inside the program</h2>", *(_hazard(hazard) for hazard in hazards)])


def _hazard(hazard: Hazard) -> str:
    place = f" at <code>{escape(str(hazard.place))}</code>" if hazard.place else ""
    stacks = "".join(_stack(stack) for stack in hazard.stacks)
    return (
        f'<details><summary><span class="code">{escape(hazard.code)}</span> {escape(hazard.name)}{place}, '
        f"{hazard.count} ×</summary><p>{escape(hazard.message)}</p>{stacks}"
        f"<p><strong>Do this:</strong> {escape(hazard.fix)}</p></details>"
    )


def _stack(stack: Stack) -> str:
    lines = "\n".join(
        f"{frame.file}:{frame.line} {frame.function}\n    {frame.text}" for frame in stack.frames[-MAX_FRAMES:]
    )
    return f'<p class="muted">{escape(stack.title)}</p><pre>{escape(lines)}</pre>'


def _measured(report: Report) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    where = _table(("", ""), [(str(name), _fact(value)) for name, value in report.where.items()])
    parts = [f"<ul>{notes}</ul>" if notes else "", where if report.where else ""]
    return "\n".join(["<h2>How this was measured</h2>", *parts]) if any(parts) else ""


def _fact(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_fact(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value))
    return str(value)


def _table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: bool = False,
    bad: frozenset[int] = frozenset(),
) -> str:
    """A table that scrolls by itself when it is too wide; in columns of `bad`, what is not 0 stands out."""
    align = ' class="number"' if numbers else ""
    head = "".join(f'<th scope="col"{align}>{escape(name)}</th>' for name in heads)
    body = "".join(
        "<tr>"
        + "".join(f"<td{align}>{_cell(cell, number in bad)}</td>" for number, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str, alarming: bool) -> str:
    return f'<span class="bad">{escape(text)}</span>' if alarming and text not in ("0", "–") else escape(text)


def _count(number: int | None) -> str:
    return "–" if number is None else str(number)
