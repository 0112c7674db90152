"""The limit that follows a provider: invariants for any history, and how it does against providers of many kinds.

The providers are simulated on a loop with virtual time: minutes pass in milliseconds, and exactly.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from turnlane.runtime.agent import Run
from turnlane.runtime.limits import AdaptiveLimit, Bounds
from turnlane.runtime.retry import Fault

from .simulation import Client, Refusal, Simulation, new_run


class TestAgainstProviders:
    @pytest.mark.parametrize("refusal_latency", [0.001, 0.02, 0.1])
    @pytest.mark.parametrize("latency", [0.0, 0.05, 1.0, 10.0])
    @pytest.mark.parametrize(
        "told", ["rate", "retry-after", "nothing"], ids=lambda told: f"the provider tells {told}"
    )
    def test_TL303_a_burst_of_50_against_5_per_second(self, told, latency, refusal_latency):
        provider = Simulation(
            rate=5,
            burst=5,
            latency=latency,
            refusal_latency=refusal_latency,
            show_headers=told == "rate",
            retry_after=told != "nothing",
        )
        seconds = provider.burst_of(50)
        assert len(provider.answers) == 50
        assert provider.refused <= 10
        assert seconds <= 1.35 * 9.0 + latency + 1, "the limit must not be much slower than the provider"

    def test_a_long_burst_is_refused_seldom_and_loses_little(self):
        provider = Simulation(rate=5, burst=5, latency=1.0)
        assert provider.burst_of(500) <= 1.1 * 99
        assert provider.refused <= 30

    def test_a_bucket_of_a_minute_is_used_at_once_and_then_its_rate_is_found(self):
        provider = Simulation(rate=500 / 60, burst=500, latency=3.0, show_headers=False)
        assert provider.burst_of(1000) <= 1.2 * 60
        assert len(provider.answers) == 1000

    def test_all_runs_share_what_one_learned(self):
        provider = Simulation(rate=5, burst=5)
        provider.burst_of(20)
        before = provider.refused
        provider.burst_of(20)
        assert provider.refused - before <= 4

    def test_a_provider_without_limit_is_not_slowed(self):
        provider = Simulation(latency=0.05, refusal_latency=0.0)
        # From 10 at once, doubling: 10 + 20 + 40 + 80 + 50 are five round trips.
        assert provider.burst_of(200) <= 5 * 0.05 + 1e-6
        assert provider.burst_of(200) <= 2 * 0.05 + 1e-6, "the second time it is known"

    def test_ten_clients_are_not_slowed_at_all(self):
        provider = Simulation(latency=0.05, refusal_latency=0.0)
        for _ in range(5):
            assert provider.burst_of(10) == pytest.approx(0.05)

    def test_a_thousand_slow_calls_do_not_wait_for_each_other(self):
        provider = Simulation(latency=1.0, refusal_latency=0.0)
        assert provider.burst_of(1000) <= 1.3
        assert provider.peak >= 900

    def test_it_recovers_when_the_provider_allows_more(self):
        provider = Simulation(rate=5, burst=5)
        provider.burst_of(50)
        provider._bucket = None
        refused = provider.refused
        seconds = provider.burst_of(2000)
        assert provider.refused == refused
        assert seconds < 40, f"at the old rate it would have been 400 s, it was {seconds:.0f} s"
        assert provider.limit.rate is None or provider.limit.rate > 100

    def test_one_refusal_alone_does_not_stop_the_next_calls(self):
        provider = Simulation(rate=0.5, burst=1, show_headers=False, retry_after=False)
        provider.burst_of(2)
        assert provider.refused >= 1
        provider._bucket = None
        assert provider.burst_of(50) < 15, "at the old rate it would have been 100 s"

    def test_an_overloaded_provider_gets_fewer_calls_at_once(self):
        provider = Simulation(latency=1.0)
        most = 20

        async def overloaded() -> str:
            if provider.running >= most:
                provider.refused += 1
                raise Refusal(Fault("overloaded", 503))
            return await Simulation.send(provider)

        provider.send = overloaded  # type: ignore[method-assign]
        provider.boundary.provider("simulated").budget.tokens = 1e6
        provider.boundary.provider("simulated").budget.reserve = 1e6
        provider.burst_of(300)
        assert len(provider.answers) == 300
        assert provider.limit.concurrency <= 2 * most


def test_a_pause_holds_for_everybody_and_the_oldest_go_first():
    provider = Simulation()
    order: list[int] = []
    provider.limit.paused_until = 7.0

    async def call(number: int) -> None:
        async def send() -> None:
            order.append(number)
            assert provider.loop.time() >= 7.0

        await provider.boundary.call(new_run(provider.boundary), Client(), send)

    async def all_calls() -> None:
        await asyncio.gather(*(call(number) for number in range(50)))

    provider.loop.run_until_complete(all_calls())
    assert order == list(range(50))


def test_a_call_that_is_sent_again_keeps_its_place():
    provider = Simulation()
    provider.limit.concurrency = provider.limit.ceiling = 1.0
    order: list[str] = []

    async def call(name: str) -> None:
        async def send() -> None:
            order.append(name)
            await asyncio.sleep(0.3)
            if order == ["first"]:
                raise Refusal(Fault("transient", 500))

        await provider.boundary.call(new_run(provider.boundary), Client(), send)

    async def all_calls() -> None:
        await asyncio.gather(*(call(name) for name in ("first", "second", "third", "fourth", "fifth")))

    provider.loop.run_until_complete(all_calls())
    # The second was sent while the first was pausing; then the first comes before all others.
    assert order == ["first", "second", "first", "third", "fourth", "fifth"]


class TestLeavingTheGate:
    """A stopped turn that waits must go at once, and must not take anybody's turn with it."""

    @settings(max_examples=200, deadline=None)
    @given(data=st.data())
    def test_others_go_on_whoever_leaves_and_whenever(self, data):
        calls = data.draw(st.integers(1, 12))
        stops = data.draw(st.dictionaries(st.integers(0, calls - 1), st.sampled_from([i / 20 for i in range(25)])))
        paused = data.draw(st.sampled_from([0.0, 0.2, 0.5]))
        rate = data.draw(st.sampled_from([None, 5.0, 50.0]))
        width = data.draw(st.integers(1, 4))
        provider = Simulation(latency=0.1, refusal_latency=0.0)
        limit = provider.limit
        limit.concurrency = limit.ceiling = float(width)
        limit.rate, limit.paused_until = rate, paused
        left_at: dict[int, float] = {}

        async def one(number: int, run: Run) -> str:
            try:
                return await provider.boundary.call(run, Client(), provider.send)
            finally:
                left_at[number] = provider.loop.time()

        async def main() -> list[Any]:
            runs = [new_run(provider.boundary) for _ in range(calls)]
            for number, when in stops.items():
                provider.loop.call_at(when, runs[number].stop.set, "cancelled")
            tasks = [asyncio.ensure_future(one(number, run)) for number, run in enumerate(runs)]
            results = await asyncio.gather(*tasks, return_exceptions=True)
            return list(results)

        results = provider.loop.run_until_complete(main())
        for number, result in enumerate(results):
            if number not in stops:
                assert result == "answer"
            elif isinstance(result, Exception):
                assert left_at[number] == pytest.approx(stops[number]), "a stopped call leaves at once"
        assert limit.running == 0
        assert provider.peak <= width
        provider.loop.run_until_complete(asyncio.sleep(0))
        assert not asyncio.all_tasks(provider.loop), "no alarm is left behind"
        provider.loop.close()

    def test_a_place_given_in_the_moment_of_the_stop_goes_to_the_next(self):
        provider = Simulation(latency=1.0, refusal_latency=0.0)
        provider.limit.concurrency = provider.limit.ceiling = 1.0

        async def main() -> list[Any]:
            runs = [new_run(provider.boundary) for _ in range(3)]
            call = provider.boundary.call
            tasks = [asyncio.ensure_future(call(run, Client(), provider.send)) for run in runs]
            # At second 1 the first ends, which lets the second in; the same moment stops it.
            provider.loop.call_at(1.0, runs[1].stop.set, "cancelled")
            return list(await asyncio.gather(*tasks, return_exceptions=True))

        results = provider.loop.run_until_complete(main())
        assert results[0] == results[2] == "answer"
        assert provider.limit.running == 0


