"""What all workers together know of a provider: invariants for any history of reports, deaths and clocks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from turnlane.runtime.limits import ProviderLimits
from turnlane.runtime.provider_share import Refused, Report, Share
from turnlane.runtime.provider_state import HAND_LIFE, LEASE, ProviderState, fair_part
from turnlane.runtime.token_bucket import TokenBucket

NOW = 1_700_000_000.0
NO_LIMITS = ProviderLimits()


@settings(deadline=None)
@given(
    rate=st.floats(0.01, 1000),
    capacity=st.floats(1, 1000),
    asked=st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 2000)), max_size=40),
)
def test_a_bucket_gives_no_more_than_its_capacity_and_what_it_refills(rate, capacity, asked):
    bucket, now = TokenBucket(rate, capacity), 100.0
    taken: list[tuple[float, float]] = []
    for pause, cost in asked:
        now += pause
        now = bucket.earliest(now, cost)
        bucket.take(now, cost)
        taken.append((now, cost))
    for first, last in itertools.combinations_with_replacement(range(len(taken)), 2):
        total = sum(cost for _, cost in taken[first : last + 1])
        time = taken[last][0] - taken[first][0]
        biggest = max(cost for _, cost in taken[first : last + 1])
        # A cost above the capacity leaves a debt: only the last one of a window may have done so.
        assert total <= rate * time + max(capacity, biggest) + 1e-6 * total


def test_a_bucket_makes_up_for_what_was_not_used():
    bucket = TokenBucket(rate=1.0, capacity=10.0)
    bucket.take(0.0, 10)
    assert bucket.level(0.0) == pytest.approx(0)
    bucket.charge(0.0, -4)
    assert bucket.level(0.0) == pytest.approx(4)
    bucket.charge(0.0, 24)
    assert bucket.level(0.0) == pytest.approx(-20)
    assert bucket.earliest(0.0, 1) == pytest.approx(21)
    assert bucket.level(1000.0) == 10.0


class AnyWorkers(RuleBasedStateMachine):
    """Workers come, report in any order, use what they were given late or never, and die without a word.

    Whatever they do, they send no more than was configured.
    """

    limits = ProviderLimits(requests_per_minute=600, tokens_per_minute=60_000, concurrency=7)

    def __init__(self) -> None:
        super().__init__()
        self.text: str | None = None
        self.now = NOW
        self.permits: dict[str, list[tuple[float, float]]] = {}
        self.hands: dict[str, tuple[int, float, float]] = {}
        self.slots: dict[str, tuple[int, float]] = {}
        self.once: dict[str, bool] = {}
        self.running: dict[str, int] = {}
        self.unreported: dict[str, int] = {}
        self.sent: list[tuple[float, float]] = []

    @rule(seconds=st.floats(0, 20))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(worker=st.sampled_from("abcde"), waiting=st.lists(st.floats(1, 3000), max_size=30))
    def exchange(self, worker: str, waiting: list[float]) -> None:
        hand, hand_tokens = self._hand(worker)
        slots = self._slots(worker)
        held = self.permits.get(worker, [])
        report = Report(
            epoch=int(NOW),
            running=self.running.get(worker, 0),
            waiting=len(waiting),
            wants=tuple(waiting),
            holding=len(held),
            hand=(hand, hand_tokens),
            slots=slots,
            typical=100.0,
            answered=self.unreported.pop(worker, 0),
        )
        state = ProviderState.from_text(self.text, self.now)
        share = state.exchange(self.now, worker, report, self.limits)
        self.text = state.to_text()
        self.permits.setdefault(worker, []).extend((self.now + p.delay, p.tokens) for p in share.permits)
        self.hands[worker] = (hand + share.hand[0], hand_tokens + share.hand[1], self.now + HAND_LIFE)
        assert share.slots is not None
        self.slots[worker] = (share.slots, self.now + LEASE)
        self.once[worker] = share.once

    @rule(worker=st.sampled_from("abcde"), calls=st.integers(1, 10))
    def send(self, worker: str, calls: int) -> None:
        """Send what it may now; permits that were not due before are used when they are, at the earliest."""
        for _ in range(calls):
            if self.running.get(worker, 0) >= self._slots(worker):
                return
            held = self.permits.get(worker, [])
            hand, hand_tokens = self._hand(worker)
            if held and held[0][0] <= self.now:
                at, tokens = held.pop(0)
                if self.now > at + 0.5:
                    continue  # too late: it counts as lost
                self.sent.append((at, tokens))
            elif hand and hand_tokens >= 100:
                self.hands[worker] = (hand - 1, hand_tokens - 100, self.hands[worker][2])
                self.sent.append((self.now, 100))
            else:
                return
            self.running[worker] = self.running.get(worker, 0) + 1

    @rule(worker=st.sampled_from("abcde"))
    def end_a_call(self, worker: str) -> None:
        if self.running.get(worker, 0):
            self.running[worker] -= 1
            self.unreported[worker] = self.unreported.get(worker, 0) + 1
            if self.once[worker]:
                slots, until = self.slots[worker]
                self.slots[worker] = (max(0, slots - 1), until)

    @rule(worker=st.sampled_from("abcde"))
    def die(self, worker: str) -> None:
        for known in (self.permits, self.hands, self.slots, self.running, self.once, self.unreported):
            known.pop(worker, None)

    def _hand(self, worker: str) -> tuple[int, float]:
        requests, tokens, until = self.hands.get(worker, (0, 0.0, 0.0))
        return (requests, tokens) if self.now < until else (0, 0.0)

    def _slots(self, worker: str) -> int:
        slots, until = self.slots.get(worker, (0, 0.0))
        if self.now >= until:
            # Not heard of for so long: what still runs is as if it had died.
            self.running.pop(worker, None)
            return 0
        return slots

    @invariant()
    def no_more_at_once_than_allowed(self) -> None:
        for worker in "abcde":
            self._slots(worker)
        assert sum(self.running.values()) <= 7

    def teardown(self) -> None:
        sent = sorted(self.sent)
        for first, last in itertools.combinations_with_replacement(range(len(sent)), 2):
            time = sent[last][0] - sent[first][0]
            assert last - first + 1 <= 60 + 10 * time + 1e-6
            tokens = sum(tokens for _, tokens in sent[first : last + 1])
            assert tokens <= 6000 + 1000 * time + 1e-3


TestAnyWorkers = AnyWorkers.TestCase
TestAnyWorkers.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)


def report(state: ProviderState, worker: str, now: float, limits: ProviderLimits = NO_LIMITS, **said) -> Share:
    said.setdefault("epoch", state.epoch)
    return state.exchange(now, worker, Report(**said), limits)


class TestMembers:
    def test_workers_that_begin_together_send_one_first_wave_together(self):
        state = ProviderState()
        first = [report(state, worker, NOW + i / 100).first for i, worker in enumerate("abcd")]
        assert first == [10, 1, 1, 1]

    def test_a_worker_that_begins_later_has_its_own(self):
        state = ProviderState()
        report(state, "a", NOW)
        assert report(state, "b", NOW + 2.5).first == 10

    def test_a_worker_that_is_not_heard_of_is_no_member(self):
        state = ProviderState()
        report(state, "a", NOW)
        assert report(state, "b", NOW + 2).members == 2
        assert report(state, "b", NOW + 3.5).members == 1

    def test_a_worker_that_leaves_gives_its_slots_back_at_once(self):
        state, limits = ProviderState(), ProviderLimits(concurrency=4)
        assert report(state, "a", NOW, limits, waiting=9).slots == 4
        assert report(state, "b", NOW, limits, waiting=9).slots == 0
        report(state, "a", NOW, limits, leaving=True)
        assert report(state, "b", NOW, limits, waiting=9).slots == 4


class TestSlots:
    def test_they_are_divided_as_soon_as_the_first_lets_go(self):
        state, limits = ProviderState(), ProviderLimits(concurrency=4)
        report(state, "a", NOW, limits, waiting=9)
        report(state, "b", NOW, limits, waiting=9)
        assert report(state, "a", NOW, limits, running=2, slots=4, waiting=9).slots == 2
        assert report(state, "b", NOW, limits, waiting=9).slots == 0, "the first may not have heard of it yet"
        report(state, "a", NOW, limits, running=2, slots=2, waiting=9)
        assert report(state, "b", NOW, limits, waiting=9).slots == 2

    def test_where_they_are_scarce_everybody_has_a_turn(self):
        state, limits = ProviderState(), ProviderLimits(concurrency=1)
        for worker in "abc":
            report(state, worker, NOW, limits)
        served: list[str] = []
        running = dict.fromkeys("abc", 0)
        for step in range(60):
            now, worker = NOW + 1 + step / 10, "abc"[step % 3]
            # A call takes until the worker's next report.
            started = ((0.1, 1),) if running[worker] else ()
            running[worker] = 0
            share = report(state, worker, now, limits, waiting=5, starts=started)
            assert share.once
            if share.slots:
                assert not any(running.values())
                running[worker] = 1
                served.append(worker)
        assert max(served.count(w) for w in "abc") - min(served.count(w) for w in "abc") <= 1
        assert len(served) == 15, "who ends is told of with the next report, and the next one starts"

    @given(whole=st.integers(1, 50), mine=st.integers(0, 60), others=st.lists(st.integers(0, 60), max_size=8))
    def test_a_fair_part(self, whole, mine, others):
        part = fair_part(whole, mine, others)
        assert part <= max(mine, whole)
        if mine + sum(others) <= whole:
            assert part >= mine
        else:
            assert part >= min(mine, whole // (1 + len(others)))
            assert part <= mine


class TestLearning:
    def test_a_refusal_is_one_lesson_for_all_who_had_not_heard_of_it(self):
        state = ProviderState()
        epoch = state.epoch
        for worker in "abc":
            report(state, worker, NOW, starts=((0.0, 10),), running=10)
        refused = tuple(Refused(epoch, ago=0.1) for _ in range(5))
        first = report(state, "a", NOW + 0.1, epoch=epoch, refusals=refused)
        rate = first.rate
        assert rate == pytest.approx(0.95 * 25)
        later = report(state, "b", NOW + 0.15, epoch=epoch, refusals=refused)
        assert later.rate == pytest.approx(0.95 * 20), "still of the first burst: what was let through is less"
        assert later.epoch == first.epoch

    def test_what_others_sent_before_the_refusal_counts_when_it_is_told(self):
        state = ProviderState()
        epoch = state.epoch
        report(state, "b", NOW - 5)
        share = report(state, "a", NOW, epoch=epoch, starts=((0.5, 10),), refusals=(Refused(epoch, ago=0.5),))
        assert share.rate == pytest.approx(0.95 * 9)
        share = report(state, "b", NOW + 0.05, epoch=epoch, starts=((0.6, 20),))
        assert share.rate == pytest.approx(0.95 * 29)

    def test_a_pause_is_for_all(self):
        state = ProviderState()
        report(state, "b", NOW)
        report(state, "a", NOW, refusals=(Refused(state.epoch, retry_after=7.0),))
        share = report(state, "b", NOW + 2, waiting=3, wants=(0.0, 0.0, 0.0))
        assert share.paused == pytest.approx(5.0)
        assert not share.permits, "further ahead than permits are given"

    def test_overloaded_together_is_one_lesson(self):
        state = ProviderState()
        for worker in "abc":
            report(state, worker, NOW, running=10)
        epoch = state.epoch
        overloaded = (Refused(epoch, overloaded=True),) * 10
        assert report(state, "a", NOW, epoch=epoch, refusals=overloaded).concurrency == pytest.approx(21)
        assert report(state, "b", NOW, epoch=epoch, refusals=overloaded).concurrency == pytest.approx(21)

    def test_the_retry_budget_is_one(self):
        state = ProviderState()
        assert report(state, "a", NOW).retries == 50
        assert report(state, "b", NOW, retried=20).retries == 15
        assert report(state, "a", NOW, called=100).retries == pytest.approx(25)

    def test_after_an_hour_without_calls_it_is_forgotten(self):
        state = ProviderState()
        report(state, "a", NOW, starts=((0.0, 3),), refusals=(Refused(state.epoch),))
        assert report(state, "a", NOW + 3000).rate is not None
        assert report(state, "a", NOW + 3000 + 3601).rate is None


class TestText:
    def test_what_is_kept_is_all_that_matters(self):
        limits = ProviderLimits(requests_per_minute=600)
        state = ProviderState.from_text(None, NOW)
        report(state, "a", NOW, limits, running=3, waiting=2, wants=(0.0, 0.0), starts=((0.1, 5),))
        report(state, "a", NOW + 1, limits, refusals=(Refused(state.epoch, retry_after=0.5),), retried=2)
        again = ProviderState.from_text(state.to_text(), NOW)
        for worker in "ab":
            said = {"waiting": 3, "wants": (0.0,) * 3, "starts": ((0.2, 1),), "answered": 1}
            assert report(state, worker, NOW + 2, limits, **said) == report(again, worker, NOW + 2, limits, **said)
        assert again.to_text() == state.to_text()

    @pytest.mark.parametrize(
        "text", ["", "null", "{", "[]", '{"seen":"x","members":3}', '{"of":"a newer version"}']
    )
    def test_a_text_that_says_nothing_is_a_new_beginning(self, text):
        state = ProviderState.from_text(text, NOW)
        assert report(state, "a", NOW).members == 1
        assert state.epoch == int(NOW), "later than any before"

    def test_a_hundred_workers_fit(self):
        state = ProviderState()
        for number in range(100):
            report(state, f"worker-{number:03}", NOW, running=5, waiting=9, starts=((0.0, 5),))
        assert len(state.to_text()) < 12_000


class TestClock:
    def test_a_clock_that_goes_back_stops_nobody(self):
        limits = ProviderLimits(requests_per_minute=60)
        state = ProviderState.from_text(None, NOW)
        wants = {"waiting": 20, "wants": (0.0,) * 20}
        report(state, "a", NOW, limits, **wants)
        share = report(state, "a", NOW - 7200, limits, **wants)
        assert share.members == 1
        assert share.permits
        assert share.permits[0].delay <= 8

    def test_a_clock_that_goes_forward_fills_one_bucket(self):
        limits = ProviderLimits(requests_per_minute=60)
        state = ProviderState.from_text(None, NOW)
        wants = {"waiting": 50, "wants": (0.0,) * 50}
        report(state, "a", NOW, limits, **wants)
        share = report(state, "a", NOW + 1e6, limits, **wants)
        assert sum(1 for permit in share.permits if permit.delay == 0) <= 6
