"""Workers that share a provider's limits, each with a boundary of its own, on virtual time.

The store is `PostgresSharedLimits` over a database in memory; `tests/runtime/engines` runs it over PostgreSQL.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from turnlane.runtime.limits import ProviderLimits
from turnlane.runtime.retry import Fault
from turnlane.telemetry.events import add_sink

from .simulation import Cluster, Refusal, Simulation, Worker, most_within

MakeCluster = Callable[..., Cluster]


@pytest.fixture(autouse=True)
def _the_same_chance_every_time() -> Iterator[None]:
    before = random.getstate()
    random.seed(1)
    yield
    random.setstate(before)


@pytest.fixture
def cluster() -> Iterator[MakeCluster]:
    made: list[Cluster] = []

    def make(workers: int, limits: ProviderLimits | None = None, **provider: Any) -> Cluster:
        made.append(Cluster(Simulation(**provider), workers, limits=limits))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def told() -> Iterator[list[str]]:
    names: list[str] = []
    remove = add_sink(lambda name, fields: names.append(name))
    yield names
    remove()


async def users(worker: Worker, number: int, until: float) -> None:
    """So many users who ask again as soon as they are answered."""
    loop = asyncio.get_running_loop()

    async def user() -> None:
        while loop.time() < until:
            await worker.call()

    await asyncio.gather(*(user() for _ in range(number)))


class TestLearnedTogether:
    @pytest.mark.parametrize("refusal_latency", [0.001, 0.02, 0.1])
    @pytest.mark.parametrize(
        "told", ["rate", "retry-after", "nothing"], ids=lambda told: f"the provider tells {told}"
    )
    def test_TL303_ten_workers_send_what_one_would_be_allowed(self, cluster, told, refusal_latency):
        kind = {
            "rate": 5,
            "burst": 5,
            "latency": 1.0,
            "refusal_latency": refusal_latency,
            "show_headers": told == "rate",
            "retry_after": told != "nothing",
        }
        one = Simulation(**kind)
        alone = one.burst_of(200)
        ten = cluster(10, **kind)
        together = ten.burst_of(200)
        assert len(ten.provider.answers) == 200
        assert ten.provider.refused <= one.refused + 15, "a first wave of ten more, and little else"
        assert together <= 1.2 * alone

    def test_a_rate_is_used_up_by_many_workers(self, cluster):
        ten = cluster(10, rate=100, burst=100, latency=0.5, refusal_latency=0.02)
        assert ten.burst_of(2000) <= 1.1 * 19
        assert ten.provider.refused <= 100

    def test_a_provider_without_limit_is_not_slowed(self, cluster):
        ten = cluster(10, latency=1.0, refusal_latency=0.0)
        assert ten.burst_of(1000) <= 1.4
        assert ten.burst_of(1000) <= 1.001, "the second time it is known"

    def test_ten_workers_that_knew_of_no_limit_hear_of_it_from_one(self, cluster):
        """A pause that one worker is asked for holds for all, within 100 ms."""
        ten = cluster(10, latency=0.05)

        async def main() -> float:
            loop = asyncio.get_running_loop()
            busy = [asyncio.ensure_future(users(worker, 3, 10.0)) for worker in ten.workers]
            await asyncio.sleep(3)

            async def refuse() -> None:
                if not refused:
                    refused.append(loop.time())
                    raise Refusal(Fault("refused", 429, retry_after=4.0))

            refused: list[float] = []
            await ten.workers[3].call(refuse)
            await asyncio.gather(*busy)
            return refused[0]

        at = ten.run(main())
        assert [time for time in ten.sent if at + 0.1 <= time < at + 4.0] == []
        assert most_within([time for time in ten.sent if time < at], 1.0) > 100

    def test_who_hears_no_news_is_told_with_its_next_report(self, cluster):
        two = cluster(2, latency=0.05)
        two.workers[1].line.deaf = True

        async def main() -> float:
            busy = asyncio.ensure_future(users(two.workers[1], 3, 8.0))
            await asyncio.sleep(3)
            refused: list[float] = []

            async def refuse() -> None:
                if not refused:
                    refused.append(two.loop.time())
                    raise Refusal(Fault("refused", 429, retry_after=4.0))

            await two.workers[0].call(refuse)
            await busy
            return refused[0]

        at = two.run(main())
        assert [time for time in two.sent if at + 1.2 <= time < at + 4.0] == []

    @pytest.mark.parametrize("most", [5, 20])
    def test_an_overloaded_provider_gets_fewer_calls_at_once_from_all_together(self, cluster, most):
        ten = cluster(10, latency=1.0)
        provider = ten.provider

        async def overloaded() -> str:
            if provider.running >= most:
                provider.refused += 1
                raise Refusal(Fault("overloaded", 503))
            return await Simulation.send(provider)

        provider.send = overloaded  # type: ignore[method-assign]
        for worker in ten.workers:
            worker.boundary.max_tries = 1000
        assert ten.burst_of(100) <= 1.5 * 100 / most + 5
        assert len(provider.answers) == 100
        assert provider.refused <= 50

    def test_the_retry_budget_is_of_the_provider(self, cluster):
        ten = cluster(10)

        async def fail() -> None:
            await asyncio.sleep(0.05)
            raise Refusal(Fault("transient", 500))

        async def main() -> int:
            calls = [worker.call(fail) for worker in ten.workers for _ in range(100)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            return len(ten.sent) - len(results)

        retries = ten.run(main())
        # Every worker alone would send 50 + 0.2 * 100 = 70, all together 700.
        assert 50 <= retries <= 50 + 0.2 * 1000 + 10


class TestConfigured:
    def test_ten_workers_send_no_more_requests_than_one_is_allowed(self, cluster):
        ten = cluster(10, ProviderLimits(requests_per_minute=600), latency=0.2)
        seconds = ten.burst_of(400)
        for window in (1, 5, 60):
            assert most_within(ten.sent, window) <= 60 + 10 * (window + 0.5)
        assert seconds <= 1.1 * (400 - 60) / 10 + 0.3, "and not much less"

    def test_unequal_demand_is_served_as_it_comes(self, cluster):
        three = cluster(3, ProviderLimits(requests_per_minute=600), latency=0.2)

        async def main() -> list[int]:
            await asyncio.gather(
                users(three.workers[0], 50, 30), users(three.workers[1], 1, 30), users(three.workers[2], 50, 30)
            )
            return [sum(1 for time in worker.sent if time <= 30) for worker in three.workers]

        busy, single, other = three.run(main())
        assert busy + single + other == pytest.approx(60 + 300, rel=0.1)
        assert single >= 25, "one user beside a hundred is not starved"
        assert 0.5 <= busy / other <= 2

    def test_tokens_are_settled_by_what_was_used(self, cluster):
        limits = ProviderLimits(tokens_per_minute=60_000, burst=0.2)
        four = cluster(4, limits, latency=0.3)
        used: list[tuple[float, int]] = []

        async def big() -> int:
            await asyncio.sleep(0.3)
            used.append((four.loop.time(), 3000))
            return 3000  # three times what is expected of a call of which nothing is known

        async def main() -> None:
            async def user(worker: Worker) -> None:
                while four.loop.time() < 120:
                    await worker.call(big)

            await asyncio.gather(*(user(worker) for worker in four.workers for _ in range(5)))

        four.run(main())
        total = sum(tokens for time, tokens in used if time <= 120)
        # The first calls are let in by a guess; what they used more is made up for.
        assert 0.9 * 120_000 <= total <= 120_000 + 12_000 + 20 * 3000

    @pytest.mark.parametrize("most", [1, 4, 20])
    def test_no_more_at_once_than_configured(self, cluster, most):
        ten = cluster(10, ProviderLimits(concurrency=most), latency=1.0)
        seconds = ten.burst_of(10 * most)
        assert ten.provider.peak == most
        assert seconds <= 12, "ten rounds of a second"

    def test_a_slot_of_a_worker_that_died_comes_back_within_seconds(self, cluster):
        two = cluster(2, ProviderLimits(concurrency=3), latency=60.0)

        async def main() -> float:
            for _ in range(3):
                two.workers[0].call()
            await asyncio.sleep(5)
            two.workers[1].call()
            await asyncio.sleep(5)
            assert not two.workers[1].sent, "all are taken"
            died = two.loop.time()
            await two.workers[0].die()
            await asyncio.sleep(10)
            return two.workers[1].sent[0] - died

        assert two.run(main()) <= 4.5

    def test_what_a_worker_had_in_hand_is_lost_with_it_and_no_more(self, cluster):
        two = cluster(2, ProviderLimits(requests_per_minute=600), latency=0.1)

        async def main() -> None:
            await users(two.workers[0], 2, 3)
            await two.workers[0].die()
            await users(two.workers[1], 50, 60)

        two.run(main())
        assert len(two.workers[1].sent) >= 0.95 * (57 * 10)


class TestWithoutTheStore:
    def test_they_go_on_with_their_last_share_and_say_so_once(self, cluster, told):
        ten = cluster(10, ProviderLimits(requests_per_minute=600), latency=0.2)

        async def main() -> None:
            busy = [asyncio.ensure_future(users(worker, 5, 60)) for worker in ten.workers]
            await asyncio.sleep(20)
            for worker in ten.workers:
                worker.line.cut = True
            await asyncio.sleep(20)
            for worker in ten.workers:
                worker.line.cut = False
            await asyncio.gather(*busy)

        ten.run(main())
        before, during, after = (
            [time for time in ten.sent if start <= time < start + 16] for start in (4, 24, 44)
        )
        assert len(before) == pytest.approx(160, rel=0.1)
        assert 0.8 * 160 <= len(during) <= 160 + 10, "neither stopped nor free"
        assert len(after) == pytest.approx(160, rel=0.1)
        assert told.count("limits.alone") == 10, "each of the ten processes once"
        assert told.count("limits.shared") == 10

    def test_a_store_that_does_not_answer_holds_nobody_up_for_long(self, cluster):
        two = cluster(2, latency=0.1)

        async def main() -> None:
            for worker in two.workers:
                worker.line.silent = True
            await two.workers[0].call()

        two.run(main())
        assert two.loop.time() <= 5.2, "before the first answer nothing tells how many others there are"

    def test_once_it_had_a_share_a_worker_waits_a_second_at_most(self, cluster):
        one = cluster(1, ProviderLimits(requests_per_minute=60), latency=0.1)

        async def main() -> float:
            await one.workers[0].call()
            one.workers[0].line.silent = True
            await asyncio.sleep(100)
            start = one.loop.time()
            await one.workers[0].call()
            return one.loop.time() - start

        # From an empty bucket, at one per second.
        assert one.run(main()) <= 1.0 + 1.0 + 0.2

    def test_what_was_learned_before_goes_on_to_hold(self, cluster):
        four = cluster(4, rate=8, burst=8, latency=0.2)

        async def main() -> int:
            busy = [asyncio.ensure_future(users(worker, 5, 60)) for worker in four.workers]
            await asyncio.sleep(30)
            before = four.provider.refused
            for worker in four.workers:
                worker.line.cut = True
            await asyncio.gather(*busy)
            return four.provider.refused - before

        refused = four.run(main())
        assert refused <= 60, "each of the four finds out for itself how far it may go"
        during = [time for time in four.provider.answers if time > 35]
        assert len(during) >= 0.7 * 8 * 25

    def test_calls_at_once_stay_within_what_is_configured(self, cluster):
        four = cluster(4, ProviderLimits(concurrency=8), latency=0.2)

        async def main() -> None:
            busy = [asyncio.ensure_future(users(worker, 10, 30)) for worker in four.workers]
            await asyncio.sleep(5)
            for worker in four.workers:
                worker.line.cut = True
            await asyncio.gather(*busy)

        four.run(main())
        assert four.provider.peak <= 8
        assert len([time for time in four.sent if 10 <= time < 30]) >= 0.8 * 20 * 8 / 0.2

    def test_a_worker_that_never_reached_it_is_bound_by_what_is_configured(self, cluster):
        one = cluster(1, ProviderLimits(requests_per_minute=60), latency=0.1)
        one.workers[0].line.cut = True
        one.run(users(one.workers[0], 20, 30))
        assert most_within(one.sent, 20) <= 6 + 20 + 1
        assert len(one.sent) >= 30


class TestWhatItCosts:
    def test_a_call_that_nothing_holds_up_waits_for_no_round_trip(self, cluster):
        one = cluster(1, latency=0.05)

        async def main() -> None:
            await one.workers[0].call()
            for _ in range(100):
                start = one.loop.time()
                await one.workers[0].call()
                assert one.loop.time() - start == pytest.approx(0.055)

        one.run(main())
        assert one.exchanges <= 8, "one a second"

    def test_neither_does_one_with_configured_limits_that_are_far_away(self, cluster):
        one = cluster(1, ProviderLimits(requests_per_minute=6000, tokens_per_minute=6_000_000), latency=0.05)

        async def main() -> None:
            await one.workers[0].call()
            for pause in (0, 0, 0, 0, 3, 0, 20, 0, 0, 30):
                await asyncio.sleep(pause)
                start = one.loop.time()
                await one.workers[0].call()
                assert one.loop.time() - start == pytest.approx(0.055)

        one.run(main())

    def test_an_idle_worker_asks_nothing(self, cluster):
        one = cluster(1, ProviderLimits(requests_per_minute=600, concurrency=5), latency=0.05)

        async def main() -> int:
            await asyncio.sleep(100)
            assert not one.database.round_trips
            await one.workers[0].call()
            await asyncio.sleep(5)
            before = len(one.database.round_trips)
            await asyncio.sleep(1000)
            return len(one.database.round_trips) - before

        assert one.run(main()) == 0

    def test_while_a_limit_binds_a_worker_asks_at_most_twenty_times_a_second(self, cluster):
        ten = cluster(10, ProviderLimits(requests_per_minute=600), latency=0.2)
        seconds = ten.burst_of(300)
        assert ten.exchanges <= 20 * seconds * 10
        assert ten.exchanges <= 100 * seconds + 100, "and all of them together a hundred times"


class TestComingAndGoing:
    def test_a_hundred_workers_that_begin_at_once(self, cluster):
        many = cluster(100, latency=1.0)
        assert many.burst_of(100) <= 1.6
        assert not any(worker.boundary.provider("simulated").limit.rate for worker in many.workers)

    def test_workers_are_rolled_while_calls_wait(self, cluster):
        four = cluster(4, ProviderLimits(requests_per_minute=600), latency=0.2)

        async def main() -> None:
            async def one_after_the_other(first: Worker) -> None:
                worker = first
                for until in (5, 10, 15, 20):
                    await users(worker, 10, until)
                    await worker.boundary.close()
                    worker = four.new_worker()

            await asyncio.gather(*(one_after_the_other(worker) for worker in list(four.workers)))

        four.run(main())
        for window in (1, 5, 20):
            assert most_within(four.sent, window) <= 60 + 10 * (window + 0.5)
        assert len(four.sent) >= 0.9 * (60 + 200)

    def test_the_database_forgets_everything(self, cluster):
        """The table is not logged: after a crash of the database it is empty."""
        four = cluster(4, rate=8, burst=8, latency=0.2)

        async def main() -> None:
            busy = [asyncio.ensure_future(users(worker, 5, 40)) for worker in four.workers]
            await asyncio.sleep(20)
            four.database.rows.clear()
            await asyncio.gather(*busy)

        four.run(main())
        assert len([time for time in four.provider.answers if time > 22]) >= 0.8 * 8 * 18
        assert four.provider.refused <= 80

    def test_a_stopped_call_leaves_at_once_and_takes_nobody_with_it(self, cluster):
        two = cluster(2, ProviderLimits(requests_per_minute=60), latency=0.1)

        async def main() -> None:
            calls = [two.workers[n % 2].call() for n in range(20)]
            await asyncio.sleep(1)
            for call in calls[::3]:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            assert two.loop.time() <= 18

        two.run(main())
