"""What /metrics counts, and that its labels stay few whatever comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from turnlane.telemetry import prometheus
from turnlane.telemetry.prometheus import MAX_VALUES, METRICS, BoundedValues, Metrics, route_of

Key = tuple[str, tuple[tuple[str, str], ...]]


def scrape(metrics: Metrics) -> dict[Key, float]:
    page = asyncio.run(metrics.render()).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return scrape(metrics)[name, tuple(sorted(labels.items()))]


@dataclass
class Stats:
    queued: int = 3
    running: int = 2
    conversations_active: int = 4
    oldest_queued_at: float | None = 90.0


@pytest.mark.parametrize(
    ("event", "fields", "name", "labels", "expected"),
    [
        ("turn.accepted", {"agent": "a"}, "turnlane_turns_accepted_total", {"agent": "a"}, 1),
        ("turn.started", {"agent": "a", "waited": 0.5}, "turnlane_turn_wait_seconds_sum", {"agent": "a"}, 0.5),
        ("turn.ended", {"agent": "a", "status": "failed", "seconds": 2.0}, "turnlane_turns_total",
         {"agent": "a", "status": "failed"}, 1),
        ("turn.ended", {"agent": "a", "status": "failed", "seconds": 2.0}, "turnlane_turn_seconds_sum",
         {"agent": "a"}, 2.0),
        ("turn.refused", {"reason": "LaneFull", "agent": "x"}, "turnlane_turns_refused_total",
         {"reason": "LaneFull"}, 1),
        ("turn.released", {}, "turnlane_turns_released_total", {}, 1),
        ("turn.dropped", {}, "turnlane_turns_dropped_total", {}, 1),
        ("model.call", {"provider": "p", "model": "m", "outcome": "ok", "seconds": 1.0, "input_tokens": 7},
         "turnlane_model_calls_total", {"provider": "p", "model": "m", "outcome": "ok"}, 1),
        ("model.call", {"provider": "p", "model": "m", "outcome": "ok", "seconds": 1.0, "input_tokens": 7},
         "turnlane_model_tokens_total", {"provider": "p", "model": "m", "direction": "input"}, 7),
        ("model.retry", {"provider": "p", "model": "m", "status": 429}, "turnlane_model_retries_total",
         {"provider": "p", "model": "m", "status": "429"}, 1),
        ("model.limit", {"provider": "p", "concurrency": 7, "rate": None}, "turnlane_model_concurrency_limit",
         {"provider": "p"}, 7),
        ("tool.call", {"tool": "t", "outcome": "error", "seconds": 0.1}, "turnlane_tool_calls_total",
         {"tool": "t", "outcome": "error"}, 1),
        ("loop.lag", {"seconds": 0.02}, "turnlane_loop_lag_seconds_sum", {}, 0.02),
        ("loop.blocked", {"seconds": 3.0, "ended": True}, "turnlane_loop_blocked_seconds_total", {}, 3.0),
        ("loop.blocked", {"seconds": 1.0, "ended": False}, "turnlane_loop_blocked_total", {}, 0),
        ("engine.trouble", {"reason": "disk full"}, "turnlane_engine_troubles_total", {}, 1),
        ("engine.trouble", {"reason": "disk full"}, "turnlane_engine_up", {}, 0),
        ("engine.back", {"seconds": 2.0}, "turnlane_engine_up", {}, 1),
        ("turn.joined", {"agent": "a"}, "turnlane_turns_joined_total", {"agent": "a"}, 1),
        ("turn.ended", {"agent": "a", "status": "needs_attention", "seconds": 2.0}, "turnlane_turns_total",
         {"agent": "a", "status": "needs_attention"}, 1),
        ("request.ended", {"method": "POST", "path": "/v1/responses", "status": 200, "seconds": 0.1},
         "turnlane_http_requests_total", {"method": "POST", "route": "/v1/responses", "status": "200"}, 1),
    ],
)  # fmt: skip
def test_event_counts(
    event: str, fields: Mapping[str, Any], name: str, labels: dict[str, str], expected: float
) -> None:
    metrics = Metrics()
    metrics(event, fields)
    assert value(metrics, name, **labels) == expected


def test_queue_is_asked_for_at_the_scrape() -> None:
    async def stats() -> Stats:
        return Stats()

    found = scrape(Metrics(stats, clock=lambda: 100.0))
    assert found["turnlane_turns_queued", ()] == 3
    assert found["turnlane_turns_running", ()] == 2
    assert found["turnlane_oldest_queued_seconds", ()] == 10


def test_age_is_zero_when_nothing_waits() -> None:
    async def stats() -> Stats:
        return Stats(queued=0, oldest_queued_at=None)

    assert value(Metrics(stats), "turnlane_oldest_queued_seconds") == 0


def test_store_that_cannot_be_read_does_not_take_the_page_away() -> None:
    async def stats() -> Stats:
        raise OSError("disk gone")

    found = scrape(Metrics(stats))
    assert found["turnlane_turns_queued", ()] != found["turnlane_turns_queued", ()]  # NaN
    assert "process_resident_memory_bytes" in {name for name, _ in found}


def test_engine_is_up_until_it_says_otherwise_and_again_after() -> None:
    metrics = Metrics()
    seen = [value(metrics, "turnlane_engine_up")]
    for event in ("engine.trouble", "engine.back"):
        metrics(event, {})
        seen.append(value(metrics, "turnlane_engine_up"))
    assert seen == [1, 0, 1]


def test_store_that_does_not_answer_does_not_hold_the_page_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "STATS_PATIENCE", 0.01)

    async def stats() -> Stats:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    found = scrape(Metrics(stats))
    assert found["turnlane_turns_queued", ()] != found["turnlane_turns_queued", ()]  # NaN


def test_unknown_events_and_missing_fields_do_no_harm() -> None:
    metrics = Metrics()
    metrics("an.event.of.tomorrow", {"x": 1})
    for event in metrics._handlers:
        if event not in ("loop.lag",):
            metrics(event, {})
    scrape(metrics)


def test_labels_stay_few_whatever_clients_send() -> None:
    metrics = Metrics()
    for number in range(5 * MAX_VALUES):
        metrics("turn.refused", {"reason": f"r{number}", "agent": f"evil{number}"})
        metrics("request.ended", {"method": f"M{number}", "path": f"/x{number}", "status": 200, "seconds": 0.0})
        metrics("request.ended", {"method": "GET", "path": f"/y{number}", "status": 404, "seconds": 0.0})
        metrics("tool.call", {"tool": f"t{number}", "outcome": "ok", "seconds": 0.0})
    found = scrape(metrics)
    assert not any("evil" in text for _, labels in found for _, text in labels)
    for name in ("turnlane_turns_refused_total", "turnlane_http_requests_total", "turnlane_tool_calls_total"):
        assert sum(1 for known, _ in found if known == name) <= MAX_VALUES + 1


@pytest.mark.parametrize(
    ("event", "route"),
    [
        ({"path": "/v1/responses/resp_0123456789abcdef", "status": 200}, "/v1/responses/{id}"),
        ({"path": "/v1/conversations/conv_0123456789ab/items/msg_0123456789ab", "status": 200},
         "/v1/conversations/{id}/items/{id}"),
        ({"path": "/turns/resp_0123456789abcdef/cancel", "status": 409}, "/turns/{id}/cancel"),
        ({"path": "/v1/chat/completions", "status": 200}, "/v1/chat/completions"),
        ({"path": "/wp-admin/setup.php", "status": 404}, "unknown"),
        ({"path": "/x", "route": "/{name}", "status": 404}, "/{name}"),
    ],
)  # fmt: skip
def test_route_holds_no_ids(event: Mapping[str, Any], route: str) -> None:
    assert route_of(event) == route


def test_values_past_the_bound_are_other() -> None:
    bounded = BoundedValues(2)
    assert [bounded(x) for x in ("a", "b", "c", "a", None)] == ["a", "b", "other", "a", "other"]


def test_page_holds_every_metric_of_the_table_with_its_meaning() -> None:
    page = asyncio.run(Metrics().render()).decode()
    for metric in METRICS:
        assert f"# HELP {metric.shown_name} {metric.meaning}" in page
