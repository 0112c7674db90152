"""What a restart of the program shows: state that outlives it, and work that does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from turnlane.practice import RecordedRequest
from turnlane.probe.conditions import Conditions
from turnlane.probe.drive import Session
from turnlane.probe.report import Evidence, RequestRecord
from turnlane.probe.verdict import Sign

MIDDLE_OF_WORK: Final = 2.5
"""Seconds of latency while the program is stopped in the middle of a call: more than is waited for calls that go
on after the last answer, and less than a program is given to end in good order."""
TAKEN_UP_AGAIN: Final = 3.0
"""Seconds after the restart in which a durable queue takes up what was left."""


async def outlives_restart(session: Session, base: Conditions) -> list[Sign]:
    """TL206: a fresh process still shows the words of users whom only the one before has served."""
    before = replace(base, concurrency=1, rounds=1, turns=1, fresh_process=False)
    await session.run_level(before)
    outcome = await session.run_level(replace(before, fresh_process=True))
    own = {request.id for request in outcome.requests}
    survived = [leak for leak in outcome.leaks if leak.owner_request not in own]
    if not survived:
        return []
    leak = survived[0]
    return [
        Sign(
            codes=("TL206",),
            source="experiment",
            summary="A new process shows the words of users of the one before: what one user said is kept outside "
            "of the program, in one place for everybody.",
            evidence=(
                Evidence(
                    experiment="a fresh process",
                    before="users of the old process wrote",
                    after=f"{leak.seen_by} saw words of {leak.owner}",
                    vanished=False,
                ),
            ),
        )
    ]


async def dies_with_process(session: Session, base: Conditions) -> list[Sign]:
    """TL501: the program answered well, worked on, was asked to stop, and the rest was never done.

    A program that waits for its work when it is asked to stop, or takes it up again when it is back, is right.
    """
    # Settled: its first model call may come a moment after its answer.
    working = replace(base, concurrency=1, rounds=1, turns=1, latency=MIDDLE_OF_WORK, settle=0.3)
    outcome = await session.run_level(working)
    left = [request for request in outcome.requests if request.succeeded and _open(request)]
    if not left:
        return []
    numbers = {call.number for call in left[0].calls}
    latest = max((record.number for record in session.side.calls()), default=0)
    again = replace(base, concurrency=1, rounds=1, turns=1, fresh_process=True, settle=TAKEN_UP_AGAIN)
    await session.run_level(again)
    records = session.side.calls()
    cut = [record for record in records if record.number in numbers and is_cut(record)]
    if not cut or _taken_up(records, latest, left[0], session):
        return []
    return [_lost_work(left[0])]


def _open(request: RequestRecord) -> bool:
    return any(call.finished is None for call in request.calls)


def is_cut(record: RecordedRequest) -> bool:
    """Whether the program went away in the middle of a call."""
    return record.disconnected or record.finished is None


def _taken_up(records: Sequence[RecordedRequest], latest: int, request: RequestRecord, session: Session) -> bool:
    """Whether a later prompt holds the word of the request that was left."""
    words = {found.said.word for found in session.canaries.find(request.prompt)}
    return any(record.number > latest and any(word in record.text for word in words) for record in records)


def _lost_work(request: RequestRecord) -> Sign:
    return Sign(
        codes=("TL501",),
        source="experiment",
        summary=f"The program answers {request.status} while its model calls still run; when it is stopped "
        "then, they are cut off, and nobody takes them up again.",
        evidence=(
            Evidence(
                experiment="the program stopped right after its answer",
                before=f"answered {request.status}, a model call still ran",
                after="the call was cut off, and not made again",
            ),
        ),
    )
