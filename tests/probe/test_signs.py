"""What the ramp and the trials speak for, and what they do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from turnlane.probe import trials
from turnlane.probe.answer_marks import marks_of
from turnlane.probe.experiments import EXPERIMENTS, Case, experiment_signs, judged, note_of, wanted_for
from turnlane.probe.failures import Failure, failures_in, minimal_level, plainest, sent_before
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.prompts import RETRY_COUNT
from turnlane.probe.ramp_signs import guard_signs, ramp_signs, works_on
from turnlane.probe.report import Hazard, Place
from turnlane.probe.subject import Subject
from turnlane.probe.trial_signs import is_whole_after_failure, trial_signs, waits_for_ever
from turnlane.probe.verdict import StaticFinding

from .made_outcomes import PROMPT, call, failed, leak, outcome, recorded, request, said

JSON = "application/json"
BODY = said(("user", PROMPT))
ALONE = outcome(request(1, call(1)), records=[recorded(1, BODY)])


def codes(found: dict[str, LevelOutcome], alone: LevelOutcome = ALONE) -> list[str]:
    return [sign.codes[0] for sign in trial_signs(found, alone)]


def tried(*counts: int | None, status: int = 500) -> LevelOutcome:
    """A failed request whose one call was tried so often, with the SDK's own counts."""
    records = [
        recorded(n, BODY, status=status, headers={} if count is None else {RETRY_COUNT: str(count)})
        for n, count in enumerate(counts)
    ]
    calls = [call(n, status=status, error=str(status)) for n in range(len(counts))]
    return outcome(failed(1, *calls, answer="provider error"), records=records)


def test_an_sdks_own_retries_are_right() -> None:
    assert codes({trials.FAILING: tried(0, 1, 2)}) == []
    assert codes({trials.FAILING: tried(None, None, None)}) == []
    assert codes({trials.FAILING: tried(0, 0, 0, 0, 0)}) == [], "one layer that is set to five"
    assert codes({trials.FAILING: tried(*range(8))}) == [], "the SDK's own layer, set to many"


def test_layers_of_retries_are_stacked() -> None:
    assert codes({trials.FAILING: tried(0, 1, 0, 1)}) == ["TL305"]
    assert codes({trials.FAILING: tried(*[None] * 9)}) == ["TL305"]
    assert codes({trials.FAILING: tried(0, 0, 0, 1, 1, 1)}) == ["TL305"], "a transport below the SDK"


def test_a_refused_key_that_is_tried_again_is_a_blind_retry() -> None:
    assert codes({trials.REFUSING: tried(0, status=401)}) == []
    assert codes({trials.REFUSING: tried(0, 0, status=401)}) == ["TL304"]


def refused(answer: str, *output: str, status: int = 500) -> dict[str, LevelOutcome]:
    one = failed(1, call(1, status=401, error="401: key refused"), answer=answer, status=status)
    return {trials.REFUSING: outcome(one, output=output)}


def test_a_bare_500_that_no_log_explains_swallows_its_cause() -> None:
    assert codes(refused('{"error": "Something went wrong"}')) == ["TL505"]
    assert codes(refused("Internal Server Error", 'INFO: "POST /chat HTTP/1.1" 500 Internal Server Error')) == [
        "TL505"
    ]


def test_of_a_program_whose_output_nobody_reads_it_is_not_known_what_it_logs() -> None:
    one = failed(1, call(1, status=401, error="401: key refused"), answer="Internal Server Error")
    assert codes({trials.REFUSING: outcome(one, listened=False)}) == []


def test_a_cause_that_is_told_anywhere_is_not_swallowed() -> None:
    assert codes(refused('{"error": "AuthenticationError"}')) == []
    assert codes(refused('{"error": "the model refused us", "id": 7}')) == []
    assert codes(refused("Internal Server Error", "AuthenticationError: Incorrect API key provided.")) == []
    assert codes(refused("Bad key", status=401)) == []


def test_a_program_that_fails_on_after_the_failure_is_over_is_poisoned() -> None:
    first = failed(1, call(1, status=401, fault="unauthorized"))
    later = {"started": 0.4, "finished": 0.7}
    assert codes({trials.FAILING_ONCE: outcome(first, request(2, call(2, started=0.5), **later))}) == []
    failing = failed(2, call(2, started=0.5, status=400), **later)
    assert codes({trials.FAILING_ONCE: outcome(first, failing)}) == ["TL207"]
    assert codes({trials.FAILING_MIDWAY: outcome(first, failing)}) == ["TL207"]
    assert codes({trials.AFTERWARDS: outcome(failed(3, call(3)))}) == ["TL207"]


