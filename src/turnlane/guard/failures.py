"""The exceptions of a request, the first cause first: what a 500 hides."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from turnlane.guard import journals
from turnlane.guard.journal import HazardError
from turnlane.guard.requests import Failure, Request
from turnlane.guard.stacks import shown

MAX_KEPT = 20


def saw(request: Request | None, failure: Failure) -> None:
    """Keep and write one exception. The same one on its way through several runs counts once."""
    error = failure.error
    if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit | HazardError):
        return
    first = True
    if request is not None:
        if any(known.error in tuple(causes(error)) for known in request.failures):
            first = False
            if any(known.error is error for known in request.failures):
                return
        first = first and not request.failures
        if len(request.failures) < MAX_KEPT:
            request.failures.append(failure)
    journals.write(
        {
            "kind": "failure",
            "request": request.id if request else None,
            "exception": {
                "type": failure.type,
                "message": failure.text[:2000],
                "frames": [frame._asdict() for frame in shown(failure.stack)],
            },
            "agent": failure.agent,
            "tool": failure.tool,
            "first": first,
        }
    )


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception, what it was raised from, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