class AnyHistory(RuleBasedStateMachine):
    """Calls begin and end in any way and order; time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = AdaptiveLimit()
        self.now = 1000.0
        self.under_way: list[float] = []
        self.paused_until = 0.0

    @rule(seconds=st.floats(0, 120))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask_for_a_place(self) -> None:
        delay = self.limit.wait(self.now)
        if delay is None:
            assert self.under_way, "nobody waits for an end that never comes"
            return
        assert delay >= 0
        if self.now < self.paused_until - 1e-5:
            assert delay > 0, "a pause is respected"
        if delay == 0:
            assert len(self.under_way) < max(1, int(self.limit.concurrency))
            self.limit.start(self.now)
            self.under_way.append(self.now)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def end_well(self, data: st.DataObject) -> None:
        self._end(data)
        self.limit.succeeded(self.now)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def end_badly(self, data: st.DataObject) -> None:
        self._end(data)
        self.limit.failed(self.now)

    @precondition(lambda self: self.under_way)
    @rule(
        data=st.data(),
        retry_after=st.one_of(st.none(), st.floats(0, 300)),
        granted=st.one_of(st.none(), st.floats(1e-5, 1e5)),
    )
    def turn_away(self, data: st.DataObject, retry_after: float | None, granted: float | None) -> None:
        started = self._end(data)
        self.limit.turned_away(self.now, started, retry_after, granted)
        self._pause(retry_after)
        assert self.limit.rate is not None

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), retry_after=st.one_of(st.none(), st.floats(0, 300)))
    def overload(self, data: st.DataObject, retry_after: float | None) -> None:
        started = self._end(data)
        before = self.limit.concurrency
        self.limit.overloaded(self.now, started, retry_after)
        self._pause(retry_after)
        assert self.limit.concurrency <= before

    def _end(self, data: st.DataObject) -> float:
        return self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))

    def _pause(self, seconds: float | None) -> None:
        self.paused_until = max(self.paused_until, self.now + (seconds or 0.0))

    @invariant()
    def holds(self) -> None:
        assert self.limit.running == len(self.under_way) >= 0
        assert 1 <= self.limit.concurrency <= self.limit.ceiling
        assert self.limit.rate is None or 0 < self.limit.rate <= self.limit.ceiling * 1.5


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_refusals_of_one_wave_count_once():
    limit = AdaptiveLimit(concurrency=100.0, slow_start=False)
    for number in range(50):
        limit.start(float(number) / 1000)
    for number in range(50):
        limit.overloaded(1.0, float(number) / 1000)
    assert limit.concurrency == 50 * 0.7
    assert limit.running == 0


def test_the_first_wave_is_heard_out():
    limit = AdaptiveLimit(concurrency=2.0)
    limit.start(0.0)
    limit.start(0.0)
    limit.succeeded(0.01)
    assert limit.wait(0.01) == pytest.approx(0.11), "the other may have been refused"
    limit.turned_away(0.02, 0.0)
    assert limit.wait(0.02) == 0.0
    limit.start(0.02)
    assert limit.wait(0.02) == pytest.approx(1.0, rel=0.1), "one was let through, in the last second"


def test_the_first_wave_is_not_waited_for_long():
    limit = AdaptiveLimit(concurrency=2.0)
    limit.start(0.0)
    limit.start(0.0)
    limit.succeeded(0.01)
    assert limit.wait(0.13) == 0.0
    limit.start(0.13)
    limit.succeeded(0.14)
    assert limit.wait(0.14) == 0.0, "and only once"


def test_it_does_not_grow_while_it_is_not_used():
    limit = AdaptiveLimit()
    for second in range(1000):
        limit.start(float(second))
        limit.succeeded(second + 0.5)
    assert limit.concurrency == 10.0


def test_silence_of_a_busy_process_is_not_the_providers():
    limit = AdaptiveLimit(concurrency=2.0)
    limit.start(0.0)
    limit.start(0.0)
    assert limit.wait(0.0) == pytest.approx(0.12)
    assert limit.wait(0.5) == pytest.approx(0.12), "late: the process was busy, so it listens once more"
    assert limit.wait(0.62) == 0.0


@pytest.mark.parametrize("name", ["lane", "total", "attempts"])
def test_bounds_are_at_least_one(name):
    with pytest.raises(ValueError, match=name):
        Bounds(**{name: 0})
