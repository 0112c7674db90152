"""What is tried again, when, and how much of it: the pure rules, and what must hold for every input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlane.runtime.retry import (
    MAX_DELAY,
    QUOTA_CODES,
    Again,
    Fault,
    GiveUp,
    RetryBudget,
    classify,
    decide,
    granted_rate,
    parse_retry_after,
)

STATUSES = st.one_of(st.none(), st.integers(200, 599))
FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(["refused", "overloaded", "transient", "deterministic"]),
    status=STATUSES,
    retry_after=st.one_of(st.none(), st.floats(0, 86_400)),
)
DECISIONS = {
    "attempt": st.integers(1, 20),
    "max_attempts": st.integers(1, 20),
    "seconds_left": st.one_of(st.none(), st.floats(-10, 1e5)),
    "budget_left": st.booleans(),
    "jitter": st.floats(0, 1),
}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (None, None, "transient"),
        (408, None, "transient"),
        (409, None, "transient"),
        (429, "rate_limit_exceeded", "refused"),
        (429, None, "refused"),
        (429, "insufficient_quota", "deterministic"),
        (500, None, "transient"),
        (502, None, "transient"),
        (503, None, "overloaded"),
        (504, None, "transient"),
        (529, None, "overloaded"),
        (400, None, "deterministic"),
        (401, "invalid_api_key", "deterministic"),
        (403, None, "deterministic"),
        (404, "model_not_found", "deterministic"),
        (413, None, "deterministic"),
        (422, None, "deterministic"),
        # An error inside a stream has a code and no status.
        (None, "rate_limit_exceeded", "refused"),
        (None, "insufficient_quota", "deterministic"),
        (None, "context_length_exceeded", "deterministic"),
    ],
)
def test_kind_of_fault(status, code, kind):
    assert classify(status, code, {}).kind == kind


def test_a_provider_that_says_do_not_retry_is_believed():
    assert classify(500, None, {"x-should-retry": "false"}).kind == "deterministic"
    assert classify(500, None, {"x-should-retry": "true"}).kind == "transient"


@given(STATUSES, st.sampled_from(sorted(QUOTA_CODES)))
def test_a_quota_is_never_a_transient_fault(status, code):
    assert classify(status, code, {"retry-after": "1"}).kind == "deterministic"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "2", "retry-after-ms": "1250"}, 1.25),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        (
            {"retry-after": "Fri, 21 Nov 2026 10:00:30 GMT", "date": "Fri, 21 Nov 2026 10:00:00 GMT"},
            30.0,
        ),
        ({"retry-after": "Fri, 21 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "Fri, 21 Nov 2026 10:00:30 GMT", "date": "today"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert parse_retry_after(headers) == seconds


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text(max_size=40)))
def test_any_header_is_read_without_an_error(headers):
    seconds = parse_retry_after(headers)
    assert seconds is None or 0 <= seconds < 86_400


def limits(limit="60", remaining="0", reset="1m0s"):
    return {
        "x-ratelimit-limit-requests": limit,
        "x-ratelimit-remaining-requests": remaining,
        "x-ratelimit-reset-requests": reset,
    }


@pytest.mark.parametrize(
    ("headers", "rate"),
    [
        (limits(), 1.0),
        (limits(limit="5", reset="1s"), 5.0),
        (limits(limit="5", reset="500ms"), 10.0),
        (limits(limit="3600", reset="1h0m0s"), 1.0),
        (limits(limit="5", reset="2"), 2.5),
        (limits(remaining="3"), None),  # the bucket was not empty: tokens were refused, not requests
        (limits(limit="0"), None),
        (limits(reset="0s"), None),
        (limits(reset="tomorrow"), None),
        (limits(limit="many"), None),
        (limits(limit="inf"), None),
        ({}, None),
    ],
)
def test_granted_rate(headers, rate):
    assert granted_rate(headers) == rate


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_rate_header_is_read_without_an_error(limit, remaining, reset):
    rate = granted_rate(limits(limit, remaining, reset))
    assert rate is None or rate > 0


@given(FAULTS, st.fixed_dictionaries(DECISIONS))
def test_decisions(fault, given_):
    decision = decide(fault, **given_)
    if isinstance(decision, GiveUp):
        assert decision.reason
        return
    assert isinstance(decision, Again)
    assert fault.kind != "deterministic", "a deterministic fault is never tried again"
    assert given_["attempt"] < given_["max_attempts"]
    assert given_["budget_left"] or fault.kind == "refused"
    if fault.retry_after is not None:
        assert decision.delay >= fault.retry_after, "a Retry-After is never shortened"
    else:
        assert 0 < decision.delay <= MAX_DELAY
    if given_["seconds_left"] is not None:
        assert decision.delay < given_["seconds_left"], "nobody waits past the deadline"


def test_delays_grow_and_are_spread():
    def delay(attempt, jitter):
        decision = decide(
            Fault("transient"),
            attempt=attempt,
            max_attempts=99,
            seconds_left=None,
            budget_left=True,
            jitter=jitter,
        )
        assert isinstance(decision, Again)
        return decision.delay

    assert [delay(n, 1.0) for n in (1, 2, 3, 4)] == [0.25, 0.5, 1.0, 2.0]
    assert delay(1, 0.0) == 0.125
    assert delay(50, 1.0) == MAX_DELAY


@given(
    calls=st.integers(0, 300),
    tries=st.integers(1, 10),
    ratio=st.floats(0, 0.5),
    reserve=st.integers(1, 50),
)
def test_the_budget_bounds_what_a_broken_provider_is_sent(calls, tries, ratio, reserve):
    budget = RetryBudget(ratio=ratio, reserve=reserve, tokens=reserve)
    sent = 0
    for _ in range(calls):
        budget.called()
        for attempt in range(1, tries + 1):
            sent += 1
            decision = decide(
                Fault("transient"),
                attempt=attempt,
                max_attempts=tries,
                seconds_left=None,
                budget_left=budget.left(),
                jitter=0.5,
            )
            if isinstance(decision, GiveUp):
                break
            budget.spend()
    assert calls <= sent <= (1 + ratio) * calls + reserve + 1e-6


@given(st.lists(st.sampled_from(["called", "spend"]), max_size=300))
def test_the_budget_stays_within_its_bounds(moves):
    budget = RetryBudget()
    for move in moves:
        if move == "called":
            budget.called()
        elif budget.left():
            budget.spend()
        assert 0 <= budget.tokens <= budget.reserve


def test_the_budget_fills_up_again():
    budget = RetryBudget(ratio=0.2, reserve=3, tokens=0)
    assert not budget.left()
    for _ in range(100):
        budget.called()
    assert budget.tokens == pytest.approx(3)
