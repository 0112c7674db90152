"""The same on PostgreSQL, in short: the worker knows no engine, but what it relies on has to hold on each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.worker.conftest import Machine
from tests.worker.test_interrupts import TestRollback, TestWithALedger
from tests.worker.test_once_tools import (
    bank,
    test_one_that_ended_is_not_run_again,
    test_the_key_of_a_call_is_the_same_in_every_attempt,
)
from tests.worker.test_reruns import (
    TestOneAgent,
    test_a_turn_given_back_at_a_drain_goes_on,
    test_the_events_of_a_rerun_show_the_whole_turn,
    test_two_crashes_in_one_turn,
)
from tests.worker.test_reruns_of_teams import TestAskingAHuman

__all__ = [
    "TestAskingAHuman",
    "TestOneAgent",
    "TestRollback",
    "TestWithALedger",
    "bank",
    "test_a_turn_given_back_at_a_drain_goes_on",
    "test_one_that_ended_is_not_run_again",
    "test_the_events_of_a_rerun_show_the_whole_turn",
    "test_the_key_of_a_call_is_the_same_in_every_attempt",
    "test_two_crashes_in_one_turn",
]

pytestmark = pytest.mark.anyio

TICK = 0.2
"""Seconds between two looks for workers that died; their connections are gone, so that no lease has to end."""


@pytest.fixture
async def machine(tmp_path: Path, postgres_ready_url: str) -> AsyncIterator[Callable[..., Any]]:
    from turnlane.runtime.engines.postgres.engine import PostgresEngine

    started: list[Machine] = []

    async def start(factory: Callable[[], Any], **settings: Any) -> Machine:
        engine = lambda folder: PostgresEngine(postgres_ready_url, tick=TICK, grace=TICK)  # noqa: E731
        one = Machine(tmp_path, factory, make_engine=engine, **settings)
        await one.start()
        started.append(one)
        return one

    yield start
    for one in started:
        await one.stop()
