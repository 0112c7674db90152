"""Work that goes on though it should not: of a stream that its reader left (TL502), of a run that was cancelled or
whose caller was told that it took too long (TL503)."""

from __future__ import annotations

import contextlib
from typing import Final

from turnlane.guard import journals, meetings, requests, runs, stacks
from turnlane.guard.journal import Sighting
from turnlane.guard.requests import Request
from turnlane.guard.runs import Run
from turnlane.guard.stacks import NO_STACK, Stack, has_users

closing: set[int] = set()
"""Identities of the loops that cancel what is left in them: what ends there was not stopped by the program."""

_KINDS: Final = ("agent", "team", "chat")
_AWAIT_IT: Final = "Await the chat itself (`a_initiate_chat`): what waits for it can then stop it."
_TOO_LATE: Final = (408, 504)
"""Statuses that say that nobody waits any more; who hands the work to somebody else says 202."""


def began(run: Run) -> None:
    """Listens to the beginning of runs: a model call in the work of a run that was stopped before.

    A call that begins after its run has ended is told at once. One that begins after its task was only asked to
    stop is told when it has gone through: it may be the next that is cancelled.
    """
    if id(run.loop) in closing:
        return
    if run.watched.role != "client":
        if run.cancels and run.parent is None:  # something has kept an earlier stop of its task to itself
            run.notes["left"] = "cancelled"
        elif run.request is not None and run.request.ended:
            _answered(run)
        return
    if run.survives is not None:
        _tell(run.survives, run.place_stack)
        return
    for outer in run.ancestors():
        if outer.watched.role in _KINDS and outer.survives is not None:
            _tell(outer.survives, run.place_stack)
            return
        if _should_have_ended(outer):
            run.notes["in_stopped"] = outer


def ended(run: Run) -> None:
    """Listens to the end of runs."""
    outer = run.notes.pop("in_stopped", None)
    if outer is not None and run.outcome == "ended" and id(run.loop) not in closing:
        _tell(outer, run.place_stack)
    if run.outcome == "abandoned" and run.watched.role in _KINDS:
        _left(run)


def _left(run: Run) -> None:
    """A stream was left before its end.

    An agent that had said its last word is whole; a team that had is found out by its next model call.
    """
    if run.notes.get("complete") or run.watched.role == "team" or id(run.loop) in closing:
        return
    _tell(run, None)


def _request_ended(request: Request) -> None:
    """Listens to the end of requests."""
    if request.status in _TOO_LATE:
        for run in tuple(runs.going):
            if run.request is request:
                _answered(run)


def _answered(run: Run) -> None:
    """The request of a run is over; when that was for the time, the run should be as well."""
    if run.request is not None and run.request.status in _TOO_LATE and run.watched.role in _KINDS:
        run.notes.setdefault("left", "answered")


def _should_have_ended(run: Run) -> bool:
    return run.asked_to_stop or bool(run.notes.get("left"))


def stopped() -> Run | None:
    """The run that the present code is part of, when it was asked to stop, or its reader has left."""
    run = runs.enclosing()
    if run is None or run.watched.role == "client" or id(run.loop) in closing:
        return None
    return next((step for step in (run, *run.ancestors()) if _should_have_ended(step)), None)


def asked_on(run: Run) -> None:
    """A model was asked in a run that should have ended, and has answered."""
    if run.running:
        _tell(run, stacks.capture())


def _tell(run: Run, call: Stack | None) -> None:
    """Report a run that goes on; `call` is where it has asked a model after it should have ended."""
    if "goes_on" in run.notes:
        run.notes["goes_on"] += 1
        return
    run.notes["goes_on"] = 1
    left = (run.notes.get("left") or run.outcome) == "abandoned" or (run.notes.get("stream") and run.reader_left)
    with contextlib.suppress(RuntimeError):
        journals.report_aside(_sighting(run, call, "TL502" if left else "TL503"))


def _sighting(run: Run, call: Stack | None, code: str) -> Sighting:
    dropped = run.notes.get("dropped", NO_STACK)
    if code == "TL502":
        done = "its model calls go on" if call is not None else "it was in the middle of its work"
        message = f"The stream of {run.label} was left before its end, and {done}."
    elif run.notes.get("left") == "answered" and run.request is not None:
        message = (
            f"{run.request.name} was answered with {run.request.status}, and the work of {run.label} for it goes "
            "on: it made a model call after that."
        )
    else:
        message = f"{run.label} was cancelled, and its work goes on: it made a model call after that."
    return Sighting(
        code=code,
        message=message,
        stack=dropped if has_users(dropped) else run.place_stack,
        stacks=meetings.with_stacks(
            ("the run", run.stack),
            ("its reader left here", dropped),
            ("a model call after that", call or NO_STACK),
        ),
        object=run.label,
        request=run.request.id if run.request else None,
        conversation=run.request.conversation if run.request else None,
        task=run.task_name,
        fix=_AWAIT_IT if run.watched.role == "chat" and code == "TL503" else None,
    )


def install() -> None:
    """Listen to runs."""
    runs.beginning.append(began)
    runs.ending.append(ended)
    requests.ending.append(_request_ended)
