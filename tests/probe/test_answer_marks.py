"""What an answer says of itself beside its text."""

from __future__ import annotations

import pytest

from turnlane.probe.answer_marks import differs, marks_of, says_incomplete

JSON = "application/json"
EVENTS = "text/event-stream"


def told(body: str, kind: str = JSON, status: int = 200) -> dict[str, set[str]]:
    return {place: set(values) for place, values in marks_of(status, body, kind).items()}


def test_the_text_ids_and_numbers_are_no_marks() -> None:
    body = '{"answer": "All is well.", "id": "c-17", "tokens": 12, "end": {"reason": "stop", "error": null}}'
    assert told(body) == {"status": {"200"}, ".end.reason": {"stop"}, ".end.error": {"None"}}


def test_the_names_of_events_and_their_end_are_marks() -> None:
    body = 'event: delta\ndata: {"delta": "All is "}\n\nevent: delta\ndata: {"delta": "well."}\n\ndata: [DONE]\n'
    assert told(body, EVENTS) == {"status": {"200"}, "event": {"delta"}, "data": {"[DONE]"}}


def test_plain_text_has_its_status_only() -> None:
    assert told("All is well: really.", "text/plain", 206) == {"status": {"206"}}


WHOLE = [
    marks_of(200, body, JSON) for body in ('{"answer": "One.", "ok": true}', '{"answer": "Two.", "ok": true}')
]


@pytest.mark.parametrize(
    ("body", "status", "is_marked"),
    [
        ('{"answer": "Thr", "ok": true}', 200, False),
        ('{"answer": "Thr", "ok": false}', 200, True),
        ('{"answer": "Thr"}', 200, True),
        ('{"answer": "Thr", "ok": true, "warning": "cut"}', 200, True),
        ('{"answer": "Thr", "ok": true}', 206, True),
    ],
)
def test_what_is_said_otherwise_differs(body: str, status: int, is_marked: bool) -> None:
    assert differs(marks_of(status, body, JSON), WHOLE) is is_marked


def test_of_a_single_whole_answer_nobody_knows_what_is_usual() -> None:
    assert not differs(marks_of(200, '{"answer": "Thr", "mood": "sad"}', JSON), WHOLE[:1])


@pytest.mark.parametrize(
    ("body", "is_told"),
    [
        ('{"answer": "Thr", "complete": false}', True),
        ('{"answer": "Thr", "meta": {"truncated": true}}', True),
        ('{"answer": "Thr", "finishReason": "length"}', True),
        ('{"answer": "Three.", "complete": true, "truncated": false, "cut": null}', False),
        ('{"answer": "Three.", "streaming": false}', False),
    ],
)
def test_what_says_that_it_is_not_whole_needs_no_other_to_compare(body: str, is_told: bool) -> None:
    assert says_incomplete(marks_of(200, body, JSON)) is is_told
