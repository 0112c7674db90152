"""From signs to verdicts."""

from __future__ import annotations

import pytest

from turnlane.probe.report import Evidence, Place
from turnlane.probe.symptoms import signs_of_messages, tells_itself
from turnlane.probe.verdict import Sign, StaticFinding, confidence, static_evidence, verdicts_of

from .made_outcomes import cause, failed, outcome

SHARED = Sign(codes=("TL202", "TL201", "TL203"), source="behaviour", summary="words of others", minimal_level=5)
GUARD = Sign(codes=("TL201",), source="guard", summary="two runs", minimal_level=20, place=Place("app.py", 3))
FOUND = StaticFinding(code="TL203", file="app.py", line=9, message="one context")


def test_nothing_seen_is_no_verdict_whatever_check_finds() -> None:
    assert verdicts_of([], [FOUND]) == ()


def test_one_source_alone_is_less_sure_than_two_and_three_are_surest() -> None:
    alone, two = confidence(["guard"]), confidence(["guard", "experiment"])
    three = confidence(["guard", "experiment", "static"])
    assert 0.5 <= confidence(["behaviour"]) < alone < two < three <= 0.99
    assert confidence(["guard", "guard"]) == alone


def test_of_candidates_the_one_that_a_sure_sign_names() -> None:
    (verdict,) = verdicts_of([SHARED, GUARD], [FOUND])
    assert (verdict.code, verdict.summary, verdict.minimal_level) == ("TL201", "two runs", 5)
    assert verdict.confidence == confidence(["guard", "behaviour"])
    assert verdict.place == Place("app.py", 3)


def test_of_candidates_the_one_that_check_finds_with_its_place() -> None:
    (verdict,) = verdicts_of([SHARED], [FOUND])
    assert verdict.code == "TL203"
    assert verdict.place == Place("app.py", 9)
    assert verdict.evidence == (Evidence(experiment="turnlane check", before="one context", after="app.py:9"),)


def test_of_candidates_the_likeliest_where_nobody_knows_more() -> None:
    (verdict,) = verdicts_of([SHARED])
    assert verdict.code == "TL202"
    assert verdict.fix


def test_the_surest_is_the_first() -> None:
    blind = Sign(codes=("TL304",), source="behaviour", summary="again")
    assert [verdict.code for verdict in verdicts_of([blind, GUARD])] == ["TL201", "TL304"]


def test_a_bare_list_in_typescript_is_a_shared_history_and_an_agents_own_is_not() -> None:
    def codes(name: str) -> list[str]:
        message = f"`{name}` (line 5) keeps a conversation for all users: ..."
        return [f.code for f in static_evidence([StaticFinding(code="TL201", file="a", line=1, message=message)])]

    assert codes("messages") == ["TL201", "TL202"]
    assert codes("this.history") == ["TL201"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("RuntimeError: asyncio.run() cannot be called from a running event loop", "TL101"),
        ("RuntimeError: There is no current event loop in thread 'AnyIO worker thread'.", "TL103"),
        ("RuntimeError: Event loop is closed", "TL112"),
        ("AttributeError: 'coroutine' object has no attribute 'messages'", "TL106"),
        ("ValueError: The team is already running, it cannot run again until it is stopped.", "TL201"),
        ("EOFError: EOF when reading a line", "TL504"),
    ],
)
def test_a_text_that_only_one_hazard_gives(text: str, code: str) -> None:
    level = outcome(failed(1, cause=cause(text)), concurrency=5)
    (verdict,) = verdicts_of(signs_of_messages([level]))
    assert (verdict.code, verdict.minimal_level) == (code, 5)


def test_a_warning_in_the_output_names_its_hazard() -> None:
    line = "app.py:7: RuntimeWarning: coroutine 'AssistantAgent.load_state' was never awaited"
    (verdict,) = verdicts_of(signs_of_messages([outcome(output=[line])]))
    assert verdict.code == "TL106"


def test_any_other_error_names_none() -> None:
    level = outcome(failed(1, cause=cause("KeyError: 'P-404'")), output=["ERROR: something failed"])
    assert list(signs_of_messages([level])) == []


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("RuntimeError: Event loop is closed", True),
        ("asyncio.run() cannot be called from a running event loop", True),
        ("The team is already running", False),
        ("The group chat is stopped", False),
        ("connection refused", False),
    ],
)
def test_only_an_error_of_the_event_loop_needs_no_experiment(text: str, is_told: bool) -> None:
    assert tells_itself(failed(1, cause=cause(text))) is is_told
