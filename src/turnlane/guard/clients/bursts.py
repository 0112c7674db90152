"""Many model calls of one piece of work at once, and a provider that refuses some of them (TL303)."""

from __future__ import annotations

from typing import Any, Final

from turnlane.guard import journals, requests
from turnlane.guard.clients.attempts import Attempt
from turnlane.guard.journal import Sighting

AT_ONCE: Final = 8
"""So many calls in flight for one request, or for one script, have no limit that deserves the name."""
REFUSED: Final = 3
"""A limit that follows the provider is refused now and then; without one, most of a burst is."""


class Burst:
    """The calls of one piece of work."""

    __slots__ = ("flying", "most", "refused", "told")

    def __init__(self) -> None:
        self.flying = self.most = self.refused = 0
        self.told = False


_outside: dict[str, Any] = {}
"""Of a program that serves no requests: a script is one piece of work."""


def begins(attempt: Attempt) -> None:
    """A request is about to be sent."""
    burst = _burst()
    burst.flying += 1
    burst.most = max(burst.most, burst.flying)


def ends(attempt: Attempt) -> None:
    """It was answered.

    Raises:
        HazardError: strict mode.
    """
    burst = _burst()
    at_once = burst.flying
    burst.flying = max(0, burst.flying - 1)
    if attempt.status != 429:
        if not burst.flying:
            burst.most = burst.refused = 0
        return
    burst.refused += 1
    if at_once >= AT_ONCE // 2 and burst.most >= AT_ONCE and burst.refused >= REFUSED and not burst.told:
        burst.told = True
        journals.report(_sighting(attempt, burst))


def _burst() -> Burst:
    request = requests.current.get()
    notes = request.notes if request is not None else _outside
    burst: Burst | None = notes.get("burst")
    if burst is None:
        burst = notes["burst"] = Burst()
    return burst


def _sighting(attempt: Attempt, burst: Burst) -> Sighting:
    request = requests.current.get()
    whose = "one request" if request is not None else "one program"
    return Sighting(
        code="TL303",
        message=f"{burst.most} model calls of {whose} were in flight at once, and the provider has refused "
        f"{burst.refused} of them with 429: nothing limits how many run.",
        stack=attempt.call.stack,
        stacks=[("one of the calls", attempt.call.stack)],
        request=request.id if request else None,
        conversation=request.conversation if request else None,
        measures={"at_once": burst.most, "refused": burst.refused},
    )
