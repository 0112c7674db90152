"""Configured limits in one process: what is sent stays within them, and what is learned holds beside them."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from turnlane.runtime.limiter import FIRST_GUESS, UsualTokens
from turnlane.runtime.limits import ProviderLimits
from turnlane.runtime.model import ModelBoundary

from .simulation import Client, Simulation, most_within, new_run


class One:
    """One process whose limits are configured."""

    def __init__(self, limits: ProviderLimits, **provider: Any) -> None:
        self.provider = Simulation(**provider)
        self.loop = self.provider.loop
        self.boundary = ModelBoundary(
            limits={"simulated": limits}, clock=self.loop.time, jitter=random.Random(1).random
        )
        self.sent: list[float] = []
        self.used: int | str = "answer"

    async def call(self) -> Any:
        async def send() -> Any:
            self.sent.append(self.loop.time())
            await self.provider.send()
            return self.used

        return await self.boundary.call(new_run(self.boundary), Client(), send)

    def burst_of(self, calls: int) -> float:
        start = self.loop.time()

        async def all_calls() -> None:
            await asyncio.gather(*(self.call() for _ in range(calls)))

        self.loop.run_until_complete(all_calls())
        return self.loop.time() - start


def test_requests_per_minute():
    one = One(ProviderLimits(requests_per_minute=120), latency=0.1)
    seconds = one.burst_of(100)
    assert seconds == pytest.approx((100 - 12) / 2, abs=0.6)
    for window in (0.1, 1, 10, 60):
        assert most_within(one.sent, window) <= 12 + 2 * window + 1e-6


def test_a_small_allowance_is_one_call_after_the_other():
    one = One(ProviderLimits(requests_per_minute=3), latency=0.1)
    one.burst_of(3)
    assert one.sent == pytest.approx([0, 20, 40])


def test_burst_is_what_may_go_at_once():
    one = One(ProviderLimits(requests_per_minute=120, burst=0.5), latency=0.1)
    one.burst_of(60)
    assert one.loop.time() <= 1
    assert one.burst_of(2) >= 0.1


def test_calls_at_once():
    one = One(ProviderLimits(concurrency=3), latency=1.0)
    assert one.burst_of(9) == pytest.approx(3.0, abs=0.1)
    assert one.provider.peak == 3


def test_tokens_per_minute_are_settled_by_what_calls_use():
    one = One(ProviderLimits(tokens_per_minute=60_000), latency=0.1)
    one.used = 2000
    one.burst_of(100)
    # Six of them fit at once by the first guess; 200,000 tokens at 1,000 a second.
    assert one.loop.time() == pytest.approx(200, rel=0.06)


def test_calls_that_use_less_than_expected_let_others_in():
    one = One(ProviderLimits(tokens_per_minute=60_000), latency=0.1)
    one.used = 100
    assert one.burst_of(300) <= 30, "by the first guess it would be 300 s"


def test_a_call_bigger_than_the_bucket_is_sent_and_paid_for():
    one = One(ProviderLimits(tokens_per_minute=6000), latency=0.1)
    one.used = 5000
    one.burst_of(3)
    assert one.sent[0] == 0
    assert one.sent[1] >= 40, "a debt of 5,000 tokens at 100 a second, less the bucket"
    assert len(one.sent) == 3


def test_refusals_teach_beside_what_is_configured():
    one = One(ProviderLimits(requests_per_minute=6000), rate=5, burst=5, latency=0.05)
    one.burst_of(50)
    assert one.provider.refused <= 10
    assert one.boundary.provider("simulated").limit.rate is not None


def test_other_providers_are_not_limited():
    boundary = ModelBoundary(limits={"other": ProviderLimits(requests_per_minute=1)})
    assert boundary.provider("simulated").limits == ProviderLimits()
    assert boundary.provider("other").limits.requests_per_minute == 1


def test_usual_tokens_follow_the_calls_of_a_model():
    usual = UsualTokens()
    assert usual.of("m") == FIRST_GUESS
    usual.used("m", 100)
    assert usual.of("m") == 100, "the first call says more than a guess"
    for _ in range(50):
        usual.used("m", 500)
    assert usual.of("m") == pytest.approx(500, rel=0.01)
    usual.used("n", 7)
    assert usual.of("m") == pytest.approx(500, rel=0.01)
    assert usual.of("unknown") == 7, "the latest is the best guess"


@pytest.mark.parametrize(
    "wrong",
    [{"requests_per_minute": 0}, {"tokens_per_minute": -1}, {"concurrency": 0}, {"burst": 1.1}, {"rpm": 5}],
)
def test_limits_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ProviderLimits(**wrong)
