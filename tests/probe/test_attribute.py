"""Causes of real programs behind HTTP: the code that is named, and the silence on the right form."""

from __future__ import annotations

from typing import Any

import pytest

from turnlane.probe import attribute, trials
from turnlane.probe.attribute import attributor
from turnlane.probe.conditions import Conditions
from turnlane.probe.drive import Bounds, Session
from turnlane.probe.inject import parse_injection
from turnlane.probe.model_side import PracticeSide
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.report import Place, Report
from turnlane.probe.run import Plan, probe
from turnlane.probe.target import http_target
from turnlane.probe.trouble import ProbeError

from .mistakes import Office
from .programs import served

pytestmark = pytest.mark.anyio

TEMPLATE = {"message": "{prompt}", "conversation_id": "{conversation}"}
QUICK = Conditions(latency=(0.005, 0.02))


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "HANG_BOUND", 1.0)
    monkeypatch.setattr(trials, "HANG_BOUND_ASKED", 2.0)
    monkeypatch.setattr(attribute, "SURE_TO_HANG", 1.5)
    monkeypatch.setattr(trials, "WATCHED_AFTER", 0.1)
    monkeypatch.setattr(trials, "SLOW", 0.1)


def only(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run no other trials than these; the whole set is run for right programs."""
    monkeypatch.setattr(attribute, "TRIALS", [trial for trial in trials.TRIALS if trial.name in names])


async def reported(
    route: str,
    base: Conditions = QUICK,
    levels: tuple[int, ...] = (1, 3),
    timeout: float = 30.0,
    session: type[Session] = Session,
    **options: Any,
) -> Report:
    side = PracticeSide()
    await side.start()
    async with served(Office(side.base_url).app()) as address:
        target = http_target(f"{address}/{route}", TEMPLATE)
        plan = Plan(levels=levels, rounds=1, base=base)
        async with session(target, side, bounds=Bounds(seconds=60, timeout=timeout)) as entered:
            return await probe(entered, plan, attribute=attributor(**options))


async def test_a_right_program_has_no_verdict_and_no_advice() -> None:
    report = await reported("right")
    assert report.verdicts == ()
    assert report.notes == ()
    assert report.no_errors, "trials are not part of the ramp"


@pytest.mark.parametrize(
    ("route", "code", "trial"),
    [
        ("one_history", "TL202", None),
        ("overwrites", "TL204", (trials.TWO_AT_ONCE, trials.ONE_BY_ONE)),
        ("loops_around_loops", "TL305", (trials.FAILING,)),
        ("starts_over", "TL304", (trials.FAILING,)),
        ("bursts", "TL303", (trials.BURST,)),
        ("breaks_for_good", "TL207", (trials.FAILING_ONCE,)),
        ("passes_half_on", "TL307", ()),
        ("leaves_a_call_open", "TL207", (trials.FAILING_ONCE, trials.FAILING_MIDWAY)),
    ],
)
async def test_the_cause_is_named(
    route: str, code: str, trial: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(trial or (), monkeypatch)
    report = await reported(route)
    named = {verdict.code: verdict for verdict in report.verdicts}
    assert code in named
    assert named[code].confidence >= 0.6
    assert named[code].fix


async def test_a_turn_that_fails_midway_and_leaves_nothing_poisons_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only((trials.FAILING_ONCE, trials.FAILING_MIDWAY), monkeypatch)
    assert (await reported("asks_a_model_in_a_tool")).verdicts == ()


class DiesOfFaults(Session):
    """Of a program that cannot be started again when it has ended."""

    async def run_level(self, conditions: Conditions) -> LevelOutcome:
        if conditions.faults:
            raise ProbeError("The program does not accept connections.")
        return await super().run_level(conditions)


async def test_what_was_known_before_the_program_could_not_be_started_again() -> None:
    report = await reported("one_history", session=DiesOfFaults)
    assert report.codes == {"TL202"}
    assert any("does not accept connections" in note for note in report.notes)


async def test_half_an_answer_that_is_marked_beside_its_text_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    only((trials.CUT_SHORT,), monkeypatch)
    report = await reported("says_what_is_half")
    assert (report.codes, [note for note in report.notes if "TL307" in note]) == (frozenset(), [])


async def test_a_deadline_that_is_missing_is_advice_until_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    only((trials.HANGING,), monkeypatch)
    silent = await reported("overwrites")
    assert "TL306" not in silent.codes
    assert any("TL306" in note for note in silent.notes)


@pytest.mark.parametrize(("route", "codes"), [("right", set()), ("overwrites", {"TL306"})])
async def test_a_deadline_that_is_longer_than_the_users_wait_is_one(
    route: str, codes: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    only((trials.HANGING,), monkeypatch)
    injection = parse_injection("hang=60%")
    report = await reported(route, injection.applied(QUICK), timeout=0.3, injection=injection)
    assert any(request.status is None for request in report.requests)
    assert (report.codes, [note for note in report.notes if "TL306" in note]) == (codes, [])


async def test_check_makes_advice_a_verdict_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    only((trials.HANGING,), monkeypatch)
    found = [("TL306", "office.py", 7, "nothing ends the wait")]
    (verdict,) = (await reported("overwrites", static=found)).verdicts
    assert (verdict.code, verdict.place) == ("TL306", Place("office.py", 7))


async def test_a_limit_that_users_meet_and_what_lifting_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    only((), monkeypatch)
    injection = parse_injection("429=2/s")
    report = await reported("swallows", injection.applied(QUICK), injection=injection)
    (verdict,) = (verdict for verdict in report.verdicts if verdict.code == "TL303")
    lifted = [row for row in verdict.evidence if row.experiment == "the rate limit lifted"]
    assert [row.vanished for row in lifted] == [True]
    (fault,) = report.faults
    assert fault.fault == "429=2/s"
    assert fault.met > 0
    assert fault.reached_user > 0


async def test_without_the_practice_provider_nothing_is_tried() -> None:
    report = await reported("swallows", practice=False)
    assert report.verdicts == ()
    assert sum(level.requests for level in report.levels) == len(report.requests)


async def test_of_a_program_whose_output_nobody_reads_no_cause_is_called_swallowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only((trials.REFUSING,), monkeypatch)
    report = await reported("swallows")
    assert "TL505" not in report.codes
