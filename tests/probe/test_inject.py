"""`--inject`: what can be asked for, what is refused and how, what is told of it."""

from __future__ import annotations

import pytest

from turnlane.practice import Budget
from turnlane.probe.conditions import Conditions
from turnlane.probe.inject import fault_reports, parse_injection
from turnlane.probe.trouble import ProbeError

from .made_outcomes import PROMPT, call, failed, outcome, recorded, request, said


def test_every_kind_of_the_documentation_is_read() -> None:
    injection = parse_injection("429=10/s, 500=5%, latency=200ms..2s, cut=2%, malformed=1%, drop=1%, hang=0.5%")
    assert injection.budget is not None
    assert injection.budget.requests_per_second == 10
    assert injection.latency == (0.2, 2.0)
    assert {words: (fault.kind, fault.rate) for words, fault in injection.faults.items()} == {
        "500=5%": ("server_error", 0.05),
        "cut=2%": ("cut_stream", 0.02),
        "malformed=1%": ("malformed_stream", 0.01),
        "drop=1%": ("drop", 0.01),
        "hang=0.5%": ("hang", 0.005),
    }


def test_a_share_of_429_a_share_as_number_and_a_single_latency() -> None:
    injection = parse_injection("429=0.25,503=100%,latency=1.5s")
    assert injection.budget is None
    assert [(fault.kind, fault.status, fault.rate) for fault in injection.faults.values()] == [
        ("rate_limit", 429, 0.25),
        ("server_error", 503, 1.0),
    ]
    assert injection.latency == 1.5


@pytest.mark.parametrize(
    ("text", "said_of_it"),
    [
        ("", "--inject is empty"),
        ("500", "say how often it comes, as in 500=5%"),
        ("500=", "say how often it comes"),
        ("500=five", "'five' is no share"),
        ("500=0%", "above 0 and at most 100%"),
        ("500=101%", "above 0 and at most 100%"),
        ("500=nan", "'nan' is no share"),
        ("418=5%", "there is no fault '418'. There are 500 to 599, 429"),
        ("coffee=5%", "there is no fault 'coffee'"),
        ("500=10/s", "only 429 takes a rate"),
        ("429=fast/s", "is no rate"),
        ("429=0/s", "is no rate"),
        ("latency=200", "'200' is no time; write it as 200ms"),
        ("latency=2s..1s", "the range ends before it begins"),
        ("500=5%,500=6%", "names 500 twice"),
    ],
)
def test_a_mistake_is_told_with_what_to_write(text: str, said_of_it: str) -> None:
    with pytest.raises(ProbeError, match="--inject") as raised:
        parse_injection(text)
    assert said_of_it in str(raised.value)


def test_conditions_keep_what_they_are_but_for_the_faults() -> None:
    injection = parse_injection("429=10/s,500=5%")
    made = injection.applied(Conditions(concurrency=5, latency=0.1))
    assert (made.concurrency, made.latency) == (5, 0.1)
    assert [fault.kind for fault in made.faults] == ["server_error"]
    assert isinstance(made.budget, Budget)


def test_what_became_of_each_fault() -> None:
    met = [call(1, status=500, fault="server_error"), call(2, status=429), call(3)]
    level = outcome(
        request(1, met[0], call(4)),
        failed(2, met[1]),
        request(3, met[2]),
        records=[recorded(n, {}) for n in range(5)],
    )
    five_hundred, limit = fault_reports(parse_injection("500=5%,429=10/s"), [level])
    assert (five_hundred.fault, five_hundred.met, five_hundred.requests) == ("500=5%", 1, 1)
    assert (five_hundred.reached_user, five_hundred.calls_per_request) == (0, 2.0)
    assert (limit.fault, limit.met, limit.reached_user) == ("429=10/s", 1, 1)
    assert limit.shown_as == {"HTTP 500": 1}


def test_what_a_retry_repeats_is_told() -> None:
    first, again = said(("user", PROMPT)), said(("user", PROMPT), ("user", PROMPT))
    level = outcome(
        request(1, call(1, status=500, fault="server_error"), call(2)),
        records=[recorded(1, first, status=500, fault="server_error"), recorded(2, again)],
    )
    (report,) = fault_reports(parse_injection("500=5%"), [level])
    assert report.repeated == ("The user's message was sent again: a prompt holds it 2 times.",)
