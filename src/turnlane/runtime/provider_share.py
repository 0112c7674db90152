"""What a worker and the shared state of a provider say to each other: a report of what was done, and a share.

All times are seconds relative to the moment in which they are said, so that no two clocks are compared.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal that a worker heard."""

    epoch: int
    """What the worker knew when it sent the call."""
    ago: float = 0.0
    """When it was sent, in seconds before now."""
    overloaded: bool = False
    """503 or 529: too much at once. Otherwise 429: too many in a time."""
    retry_after: float | None = None
    """Seconds from now."""
    granted: float | None = None
    """Calls per second that the provider says it grants."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker did since its last report, and what it wants now. Times are seconds before now."""

    epoch: int = 0
    running: int = 0
    waiting: int = 0
    wants: tuple[float, ...] = ()
    """Estimated tokens of the calls that wait for a permit, the next first."""
    holding: int = 0
    """Permits that it still has."""
    hand: tuple[int, float] = (0, 0.0)
    """Requests and tokens that it still has in hand."""
    slots: int = 0
    """Calls that it may have under way, until it gets its new share."""
    typical: float = 1.0
    """Tokens of a usual call."""
    starts: tuple[tuple[float, int], ...] = ()
    """When calls were sent, and how many; the oldest first."""
    answered: int = 0
    refusals: tuple[Refused, ...] = ()
    returned: tuple[float, float] = (0.0, 0.0)
    """Requests and tokens of permits that were not used; tokens also of calls that used less than was estimated,
    less those of calls that used more."""
    called: int = 0
    retried: int = 0
    alone_for: float = 0.0
    """Seconds for which it could not report and went on alone; 0 when it could."""
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to start one call. `delay`: seconds from now."""

    delay: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker may do until it reports again. Times are seconds from now."""

    epoch: int
    members: int
    """Workers that were heard of lately, itself included."""
    contending: int
    """Those of them whose calls wait."""
    paced: bool
    """Whether a call needs a permit."""
    permits: tuple[Permit, ...]
    hand: tuple[int, float]
    """Requests and tokens to put to those in hand."""
    slots: int | None
    """Calls that it may have under way; None: no limit is known."""
    once: bool
    """There are fewer slots than workers that want one: a slot is for one call."""
    paused: float
    rate: float | None
    """Learned calls per second, of all workers."""
    concurrency: float | None
    """Calls at once, of all workers."""
    retries: float
    """What this worker may spend of the retry budget."""
    first: int
    """Calls to begin with, if nothing is known of the provider."""
    ask_after: float
    """Seconds after which it makes sense to ask for permits that were not given."""
