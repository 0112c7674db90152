"""What prompts tell of retries."""

from __future__ import annotations

from typing import Any

from turnlane.probe.prompts import RETRY_COUNT, attempts_of, most_at_once, repeated_by_retries, usual_times_said

from .made_outcomes import PROMPT, call, recorded, request, said

BODY = said(("user", PROMPT))


def counted(*counts: int) -> list[Any]:
    return [recorded(n, BODY, headers={RETRY_COUNT: str(count)}) for n, count in enumerate(counts)]


def test_the_retries_of_an_sdk_are_one_round() -> None:
    (attempts,) = attempts_of(counted(0, 1, 2))
    assert (attempts.count, attempts.restarts, attempts.by_sdk) == (3, 0, 3)


def test_a_loop_around_the_sdk_makes_its_count_begin_anew() -> None:
    (attempts,) = attempts_of(counted(0, 1, 2, 0, 1, 2, 0, 1, 2))
    assert (attempts.count, attempts.restarts) == (9, 2)


def test_one_layer_without_retries_of_the_sdk_restarts_nothing() -> None:
    (attempts,) = attempts_of(counted(0, 0, 0, 0))
    assert (attempts.count, attempts.restarts) == (4, 0)


def test_different_calls_are_not_tries_of_one() -> None:
    assert [a.count for a in attempts_of([recorded(1, BODY), recorded(2, said(("user", "else")))])] == [1, 1]


def repeats(*records: Any) -> list[str]:
    one = request(1, *(call(record.number) for record in records))
    return [repeat.what for repeat in repeated_by_retries(one, {record.number: record for record in records})]


def test_nothing_is_a_repetition_without_a_failure() -> None:
    assert repeats(recorded(1, BODY), recorded(2, said(("user", PROMPT), ("user", PROMPT)))) == []


def test_the_message_of_a_user_sent_again_into_the_same_history() -> None:
    again = said(("user", PROMPT), ("user", PROMPT))
    assert repeats(recorded(1, BODY, status=500), recorded(2, again)) == ["message"]


def test_runs_that_share_a_history_say_it_several_times_without_any_retry() -> None:
    shared = said(("user", PROMPT), ("user", PROMPT))
    records = {1: recorded(1, BODY), 2: recorded(2, shared)}
    undisturbed = request(1, call(1), call(2))
    assert usual_times_said([undisturbed], records) == 2
    refused = {1: recorded(1, BODY, status=401), 2: recorded(2, shared)}
    assert repeated_by_retries(undisturbed, refused, usual=2) == []
    assert usual_times_said([undisturbed], refused) == 1, "what retries do is not usual"


def test_a_retry_of_the_same_prompt_repeats_nothing() -> None:
    assert repeats(recorded(1, BODY, status=500), recorded(2, BODY), recorded(3, BODY)) == []


def test_another_agent_that_is_shown_the_message_twice_is_none() -> None:
    other = said(("system", "You summarise."), ("user", PROMPT), ("user", PROMPT))
    assert repeats(recorded(1, BODY, status=500), recorded(2, other)) == []


def with_tool_result(id_: str) -> dict[str, Any]:
    function = {"name": "pay", "arguments": '{"invoice": 7}'}
    calls = [{"id": id_, "type": "function", "function": function}]
    return {
        "messages": [
            {"role": "user", "content": PROMPT},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": id_, "content": "paid"},
        ]
    }


def test_a_tool_that_had_run_is_run_again() -> None:
    records = [recorded(1, BODY), recorded(2, with_tool_result("a"), status=500), recorded(3, BODY)]
    assert repeats(*records, recorded(4, with_tool_result("b"))) == ["tool"]


def test_a_call_tried_again_with_its_tools_result_runs_no_tool() -> None:
    result = with_tool_result("a")
    assert repeats(recorded(1, BODY), recorded(2, result, status=500), recorded(3, result)) == []


def test_calls_at_once() -> None:
    records = [
        recorded(n, BODY, started=start, finished=end)
        for n, (start, end) in enumerate([(0, 3), (1, 2), (1.5, 4), (3, 5)])
    ]
    assert most_at_once(records) == 3
    assert most_at_once([]) == 0
