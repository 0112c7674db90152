"""Of an outage, the log hears its beginning and its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from turnlane.telemetry.events import add_sink
from turnlane.telemetry.outage import Outage


@pytest.fixture
def told() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    heard: list[tuple[str, dict[str, Any]]] = []
    remove = add_sink(lambda name, fields: heard.append((name, dict(fields))))
    yield heard
    remove()


def test_it_is_told_once_at_its_beginning_and_once_at_its_end(told: list[Any]) -> None:
    now = [10.0]
    outage = Outage(clock=lambda: now[0])
    outage.worked()
    for number in range(3):
        outage.failed(f"refused {number}")
        now[0] += 1
    assert outage.reason == "refused 2"
    outage.worked()
    outage.worked()
    assert outage.reason is None
    assert told == [("engine.trouble", {"reason": "refused 0"}), ("engine.back", {"seconds": 3.0})]


def test_each_outage_is_told(told: list[Any]) -> None:
    outage = Outage()
    for _ in range(2):
        outage.failed("refused")
        outage.worked()
    assert [name for name, _ in told] == ["engine.trouble", "engine.back"] * 2


def test_failures_between_uses_that_work_are_one_outage(told: list[Any]) -> None:
    now = [0.0]
    outage = Outage(quiet=2.0, clock=lambda: now[0])
    for _ in range(10):
        outage.failed("full")
        now[0] += 1
        outage.worked()
    assert [name for name, _ in told] == ["engine.trouble"]
    now[0] += 1
    outage.worked()
    assert told[1:] == [("engine.back", {"seconds": 11.0})]


def test_what_fails_because_the_store_is_let_go_of_is_no_outage(told: list[Any]) -> None:
    outage = Outage()
    outage.failed("refused")
    outage.close()
    outage.failed("the connection is closed")
    outage.worked()
    assert outage.reason is None
    assert [name for name, _ in told] == ["engine.trouble"]
