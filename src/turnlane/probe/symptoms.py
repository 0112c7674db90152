"""Error texts that only one hazard gives, or two."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from turnlane import hazards
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.report import Cause, Evidence, Place, RequestRecord
from turnlane.probe.verdict import Sign

CAUSES: Final[tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]] = tuple(
    (re.compile(pattern), codes)
    for pattern, codes in (
        (r"asyncio\.run\(\) cannot be called from a running event loop", ("TL101",)),
        (r"This event loop is already running", ("TL101",)),
        (r"Cannot run the event loop while another loop is running", ("TL101",)),
        (r"There is no current event loop in thread", ("TL103",)),
        (r"is bound to a different event loop|attached to a different loop", ("TL112", "TL103")),
        (r"Event loop is closed", ("TL112",)),
        (r"Can't patch loop of type", ("TL105",)),
        (r"'(?:coroutine|async_generator)' object (?:has no attribute|is not)", ("TL106",)),
        (r"a coroutine was expected, got", ("TL109",)),
        (r"The team is already running", ("TL201", "TL204")),
        (r"The group chat is stopped", ("TL207",)),
        (r"EOF when reading a line", ("TL504",)),
    )
)
"""What the first cause of a failed request says, and the hazards that give it."""

OUTPUT: Final[tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]] = (
    (re.compile(r"RuntimeWarning: coroutine '[^']+' was never awaited"), ("TL106",)),
    (re.compile(r"Task was destroyed but it is pending"), ("TL501",)),
)
"""What Python writes to the program's output, and the hazards that make it write that."""

_INSTALLED: Final = ("site-packages", "dist-packages", "node_modules", "/lib/python", "node:internal")


def signs_of_messages(levels: Sequence[LevelOutcome]) -> Iterator[Sign]:
    """What the causes of failed requests and the program's output say."""
    told: set[tuple[str, ...]] = set()
    for outcome in sorted(levels, key=lambda outcome: outcome.level.concurrency):
        for codes, cause, count in _failed(outcome):
            if codes not in told:
                told.add(codes)
                yield _of_cause(codes, cause, count, outcome)
        for codes, line in _written(outcome.output):
            if codes not in told:
                told.add(codes)
                yield _of_line(codes, line)


def tells_itself(request: RequestRecord) -> bool:
    """Whether the error of a failed request names a mistake with the event loop."""
    cause = request.cause
    codes = codes_of(cause) if cause is not None else ()
    return len(codes) == 1 and codes[0].startswith("TL1")


def codes_of(cause: Cause) -> tuple[str, ...]:
    """The hazards that give this error; empty for one that anything may give."""
    found = (codes for pattern, codes in CAUSES if pattern.search(cause.message) or pattern.search(cause.text))
    return next(found, ())


def _failed(outcome: LevelOutcome) -> Iterator[tuple[tuple[str, ...], Cause, int]]:
    causes = {request.cause.text: request.cause for request in outcome.requests if request.cause is not None}
    for text, cause in causes.items():
        if codes := codes_of(cause):
            yield codes, cause, outcome.level.errors.get(text, 1)


def _written(lines: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    for line in lines:
        for pattern, codes in OUTPUT:
            if pattern.search(line):
                yield codes, line.strip()


def _of_cause(codes: tuple[str, ...], cause: Cause, count: int, outcome: LevelOutcome) -> Sign:
    level = outcome.level
    return Sign(
        codes=codes,
        source="message",
        summary=f"{hazards.get(codes[0]).summary} Requests fail with: {cause.text}",
        minimal_level=level.concurrency,
        evidence=(
            Evidence(
                experiment=f"{level.concurrency} at once",
                before=f"{count} of {level.requests} failed",
                after=cause.text,
            ),
        ),
        place=_innermost(cause),
    )


def _of_line(codes: tuple[str, ...], line: str) -> Sign:
    return Sign(
        codes=codes,
        source="message",
        summary=f"{hazards.get(codes[0]).summary} The program's output says: {line}",
        evidence=(Evidence(experiment="the program's output", before=line, after=""),),
    )


def _innermost(cause: Cause) -> Place | None:
    """The last frame in the program's own code."""
    own = [
        frame for frame in cause.frames if "site-packages" not in frame.file and "node_modules" not in frame.file
    ]
    return Place(own[-1].file, own[-1].line, own[-1].function) if own else None