def test_a_program_that_always_fails_is_not_poisoned() -> None:
    assert codes({trials.AFTERWARDS: outcome(failed(3, call(3)))}, outcome(failed(1))) == []


def overlapping(*requests: Any) -> dict[str, LevelOutcome]:
    in_order = outcome(request(1), request(2, turn=4))
    return {trials.TWO_AT_ONCE: outcome(*requests, overlap=2), trials.ONE_BY_ONE: in_order}


def test_two_messages_at_once_may_wait_or_be_turned_away() -> None:
    assert codes(overlapping(request(1, turn=3), request(2, turn=4))) == []
    assert codes(overlapping(failed(1, status=409, turn=3), request(2, turn=4))) == []
    assert codes(overlapping(request(1, turn=3, lost=True), request(2, turn=4))) == [], "lost for one turn only"


def test_two_messages_at_once_that_break_or_lose_something() -> None:
    assert codes(overlapping(request(1, turn=3), request(2, turn=4, lost=True))) == ["TL204"]
    assert codes(overlapping(failed(1, turn=3), request(2, turn=4))) == ["TL204"]


def test_a_program_that_forgets_old_messages_on_purpose() -> None:
    lost = request(2, turn=4, lost=True)
    found = {trials.TWO_AT_ONCE: outcome(lost), trials.ONE_BY_ONE: outcome(lost)}
    assert codes(found) == []


def test_half_an_answer_as_a_whole_one() -> None:
    assert codes({trials.CUT_SHORT: outcome(request(1, call(1)))}) == ["TL307"]
    assert (
        codes({trials.CUT_SHORT: outcome(request(1, call(1), answer='{"text": "Your", "incomplete": true}'))})
        == []
    )
    assert codes({trials.CUT_SHORT: outcome(failed(1, call(1)))}) == []


def test_half_an_answer_that_says_so_beside_its_text() -> None:
    whole = {name: marks_of(200, '{"answer": "Your order is on its way.", "done": true}', JSON) for name in "ab"}
    alone = replace(outcome(request(id="a"), request(id="b")), marks=whole)
    half = '{"answer": "Your order", "done": %s}'

    def given(done: str) -> list[str]:
        passed = replace(outcome(request(id="c")), marks={"c": marks_of(200, half % done, JSON)})
        return codes({trials.CUT_SHORT: passed}, alone)

    assert given("true") == ["TL307"]
    assert given("false") == []


def test_an_answer_that_ends_at_the_limit_of_tokens_which_the_program_sets() -> None:
    cut, whole = call(1, finish_reason="length"), call(2, finish_reason="stop")
    assert of_ramp(outcome(request(1, cut))) == ["TL307"]
    assert of_ramp(outcome(request(1, cut, whole))) == [], "the last call is the one that is answered with"
    assert of_ramp(outcome(failed(1, cut))) == []


def test_no_answer_at_all_while_the_provider_is_silent() -> None:
    waited = failed(1, call(1), status=None, finished=8.0)
    assert codes({trials.HANGING: outcome(waited, records=[recorded(1, BODY)])}) == ["TL306"]
    assert codes({trials.HANGING: outcome(failed(1, call(1), status=504, finished=4.0))}) == []


def test_an_sdk_that_gives_up_later_is_a_deadline() -> None:
    def told(**headers: str) -> list[str]:
        waited = failed(1, call(1), status=None, finished=8.0)
        return codes({trials.HANGING: outcome(waited, records=[recorded(1, BODY, headers=headers)])})

    assert told(**{"x-stainless-read-timeout": "40.0"}) == []
    assert told(**{"x-stainless-timeout": "40"}) == []
    assert told(**{"x-stainless-timeout": "600"}) == ["TL306"]
    assert told(**{"x-stainless-read-timeout": "None"}) == ["TL306"]


@pytest.mark.parametrize(
    ("headers", "for_ever"),
    [
        ({"x-stainless-lang": "python"}, True),
        ({"x-stainless-lang": "python", "x-stainless-read-timeout": "3600.0"}, True),
        ({"x-stainless-lang": "python", "x-stainless-read-timeout": "600"}, False),
        ({"x-stainless-lang": "js"}, False),
        ({}, False),
    ],
)
def test_an_sdk_whose_limit_was_taken_away(headers: dict[str, str], for_ever: bool) -> None:
    assert waits_for_ever(recorded(1, BODY, headers=headers)) is for_ever


