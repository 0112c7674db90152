"""What a rule says of a place in a file: the finding, the path that leads there, and the rewrite that repairs it.

Lines count from 1. Columns are offsets in UTF-8 bytes from 0, as `ast` and tree-sitter give them; `source.py`
turns them into what people and editors count. In a notebook, a line is one of the joined program that
`notebook.py` makes of its cells; reports turn it into cell and line.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "information"]
"""`error`: the context proves it; `warning`: it is likely; `information`: right today, breaks when moved."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "information")


class Place(NamedTuple):
    """A span of one file."""

    path: str
    """Relative to the folder that `turnlane check` was started in, with forward slashes; as the user named it."""
    line: int
    column: int
    end_line: int
    end_column: int


class Step(NamedTuple):
    """One step of the way from where a run starts to the finding: `handler -> helper -> asyncio.run`."""

    place: Place
    text: str
    """What happens there, such as ``handler `chat` (FastAPI)``."""


class Edit(NamedTuple):
    """Replace a span by a text. An empty span inserts, an empty text deletes."""

    place: Place
    text: str


class Fix(NamedTuple):
    """A rewrite that repairs a finding, in one file or several; its edits do not overlap."""

    title: str
    """In the imperative, as an editor's menu shows it: ``Insert `await` ``."""
    edits: tuple[Edit, ...]
    safe: bool
    """True when the rewrite can't change what correct callers see; else it waits for `--unsafe-fixes`."""


class Finding(NamedTuple):
    """One hazard at one place."""

    code: str
    """Of the catalogue: `TL201`."""
    place: Place
    """The line a user has to look at first; there a comment silences it."""
    message: str
    """What happens, with the names of this program: no trailing period, names in backticks."""
    severity: Severity
    help: str = ""
    """The right form here, in one sentence; empty: the catalogue's own help line."""
    trace: tuple[Step, ...] = ()
    """From the entry point to the place, when the way is part of the proof."""
    fix: Fix | None = None


class Note(NamedTuple):
    """What was not seen, and why: a file that does not parse, an import that only a run can follow."""

    path: str
    line: int
    """0: the whole file."""
    text: str
    broken: bool = False
    """Whether a part of turnlane failed here, so that findings of any file may be missing."""
