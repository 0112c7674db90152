"""Judges a conversation server by what its clients saw: nothing lost, doubled, overlapped, mixed or stale.

Clients and witnesses write a `History` while they work, whatever happens to the server meanwhile: kills, frozen
machines, a cut network, restarts, retries. Afterwards `check` decides whether one history of committed turns
explains it all::

    history = History()
    history.opened("conv_1", canary="amber-17")
    history.sent("conv_1", key="k1", text="amber-17 first question")
    history.accepted("k1", turn="resp_1")
    history.answered("resp_1", status="completed", text="an answer")
    ...
    report = check(history)
    assert report.ok, report

What it needs: every message has a text of its own, an idempotency key names one message, and the agent sends
its whole conversation to the model (no sliding window). All times are of one clock (`time.monotonic`, which
all processes of a Linux machine share). What was not written down is not judged: without witnesses there is
no verdict on overlap, without listings none on the end state.

A `once` tool is expected to be called at most once for each message. A turn's answer is what stands in the
conversation behind its message; of messages that were merged into one turn, behind the last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from turnlane.testing.history.book import ENDED, KEPT, Book
from turnlane.testing.history.events import (
    Accepted,
    Answered,
    Blinded,
    CancelAsked,
    Died,
    Event,
    History,
    Items,
    Listed,
    Looked,
    Opened,
    Parted,
    Ran,
    Read,
    Refused,
    Replayed,
    Sent,
    Stalled,
    Streamed,
    StreamEnded,
)
from turnlane.testing.history.rules import Kind, Violation, judge

__all__ = [
    "ENDED",
    "KEPT",
    "KINDS",
    "Accepted",
    "Answered",
    "Blinded",
    "CancelAsked",
    "Died",
    "Event",
    "History",
    "Items",
    "Kind",
    "Listed",
    "Looked",
    "Opened",
    "Parted",
    "Ran",
    "Read",
    "Refused",
    "Replayed",
    "Report",
    "Sent",
    "Stalled",
    "StreamEnded",
    "Streamed",
    "Violation",
    "check",
]

KINDS: Final[Mapping[Kind, str]] = {
    "lost": "an accepted turn never ended, its message is not in its conversation, or it joined a turn and its "
    "agent did not read it",
    "doubled": "a message became two turns, ended twice, or ran again after its answer was out",
    "overlapped": "two runs of one conversation at once",
    "reordered": "turns of a conversation ran, or stand, in another order than accepted",
    "leaked": "the canary of one conversation in a prompt, an answer or a listing of another",
    "stale": "a prompt without an earlier completed or interrupted message of its user (or without what had been "
    "answered to that), or with one that left no mark",
    "diverged": "the conversation at the end is not the fold of its committed turns",
    "missed": "a stream reader that came back missed events, or saw a number with two meanings",
    "unseen": "a client did not read its own write: an accepted turn was not found, an ended one had not ended",
    "unasked": "a turn was interrupted or cancelled, and nobody had asked for it",
    "repeated": "a tool call that must happen once happened twice, or a turn needs attention though no owner died",
}
"""The rules, each with what breaks it."""


@dataclass(frozen=True)
class Report:
    """The verdict. `figures` says how much was judged: a history of nothing has no violations either."""

    violations: tuple[Violation, ...]
    figures: Mapping[str, int]

    @property
    def ok(self) -> bool:
        return not self.violations

    @property
    def counts(self) -> dict[Kind, int]:
        """Violations of each kind; 0 where there are none."""
        found = Counter(violation.kind for violation in self.violations)
        return {kind: found[kind] for kind in KINDS}

    def __str__(self) -> str:
        verdict = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        judged = ", ".join(f"{name} {count}" for name, count in self.figures.items())
        shown = [f"  {violation}" for violation in self.violations[:20]]
        more = len(self.violations) - len(shown)
        return "\n".join([verdict, f"judged: {judged}", *shown, *([f"  and {more} more"] if more > 0 else [])])


def check(history: History) -> Report:
    """Decide which rules the history breaks.

    Raises:
        ValueError: the history itself is not usable: two messages with one text or one key.
    """
    book = Book(history)
    return Report(judge(book), book.figures())