def test_calls_that_are_made_after_the_turn_was_given_up() -> None:
    late = call(2, started=5.0, finished=5.1)
    assert codes({trials.HANGING: outcome(failed(1, call(1), late, status=504, finished=4.0))}) == ["TL503"]


def of_ramp(*levels: LevelOutcome) -> list[str]:
    return [sign.codes[0] for sign in ramp_signs(levels)]


def test_a_ramp_without_a_failure_speaks_for_nothing() -> None:
    assert of_ramp(ALONE, outcome(request(1, call(1)), request(2, call(2)), concurrency=2)) == []


def test_a_leak_is_told_with_the_level_where_it_begins() -> None:
    level = outcome(request(1), request(2, leaked=("user 1",)), concurrency=5, leaks=[leak()])
    (sign,) = ramp_signs([ALONE, level])
    assert sign.codes[0] == "TL202"
    assert {"TL201", "TL203", "TL206"} <= set(sign.codes)
    assert sign.minimal_level == 5
    assert "with 5 at once" in sign.summary


def test_messages_lost_only_with_others_there() -> None:
    busy = outcome(request(1, lost=True), concurrency=5)
    assert of_ramp(ALONE, busy) == ["TL206"]
    assert of_ramp(outcome(request(1, lost=True)), busy) == []


def test_the_limit_of_the_provider_reaches_users() -> None:
    level = outcome(
        failed(1, call(1, status=429, error="429: rate limit"), answer="429: rate limit"), concurrency=5
    )
    assert of_ramp(ALONE, level) == ["TL303"]


def test_an_injected_fault_that_reaches_a_user_is_no_hazard_of_itself() -> None:
    one = failed(
        1, call(1, status=500, fault="server_error", error="500"), answer="the model's provider answers 500"
    )
    assert of_ramp(outcome(one)) == []
    assert failures_in([outcome(one)]) == []


def test_a_password_in_an_answer_and_the_text_of_an_exception_in_a_tools_result() -> None:
    assert of_ramp(outcome(request(1, answer="connect to postgres://shop:hunter2@db/shop failed"))) == ["TL405"]
    assert of_ramp(outcome(request(1, answer="see https://shop.example/orders/7 or mailto:a@b.c"))) == []

    def told(text: str) -> list[str]:
        function = {"name": "look_up", "arguments": "{}"}
        calls = [{"id": "a", "type": "function", "function": function}]
        messages = [
            {"role": "assistant", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "a", "content": text},
        ]
        return of_ramp(outcome(request(1, call(1)), records=[recorded(1, {"messages": messages})]))

    assert told("TypeError: Cannot read properties of undefined (reading 'id')") == ["TL401"]
    assert told('{"error": "NotFoundError: no such order"}') == []
    assert told("There is no order P-404.") == []
    assert told("Error: no connection to mysql://shop:hunter2@db/shop") == ["TL405"]
    assert told("Error: there is no order P-404") == [], "said on purpose"


def test_work_after_the_answer() -> None:
    assert works_on([outcome(request(1, call(1, finished=0.4)))]) == [], "a straggler"
    assert len(works_on([outcome(request(1, call(1, finished=None)))])) == 1


def hazard(**changes: Any) -> Hazard:
    made = {
        "code": "TL201",
        "name": "shared-agent",
        "message": "Two runs.",
        "fix": "Build it per turn.",
        "time": 0.2,
    }
    return Hazard(**{**made, "place": Place("app.py", 3), **changes})


def test_what_the_guard_saw_names_the_requests_that_it_harmed() -> None:
    level = outcome(request(1), failed(2), concurrency=5)
    (sign,) = guard_signs([hazard(requests=("r1", "r2"))], [level])
    assert (sign.codes, sign.source, sign.minimal_level, sign.place) == (
        ("TL201",),
        "guard",
        5,
        Place("app.py", 3),
    )
    assert sign.evidence[0].after == "failed or leaked of those it names: 1"
    (later,) = guard_signs([hazard(time=9.0)], [level])
    assert later.minimal_level is None


