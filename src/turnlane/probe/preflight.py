"""One message of one user before the ramp: says in a sentence why a target cannot be probed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from turnlane.probe.answer_text import html_text, is_html
from turnlane.probe.conditions import Conditions
from turnlane.probe.description import description
from turnlane.probe.drive import Session
from turnlane.probe.host import UNCALLABLE
from turnlane.probe.openapi import chat_operation, paths_of, takes_form
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.report import RequestRecord
from turnlane.probe.target import shown_address
from turnlane.probe.trouble import ProbeError

PATIENCE_AFTER_HANG: Final = 5.0
"""Seconds for a request once the first one got no answer at all: all of them may hang, and the probe must end."""

_CREDENTIALS: Final = (401, 403, 407)
_WRONG_BODY: Final = (400, 413, 415, 422)


async def find_operation(session: Session) -> Sequence[str]:
    """Where nobody said what a request looks like, take it from the program's own description, if it has one.

    Returns:
        Notes for the report.
    """
    target = session.target
    if not target.guessed:
        return ()
    place = target.path if target.path != "/" else None
    found = chat_operation(await description(target), place)
    if found is None:
        return ()
    session.target = replace(target, url=target.origin + found.url, method=found.method, json=found.json)
    sent = f" with {json.dumps(found.json)}" if found.json is not None else ""
    return (f"The requests are what its /openapi.json describes: {found.method} {found.url}{sent}.",)


async def preflight(session: Session, base: Conditions) -> tuple[LevelOutcome, Sequence[str]]:
    """Send one message and see that the answer is one of the program.

    Returns:
        The outcome, and notes for the report.

    Raises:
        ProbeError: nobody answers, or the answer says that the request itself is wrong.
    """
    alone = replace(base, concurrency=1, rounds=1, turns=1, faults=(), budget=None)
    outcome = await session.run_level(alone)
    if not outcome.requests:
        raise ProbeError("No request could be sent: --max-requests and --max-seconds leave no room for any.")
    request = outcome.requests[0]
    trouble = _trouble(session, request, outcome)
    if trouble is not None:
        raise ProbeError(trouble + await _advice(session, request))
    return outcome, _hanging(session, request)


async def _advice(session: Session, request: RequestRecord) -> str:
    """What the program's own description says of where messages go; empty if it says nothing."""
    if request.status not in (404, 405, *_WRONG_BODY):
        return ""
    document = await description(session.target)
    found = chat_operation(document)
    if found is not None:
        sent = f" --json '{json.dumps(found.json)}'" if found.json is not None else f" --method {found.method}"
        return f" Its own description says: --url {shown_address(session.target.origin)}{found.url}{sent}"
    if takes_form(document, session.target.path):
        return " It takes a form, and the probe sends JSON: name the function that answers, as my_app:handler."
    paths = paths_of(document)
    return f" It has: {', '.join(paths[:12])}." if paths else ""


def _hanging(session: Session, request: RequestRecord) -> Sequence[str]:
    if request.status is not None or request.cause is None or request.cause.kind != "no answer":
        return ()
    bound = min(session.bounds.timeout, PATIENCE_AFTER_HANG)
    waited = session.bounds.timeout
    session.bounds = replace(session.bounds, timeout=bound)
    return (
        f"The first request got no answer within {waited:g} s, so all others were given up after {bound:g} s.",
    )


def _trouble(session: Session, request: RequestRecord, outcome: LevelOutcome) -> str | None:
    target, status = session.target, request.status
    if request.cause is not None and request.cause.kind == "no connection":
        return _no_connection(session)
    if request.cause is not None and request.cause.kind == "cannot be sent":
        return f"{target.method} {target.shown_url} cannot be sent: {request.cause.message}."
    if request.cause is not None and request.cause.kind in ("led away", "untrusted"):
        return (
            f"{target.method} {target.shown_url}: {request.cause.message}. Give the address of the program itself "
            "with --url."
        )
    if status is None:
        return None
    said = _said(request)
    if target.kind == "function" and said.startswith(f" ({UNCALLABLE}: "):
        return f"{target.name} {said[2:-1]}."
    asked = f"{target.method} {target.shown_url}"
    if status in _CREDENTIALS:
        return (
            f"{asked} answered {status}{said}. It wants credentials: give them with "
            "--header 'Authorization: Bearer ...' (or the header that it reads)."
        )
    if status == 404 and not outcome.calls:
        return f"{asked} answered 404{said}. Is the path right? Give it whole with --url."
    if status == 405:
        return f"{asked} answered 405{said}. It does not take {target.method}: give another one with --method."
    if status in _WRONG_BODY and not outcome.calls and not _failed_inside(request):
        return (
            f"{asked} answered {status}{said}. It does not take this request's JSON: give another one with "
            '--json, such as \'{"message": "{prompt}", "conversation_id": "{conversation}"}\'.'
        )
    if status < 400 and is_html(request.answer):
        return (
            f"{asked} answered with an HTML page, {html_text(request.answer)[:80]!r}. Give the address of the "
            "program's API with --url, not that of its page."
        )
    return None


def _failed_inside(request: RequestRecord) -> bool:
    """Whether the guard saw an exception: then the status is the program's way to say so."""
    return request.cause is not None and request.cause.source in ("guard", "log")


def _no_connection(session: Session) -> str:
    target, program = session.target, session.program
    place = f"{target.host}:{target.port}"
    if program is None:
        return (
            f"Nothing answers at {place}: start the program first, or let the probe start it with --start COMMAND."
        )
    ended = f"ended with status {program.status}" if program.status is not None else "runs"
    return f"Nothing answers at {place} any more; the program {ended}. The last it wrote:{program.last_lines()}"


def _said(request: RequestRecord) -> str:
    if request.cause is None:
        return ""
    text = request.cause.message.strip().rstrip(".")
    return f" ({text[:300]})" if text and "neither the answer" not in text else ""
