"""From what was said and what the provider saw to the outcome of a level."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from turnlane.practice import RecordedRequest
from turnlane.probe.answer_marks import Marks, marks_of
from turnlane.probe.belonging import Prompt, Sent, foreign, is_lost, is_reordered, owners_of, prompt_of
from turnlane.probe.canary import Canaries, Found
from turnlane.probe.causes import Answered, Told, first_cause, nearest, provider_error
from turnlane.probe.clock import Clock
from turnlane.probe.conditions import Conditions
from turnlane.probe.guard_records import Window, merged
from turnlane.probe.model_side import ModelSide
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.program import OutputLine
from turnlane.probe.report import Cause, Leak, Level, ProviderCall, RequestRecord
from turnlane.probe.talk import Spoken
from turnlane.probe.tracebacks import Raised, raised_in

MAX_LEAKS: Final = 200
"""Leaks told per level: twenty users of one agent make hundreds of pairs."""
MAX_SHOWN_ANSWER: Final = 500
_LOG_SLACK: Final = 1.0
"""Seconds between an answer and the traceback that belongs to it: output comes through a pipe."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What the program does with one user alone; what it never does is not missed under load.

    Attributes:
        keeps_history: earlier messages of a conversation are in its later prompts, and each request has a prompt.
        keeps_order: a user's own messages come in the order in which they were said.
    """

    keeps_history: bool
    keeps_order: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """All that was seen during one level."""

    conditions: Conditions
    spoken: Sequence[Spoken]
    records: Sequence[RecordedRequest]
    side: ModelSide
    guard: Window
    output: Sequence[OutputLine] | None
    """What the program wrote; None where nobody could read it."""
    canaries: Canaries
    clock: Clock
    cut: bool


def outcome_of(material: Material, habits: Habits | None) -> LevelOutcome:
    """The outcome; `habits` None where they are not known yet."""
    return _Assessment(material, habits).outcome()


def habits_of(material: Material) -> Habits | None:
    """What one user alone shows; None without a second turn that was answered."""
    assessment = _Assessment(material, None)
    later = [s for s in assessment.sent.values() if s.earlier and s.succeeded]
    if not later:
        return None
    return Habits(
        keeps_history=not any(is_lost(one, assessment.prompts) for one in later),
        keeps_order=not any(is_reordered(one, assessment.prompts) for one in later),
    )


class _Assessment:
    def __init__(self, material: Material, habits: Habits | None) -> None:
        self._material = material
        self._habits = habits
        self.prompts = {record.number: prompt_of(record, material.canaries) for record in material.records}
        self.sent = _sent(material.spoken)
        self._owners = owners_of(self.prompts.values(), self.sent)
        self._calls = {number: self._call(prompt) for number, prompt in self.prompts.items()}
        self._processes = material.guard.processes()
        self._causes = self._all_causes()
        self._rounds = {spoken.id: spoken.round for spoken in material.spoken}
        self._leaks = self._all_leaks()
        self._leaked: dict[str, dict[str, None]] = {}
        for leak in self._leaks:
            self._leaked.setdefault(leak.seen_request, {})[leak.owner] = None

    def outcome(self) -> LevelOutcome:
        material = self._material
        requests = tuple(map(self._request, material.spoken))
        return LevelOutcome(
            conditions=material.conditions,
            level=self._level(requests),
            requests=requests,
            leaks=tuple(self._leaks[:MAX_LEAKS]),
            hazards=merged(material.guard.hazards(material.clock)),
            calls=tuple(self._calls.values()),
            recorded={record.number: record for record in material.records},
            owners=self._owners,
            marks={one.id: _marks(one.answered) for one in material.spoken},
            output=tuple(line.text for line in material.output or ()),
            listened=material.output is not None,
            cut=material.cut,
        )

    def _call(self, prompt: Prompt) -> ProviderCall:
        record, clock = prompt.record, self._material.clock
        return ProviderCall(
            number=record.number,
            started=clock.of_monotonic(record.started),
            finished=None if record.finished is None else clock.of_monotonic(record.finished),
            status=record.status,
            fault=record.fault,
            error=provider_error(record, self._material.side.error_of(record.number)),
            users=prompt.users,
            stream=isinstance(record.body, dict) and record.body.get("stream") is True,
            disconnected=record.disconnected,
            finish_reason=record.finish_reason,
        )

    def _request(self, spoken: Spoken) -> RequestRecord:
        sent, clock = self.sent[spoken.id], self._material.clock
        return RequestRecord(
            id=spoken.id,
            concurrency=self._material.conditions.concurrency,
            round=spoken.round,
            turn=spoken.turn,
            user=spoken.user.name,
            conversation=spoken.user.conversation,
            prompt=spoken.prompt,
            started=clock.of_monotonic(spoken.started),
            finished=clock.of_monotonic(spoken.finished),
            status=spoken.answered.status,
            answer=(spoken.text if not spoken.failed else spoken.answered.body)[:MAX_SHOWN_ANSWER],
            cause=self._causes.get(spoken.id),
            calls=tuple(self._calls[number] for number in sent.calls),
            leaked=tuple(self._leaked.get(spoken.id, ())),
            lost=self._is_lost(sent),
            reordered=self._is_reordered(sent),
            process=self._processes.get(spoken.id),
        )

    def _is_lost(self, sent: Sent) -> bool:
        known = self._habits is not None and self._habits.keeps_history
        return known and sent.succeeded and is_lost(sent, self.prompts)

    def _is_reordered(self, sent: Sent) -> bool:
        known = self._habits is not None and self._habits.keeps_order
        return known and is_reordered(sent, self.prompts)

    def _all_causes(self) -> dict[str, Cause]:
        failed = [spoken for spoken in self._material.spoken if spoken.failed and not spoken.left]
        by_guard = self._material.guard.failures()
        unknown = {spoken.id: spoken.finished for spoken in failed if spoken.id not in by_guard}
        by_log = nearest(self._raised(), unknown)
        records = {record.number: record for record in self._material.records}
        return {
            spoken.id: first_cause(
                spoken.answered,
                Told(
                    by_guard.get(spoken.id),
                    by_log.get(spoken.id),
                    [records[number] for number in self.sent[spoken.id].calls] or self._nobodys(spoken),
                ),
            )
            for spoken in failed
        }

    def _nobodys(self, spoken: Spoken) -> list[RecordedRequest]:
        """The calls during a request that hold no word and have no tag: for its cause they are good enough."""
        return [
            record
            for record in self._material.records
            if record.number not in self._owners and spoken.started <= record.started <= spoken.finished
        ]

    def _raised(self) -> list[tuple[float, Raised]]:
        lines = self._material.output or ()
        return [(lines[found.at].time, found) for found in raised_in([line.text for line in lines])]

    def _all_leaks(self) -> list[Leak]:
        """Each once per request and place: a prompt of several calls is one place."""
        found: dict[tuple[str, str, str], Leak] = {}
        for leak in (*self._prompt_leaks(), *self._answer_leaks()):
            found.setdefault((leak.where, leak.seen_request, leak.owner), leak)
        return list(found.values())

    def _prompt_leaks(self) -> Iterable[Leak]:
        for number, prompt in self.prompts.items():
            seen_by = self.sent.get(self._owners.get(number, ""))
            if seen_by is not None:
                yield from self._told(prompt.found, seen_by, "prompt")

    def _answer_leaks(self) -> Iterable[Leak]:
        for spoken in self._material.spoken:
            yield from self._told(
                self._material.canaries.find(spoken.answered.body), self.sent[spoken.id], "answer"
            )

    def _told(self, found: Iterable[Found], seen_by: Sent, where: Literal["prompt", "answer"]) -> Iterable[Leak]:
        for one in foreign(found, seen_by.user):
            yield Leak(
                owner=one.said.user,
                seen_by=seen_by.user,
                where=where,
                concurrency=self._material.conditions.concurrency,
                round=self._rounds[seen_by.id],
                word=one.said.word,
                text=one.around,
                owner_request=one.said.request,
                seen_request=seen_by.id,
            )

    def _level(self, requests: Sequence[RequestRecord]) -> Level:
        seconds = sorted(request.seconds for request in requests)
        finished = [call.finished - call.started for call in self._calls.values() if call.finished is not None]
        habits = self._habits
        files = self._material.guard.most("fds")
        return Level(
            concurrency=self._material.conditions.concurrency,
            requests=len(requests),
            succeeded=sum(request.succeeded for request in requests),
            errors=dict(Counter(request.cause.text for request in requests if request.cause).most_common()),
            leaks=sum(bool(request.leaked) for request in requests),
            lost=sum(r.lost for r in requests) if habits and habits.keeps_history else None,
            reordered=sum(r.reordered for r in requests) if habits and habits.keeps_order else None,
            p50=quantile(seconds, 0.5),
            p99=quantile(seconds, 0.99),
            provider_p50=quantile(sorted(finished), 0.5),
            loop_lag=self._material.guard.most("lag"),
            open_files=None if files is None else int(files),
            provider_calls_per_request=len(self._calls) / len(requests) if requests else 0.0,
        )


def _marks(answered: Answered) -> Marks:
    return marks_of(answered.status, answered.body, answered.content_type)


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value that `share` of an ordered row is not above; None for an empty row."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _sent(spoken: Sequence[Spoken]) -> dict[str, Sent]:
    said: dict[str, list[Spoken]] = {}
    sent: dict[str, Sent] = {}
    for one in spoken:
        earlier = said.setdefault(one.user.name, [])
        sent[one.id] = Sent(
            id=one.id,
            user=one.user.name,
            conversation=one.user.conversation,
            turn=one.turn,
            word=one.word,
            started=one.started,
            finished=one.finished,
            succeeded=not one.failed,
            earlier=tuple(e.word for e in earlier if not e.failed and e.finished <= one.started),
        )
        earlier.append(one)
    return sent