@pytest.mark.parametrize(
    ("measures", "whole"), [({"open_calls": 0}, True), ({"open_calls": 1}, False), ({}, False)]
)
def test_an_agent_that_lost_a_message_to_a_trial(measures: dict[str, int], whole: bool) -> None:
    assert is_whole_after_failure(hazard(code="TL207", measures=measures)) is whole
    assert not is_whole_after_failure(hazard(measures=measures))


def case(kind: Any, before: LevelOutcome, **subject: Any) -> Case:
    return Case(subject=Subject(**subject), failure=Failure(kind), before=before, levels=[before])


LEAKING = outcome(*(request(n, leaked=("user 9",)) for n in range(6)), concurrency=3, turns=2)
CLEAN = outcome(*(request(n) for n in range(6)), concurrency=3, turns=2)


def experiment(name: str) -> Any:
    return next(one for one in EXPERIMENTS if one.name.startswith(name))


def test_the_change_that_makes_the_failure_vanish_is_the_cause() -> None:
    looked = case("leak", LEAKING, watched=True, starts=True)
    done = [judged(experiment("no tool"), looked, LEAKING), judged(experiment("fresh agents"), looked, CLEAN)]
    assert [one.vanished for one in done] == [False, True]
    (sign,) = experiment_signs(done)
    assert sign.codes[0] == "TL201"
    assert [(row.before, row.after) for row in sign.evidence] == [
        ("6 of 6 leaked", "0 of 6 leaked"),
        ("6 of 6 leaked", "6 of 6 leaked"),
    ]


def test_a_program_that_no_longer_answers_proves_nothing() -> None:
    looked = case("leak", LEAKING)
    broken = outcome(*(failed(n) for n in range(6)), concurrency=3)
    assert judged(experiment("fresh agents"), looked, broken).vanished is None


def test_too_few_requests_prove_nothing() -> None:
    rare = outcome(request(1, leaked=("user 9",)), *(request(n) for n in range(2, 11)), concurrency=5)
    assert judged(experiment("fresh agents"), case("leak", rare), CLEAN).vanished is None


def test_a_change_that_several_causes_explain_is_a_note() -> None:
    errors = outcome(*(failed(n) for n in range(6)), turns=2)
    one = judged(experiment("one message"), case("error", errors), CLEAN)
    assert experiment_signs([one]) == []
    assert note_of(one) == (
        "With one message in each conversation the failure is gone: 6 of 6 failed, then 0 of 6 failed."
    )


def names(looked: Case) -> set[str]:
    return {one.name for one in wanted_for(looked)}


def test_only_what_makes_sense_is_tried() -> None:
    workers = {"command": ("gunicorn", "--preload", "-w", "4", "app:app"), "starts": True}
    assert "one worker process" in names(case("leak", LEAKING, **workers))
    assert "no preloading before the fork" in names(case("leak", LEAKING, **workers))
    assert not any("fresh" in name for name in names(case("leak", LEAKING, starts=True)))
    assert "the rate limit lifted" not in names(case("leak", LEAKING))
    assert "the rate limit lifted" in names(case("refusal", LEAKING))


def test_an_experiment_sends_no_more_than_it_needs() -> None:
    many = outcome(*(request(n, leaked=("user 9",)) for n in range(120)), concurrency=20, rounds=3, turns=2)
    assert case("leak", many).conditions.requests == 40
    assert case("leak", many).conditions.concurrency == 20


def test_the_level_that_shows_it_best() -> None:
    few = outcome(request(1, leaked=("user 9",)), concurrency=1)
    assert plainest(Failure("leak"), [few, LEAKING]) is LEAKING
    assert minimal_level(Failure("leak"), [few, LEAKING]) == 1


def test_what_was_sent_until_the_first_failure_had_happened() -> None:
    first = outcome(request(1, started=0.0, finished=0.3))
    later = outcome(
        request(2, started=1.0, finished=1.9), failed(3, started=1.1, finished=1.5), request(4, started=2.0)
    )
    assert sent_before(Failure("error"), [first, later]) == 3
    assert sent_before(Failure("leak"), [first, later]) == 4


def test_only_javascript_is_known_to_have_one_loop() -> None:
    assert Subject(command=("env", "PORT=1", "node", "server.mjs")).one_loop
    assert not Subject(command=("gunicorn", "app:app")).one_loop
    assert Subject(static=[StaticFinding(code="TL306", file="a", line=1)]).found_by_check("TL306")
