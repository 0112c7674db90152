"""Levels of real programs behind HTTP, with the practice provider as their model."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from turnlane.practice import Fault, Rule, Script
from turnlane.probe.conditions import Conditions
from turnlane.probe.drive import Bounds, Session
from turnlane.probe.model_side import PracticeSide
from turnlane.probe.report import Report
from turnlane.probe.run import Plan, probe
from turnlane.probe.target import http_target
from turnlane.probe.trouble import ProbeError

from .programs import Shop, served

pytestmark = pytest.mark.anyio

ALONE = Conditions(concurrency=1, latency=0.0)
FIVE = Conditions(concurrency=5, rounds=2, latency=(0.005, 0.03))
TEMPLATE = {"message": "{prompt}", "conversation_id": "{conversation}"}


@asynccontextmanager
async def talking_to(route: str, bounds: Bounds | None = None, **changes: object) -> AsyncIterator[Session]:
    """A session with one route of the shop."""
    side = PracticeSide()
    await side.start()
    shop = Shop(side.base_url)
    async with served(shop.app()) as address:
        target = replace(http_target(f"{address}/{route}", TEMPLATE), **changes)  # type: ignore[arg-type]
        async with Session(target, side, bounds=bounds) as session:
            yield session


async def probed(route: str, bounds: Bounds | None = None, **changes: object) -> Report:
    plan = Plan(levels=(1, 5), rounds=1, base=Conditions(latency=(0.005, 0.02)))
    async with talking_to(route, bounds, **changes) as session:
        return await probe(session, plan)


async def test_a_right_program_shows_nothing() -> None:
    async with talking_to("right") as session:
        alone = await session.run_level(ALONE)
        outcome = await session.run_level(FIVE)
    assert session.habits is not None
    assert session.habits.keeps_history
    assert (alone.level.requests, alone.level.succeeded) == (2, 2)
    assert (outcome.level.requests, outcome.level.succeeded) == (20, 20)
    assert (outcome.level.leaks, outcome.level.lost, outcome.level.reordered) == (0, 0, 0)
    assert outcome.level.provider_calls_per_request == 1
    assert set(outcome.owners.values()) == {request.id for request in outcome.requests}


async def test_one_history_for_all_leaks_and_says_to_whom() -> None:
    async with talking_to("shared") as session:
        await session.run_level(ALONE)
        outcome = await session.run_level(FIVE)
    assert outcome.level.leaks == 20
    assert len({(leak.owner, leak.seen_request, leak.where) for leak in outcome.leaks}) == len(outcome.leaks)
    leak = outcome.leaks[0]
    assert leak.where == "prompt"
    assert leak.word in leak.text
    assert leak.owner != leak.seen_by
    shown = {request.id: request for request in outcome.requests}[leak.seen_request]
    assert shown.user == leak.seen_by
    assert leak.owner in shown.leaked


async def test_an_answer_for_somebody_else_is_a_leak_too() -> None:
    async with talking_to("mixes_answers") as session:
        outcome = await session.run_level(FIVE)
    assert outcome.level.leaks > 0
    assert {leak.where for leak in outcome.leaks} == {"answer"}


async def test_messages_that_load_drops_are_lost() -> None:
    async with talking_to("loses") as session:
        alone = await session.run_level(ALONE)
        outcome = await session.run_level(FIVE)
    assert alone.level.lost == 0
    assert outcome.level.lost
    lost = [request for request in outcome.requests if request.lost]
    assert {request.turn for request in lost} == {2}
    assert outcome.level.leaks == 0


async def test_a_program_without_history_loses_nothing() -> None:
    async with talking_to("forgets") as session:
        await session.run_level(ALONE)
        outcome = await session.run_level(FIVE)
    assert outcome.level.lost is None
    assert not any(request.lost for request in outcome.requests)


@pytest.mark.parametrize(
    ("route", "kind", "text", "source"),
    [
        ("breaks", "KeyError", "KeyError: 'P-404'", "answer"),
        ("refused", "provider 400", "must be a response to a preceeding message", "provider"),
        ("bare", "HTTP 500", "neither the answer nor the program's output says why", "answer"),
    ],
)
async def test_the_first_cause_is_the_best_that_anybody_tells(
    route: str, kind: str, text: str, source: str
) -> None:
    async with talking_to(route) as session:
        outcome = await session.run_level(FIVE)
    (found,) = {(r.cause.kind, r.cause.source) for r in outcome.requests if r.cause}
    assert found == (kind, source)
    assert all(text in error for error in outcome.level.errors)
    assert sum(outcome.level.errors.values()) == outcome.level.requests == 20


async def test_a_request_without_an_answer_is_given_up() -> None:
    async with talking_to("hangs") as session:
        outcome = await session.run_level(Conditions(concurrency=3, turns=1, timeout=0.1))
    assert outcome.level.succeeded == 0
    assert {request.cause.kind for request in outcome.requests if request.cause} == {"no answer"}


async def test_no_message_is_waited_for_beyond_the_end() -> None:
    async with talking_to("stalls", bounds=Bounds(seconds=3.0)) as session:
        outcome = await session.run_level(ALONE)
    assert [request.status for request in outcome.requests] == [200, None]
    assert outcome.requests[1].seconds < 2.5


async def test_a_user_who_leaves_is_no_failure() -> None:
    async with talking_to("hangs") as session:
        outcome = await session.run_level(Conditions(concurrency=2, turns=1, disconnect_after=0.05))
    assert outcome.level.errors == {}
    assert all(request.cause is None for request in outcome.requests)


async def test_streams_are_read_whole() -> None:
    async with talking_to("streams") as session:
        outcome = await session.run_level(ALONE)
    assert outcome.level.succeeded == 2
    assert all("Noted: echo" in request.answer for request in outcome.requests)


async def test_a_call_after_the_answer_still_belongs_to_its_request() -> None:
    async with talking_to("later") as session:
        outcome = await session.run_level(Conditions(latency=0.02, settle=0.5))
    assert len(outcome.calls) == 2
    assert set(outcome.owners.values()) == {request.id for request in outcome.requests}
    assert all(request.calls[0].finished > request.finished for request in outcome.requests)  # type: ignore[operator]


async def test_conditions_hold_for_one_level_only() -> None:
    async with talking_to("forgets") as session:
        faulty = await session.run_level(replace(ALONE, faults=(Fault("server_error"),)))
        scripted = await session.run_level(replace(ALONE, script=Script([Rule(say="from the script")])))
        plain = await session.run_level(ALONE)
    assert {call.fault for call in faulty.calls} == {"server_error"}
    assert {request.answer for request in scripted.requests} == {"from the script"}
    assert plain.level.succeeded == 2
    assert not any(call.fault for call in plain.calls)


async def test_it_ends_where_the_requests_run_out() -> None:
    async with talking_to("forgets", Bounds(requests=7)) as session:
        outcome = await session.run_level(FIVE)
    assert outcome.cut
    assert outcome.level.requests == 7


async def test_a_probe_has_levels_requests_and_times_on_one_clock() -> None:
    report = await probed("right")
    assert [level.concurrency for level in report.levels] == [1, 5]
    assert len(report.requests) == 2 + 10
    assert all(0 < r.started <= r.finished <= report.seconds for r in report.requests)
    assert all(r.started <= c.started <= c.finished <= r.finished for r in report.requests for c in r.calls)  # type: ignore[operator]
    assert report.no_leaks
    assert report.no_errors
    assert report.no_lost
    assert report.as_json()["codes"] == []


async def test_a_probe_tells_where_it_ended_early() -> None:
    report = await probed("right", Bounds(requests=5))
    assert any("--max-requests is 5" in note for note in report.notes)


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        ("page", "HTML page, 'Our shop: Welcome'"),
        ("private", "--header"),
        ("nowhere", "answered 404"),
        ("other_shape", "body.question: Field required.*--json"),
        ("no_model", "no prompt reached the probe's provider.*OPENAI_BASE_URL"),
    ],
)
async def test_what_cannot_be_probed_is_one_sentence(route: str, sentence: str) -> None:
    with pytest.raises(ProbeError, match=sentence) as caught:
        await probed(route)
    assert "Traceback" not in str(caught.value)


async def test_a_redirect_is_followed_on_this_machine_only() -> None:
    report = await probed("moved")
    assert report.no_errors
    with pytest.raises(ProbeError, match=r"it redirects to http://192\.0\.2\.7\. Give the address .* --url"):
        await probed("moved_away")


@pytest.mark.parametrize("route", ["never_ends", "wide"])
async def test_words_are_found_in_what_came_of_an_answer(route: str) -> None:
    async with talking_to(route, Bounds(timeout=0.3)) as session:
        outcome = await session.run_level(replace(ALONE, rounds=2, turns=1))
    assert [leak.where for leak in outcome.leaks] == ["answer"]


async def test_the_wrong_method_is_told() -> None:
    with pytest.raises(ProbeError, match=r"405.*--method"):
        await probed("right", method="PUT")


async def test_a_header_opens_a_private_program() -> None:
    report = await probed("private", headers={"authorization": "Bearer secret-key"})
    assert report.no_errors
    assert "secret-key" not in str(report.as_json())


async def test_a_program_that_hangs_is_measured_with_less_patience() -> None:
    report = await probed("hangs", Bounds(timeout=0.2))
    assert [level.concurrency for level in report.levels] == [1]
    assert any("got no answer within 0.2 s" in note for note in report.notes)
    assert any("nobody got an answer" in note for note in report.notes)


async def test_what_cannot_be_sent_is_one_sentence() -> None:
    with pytest.raises(ProbeError, match=r"POST \S+ cannot be sent: .*ascii"):
        await probed("right", headers={"x-said": "{prompt} ü"})


async def test_half_a_character_of_an_answer_is_told_as_history() -> None:
    json = {"message": "{prompt}", "messages": "{messages}"}
    async with talking_to("halves", json=json) as session:
        outcome = await session.run_level(ALONE)
    assert [request.status for request in outcome.requests] == [200, 200]


async def test_a_probe_that_may_open_no_more_files_does_not_blame_the_program() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with talking_to("right") as session:
        await session.run_level(ALONE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, limits[1]))
        try:
            outcome = await session.run_level(replace(ALONE, turns=1))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    (cause,) = outcome.level.errors
    assert cause.startswith("no room: the probe may open no more files")


async def test_nobody_there() -> None:
    side = PracticeSide()
    async with Session(http_target("http://127.0.0.1:9/chat", TEMPLATE), side) as session:
        with pytest.raises(ProbeError, match=r"Nothing answers at 127.0.0.1:9: start the program"):
            await probe(session, Plan())
