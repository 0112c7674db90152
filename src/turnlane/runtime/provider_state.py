"""What all workers together know of one provider, and what each of them may do by it.

Pure: a worker reports what it did and what it wants, at a time of the store's clock, and gets its share. The store
keeps the state as one text and applies one report after the other (`turnlane.runtime.shared_limits`).

- Rates (configured or learned) are handed out as *permits*: the right to start one call from some moment on. A
  permit of a worker that dies is lost, no more; nothing has to be taken back.
- While a configured rate is far from used up, each worker also has a few permits *in hand*, so that a call need
  not wait for the store.
- Concurrency (configured or learned) is handed out as *slots*, for as long as the worker is heard of.
- What refusals teach is for all: the rate, the concurrency, and a pause. Each such change begins a new *epoch*;
  permits of an older one are void.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from typing import Final

from turnlane.runtime.learned_rate import DECREASE, LearnedRate
from turnlane.runtime.limits import ProviderLimits
from turnlane.runtime.provider_share import Permit, Refused, Report, Share
from turnlane.runtime.shared_buckets import Hand, SharedBuckets

LEASE: Final = 3.0
"""Seconds after its last word for which a worker keeps its slots, and counts where something is divided."""

HAND_LIFE: Final = 60.0
"""Seconds for which permits in hand are good."""

HAND: Final = 8
"""Permits in one hand at most."""

HORIZON: Final = 2.0
"""Seconds ahead for which a permit is given. Further ahead, the provider may have changed its mind."""

AHEAD: Final = 0.3
"""Seconds ahead for which a worker gets its part of the permits, when it wants many; longer than asking takes."""

FIRST_WAVE: Final = 10
"""Calls that all workers together send to a provider of which nothing is known, before an answer is heard."""

HERD: Final = 2.0
"""Seconds within which workers that begin count as beginning together."""

MOST_SLOTS: Final = 1000.0
"""Calls at once from which on concurrency counts as not limited, if it was learned."""

PAUSE_GRAIN: Final = 0.05
"""Seconds by which a pause must grow to be told again."""

BUDGET_RATIO: Final = 0.2
BUDGET_RESERVE: Final = 50.0
"""The retry budget of a provider, see `turnlane.runtime.retry.RetryBudget`."""

FORGET: Final = 3600.0
"""Seconds without a word from anybody after which what was learned is forgotten."""


@dataclass(slots=True)
class Member:
    """A worker that was heard of lately."""

    seen: float
    joined: float
    first: int = 0
    running: int = 0
    waiting: int = 0
    unserved: int = 0
    """Those of its calls that wait for something that it was not given."""
    slots: int = 0
    started: float = 0.0
    """When it last sent a call."""


@dataclass(slots=True)
class ProviderState:
    """The state of one provider. All times are seconds of the store's clock."""

    seen: float = 0.0
    epoch: int = 0
    paused_until: float = 0.0
    learned: LearnedRate = field(default_factory=LearnedRate)
    concurrency: float | None = None
    requests_full_at: float = 0.0
    tokens_full_at: float = 0.0
    budget: float = BUDGET_RESERVE
    members: dict[str, Member] = field(default_factory=dict)
    hands: dict[str, Hand] = field(default_factory=dict)

    def exchange(self, now: float, worker: str, report: Report, limits: ProviderLimits) -> Share:
        """Take a worker's report and give it its share."""
        nobody_since = self.seen
        self._set_clock(now)
        member = self._note(now, worker, report)
        self._learn(now, report)
        buckets = self._buckets(now, worker, report, limits)
        if 0 < report.alone_for <= now - nobody_since:
            # Nobody could report, and all went on with their parts: the buckets did not fill meanwhile.
            buckets.empty(now)
        buckets.settle(now, *report.returned)
        slots, once = self._slots(worker, limits)
        # It may use those that it had until it hears of this.
        member.slots = max(slots or 0, report.slots)
        paced = buckets.any or self.learned.rate is not None
        permits, ask_after = self._permits(now, report, slots, buckets)
        served = report.holding + len(permits) if paced else report.waiting
        if slots is not None:
            served = min(served, slots - report.running)
        member.unserved = max(0, report.waiting - served)
        hand = self._fill_hand(now, worker, report, buckets)
        self._keep(buckets)
        if report.leaving:
            self.members.pop(worker)
            self.hands.pop(worker, None)
        members = max(1, len(self.members))
        return Share(
            epoch=self.epoch,
            members=members,
            contending=self._contending(),
            paced=paced,
            permits=permits,
            hand=hand,
            slots=slots,
            once=once,
            paused=max(0.0, self.paused_until - now),
            rate=self.learned.rate,
            concurrency=self._concurrency(limits),
            retries=self.budget / members,
            first=member.first,
            ask_after=ask_after,
        )

    # --- who there is ---

    def _set_clock(self, now: float) -> None:
        if now < self.seen:
            # The store's clock went back, as after a failover: what is still to come stays as far away.
            self._shift(now - self.seen)
        elif now - self.seen > FORGET:
            self._forget()
        self.seen = now
        self.members = {name: m for name, m in self.members.items() if now - m.seen <= LEASE}

    def _shift(self, seconds: float) -> None:
        self.paused_until += seconds
        self.requests_full_at += seconds
        self.tokens_full_at += seconds
        self.learned.shift(seconds)
        for member in self.members.values():
            member.seen += seconds
            member.joined += seconds
            member.started += seconds

    def _forget(self) -> None:
        self.learned = LearnedRate()
        self.concurrency = None
        self.budget = BUDGET_RESERVE

    def _note(self, now: float, worker: str, report: Report) -> Member:
        member = self.members.get(worker)
        if member is None:
            herd = sum(m.first for m in self.members.values() if now - m.joined <= HERD)
            member = self.members[worker] = Member(now, now, first=max(1, FIRST_WAVE - herd))
        member.seen = now
        member.running, member.waiting = report.running, report.waiting
        member.unserved = report.waiting
        if report.starts:
            member.started = now - report.starts[-1][0]
        return member

    def _contending(self) -> int:
        return sum(1 for member in self.members.values() if member.unserved)

    # --- what is learned ---

    def _learn(self, now: float, report: Report) -> None:
        for ago, calls in report.starts:
            self.learned.started(now - ago, calls)
        # Those that ended since the worker's last report were under way beside those of others.
        under_way = sum(member.running for member in self.members.values()) + len(report.refusals)
        for refusal in report.refusals:
            self._learn_refusal(now, refusal, under_way)
        if report.answered:
            self.learned.succeeded(now)
            self._widen(report.answered, under_way + report.answered)
        self.budget = min(BUDGET_RESERVE, self.budget + BUDGET_RATIO * report.called) - report.retried

    def _learn_refusal(self, now: float, refusal: Refused, under_way: int) -> None:
        # Calls that were sent before their sender knew of the last change are refused together: one lesson.
        news = refusal.epoch >= self.epoch
        if not refusal.overloaded:
            started = now - refusal.ago
            self.learned.turned_away(now, started, refusal.retry_after, refusal.granted, news=news)
        elif news:
            self.concurrency = max(1.0, min(self.concurrency or math.inf, under_way) * DECREASE)
        until = now + refusal.retry_after if refusal.retry_after is not None else 0.0
        if news or until > self.paused_until + PAUSE_GRAIN:
            self.epoch += 1
            self.paused_until = max(self.paused_until, until)
            self.learned.plan_anew(max(now, self.paused_until))

    def _widen(self, answered: int, under_way: int) -> None:
        if self.concurrency is None:
            return
        if 2 * under_way >= self.concurrency:
            self.concurrency += answered / self.concurrency
        if self.concurrency > MOST_SLOTS:
            self.concurrency = None

    # --- who gets what ---

    def _concurrency(self, limits: ProviderLimits) -> float | None:
        known = [float(limit) for limit in (limits.concurrency, self.concurrency) if limit is not None]
        return min(known) if known else None

    def _slots(self, worker: str, limits: ProviderLimits) -> tuple[int | None, bool]:
        """How many calls the worker may have under way, and whether a slot is for one call only."""
        concurrency = self._concurrency(limits)
        if concurrency is None:
            return None, False
        most = max(1, int(concurrency))
        me = self.members[worker]
        others = [member for name, member in self.members.items() if name != worker]
        free = most - sum(max(other.slots, other.running) for other in others)
        if most < len(self.members):
            return me.running + self._turn(me, others, free - me.running), True
        mine = fair_part(most, me.running + me.waiting, [other.running + other.waiting for other in others])
        return max(0, min(mine, free)), False

    def _turn(self, me: Member, others: list[Member], free: int) -> int:
        """1 if it is the worker's turn, where there are fewer slots than workers: the one served longest ago."""
        if not me.waiting:
            return 0
        before = sum(1 for o in others if o.waiting and o.slots <= o.running and o.started < me.started)
        return 1 if before < free else 0

    def _permits(
        self, now: float, report: Report, slots: int | None, buckets: SharedBuckets
    ) -> tuple[tuple[Permit, ...], float]:
        """Permits for the calls that wait, and when to ask again for those that get none."""
        rate = min(buckets.rate(report.typical), self.learned.rate or math.inf)
        if rate == math.inf:
            return (), 0.0
        room = len(report.wants) if slots is None else max(0, slots - report.running - report.holding)
        part = max(1, math.ceil(rate * AHEAD / max(1, self._contending())))
        ahead = report.holding
        given: list[Permit] = []
        for tokens in report.wants[:room]:
            at = max(buckets.earliest(now, tokens), self.paused_until)
            if self.learned.rate is not None and self.learned.next_start > now:
                self.learned.held(now)
                at = max(at, self.learned.next_start)
            if at > now + HORIZON:
                return tuple(given), at - now - HORIZON / 2
            if at > now:
                if ahead >= part:
                    break
                ahead += 1
            self.learned.space(at, self.paused_until)
            buckets.take(at, tokens)
            given.append(Permit(at - now, tokens))
        return tuple(given), 0.0

    def _buckets(self, now: float, worker: str, report: Report, limits: ProviderLimits) -> SharedBuckets:
        """The buckets as they are after what was used of hands."""
        used: list[tuple[float, Hand]] = []
        left = {}
        for name, hand in self.hands.items():
            if hand.until <= now:
                used.append((hand.until, hand))  # nobody knows better
            elif name != worker:
                left[name] = hand
            else:
                left[name] = Hand(hand.until, min(hand.requests, report.hand[0]), min(hand.tokens, report.hand[1]))
                requests, tokens = hand.requests - left[name].requests, hand.tokens - left[name].tokens
                used.append((now, Hand(now, requests, tokens)))
        self.hands = left
        buckets = SharedBuckets(limits, self.requests_full_at, self.tokens_full_at, left.values())
        for at, hand in used:
            buckets.take(at, hand.tokens, hand.requests)
        return buckets

    def _keep(self, buckets: SharedBuckets) -> None:
        if buckets.requests is not None:
            self.requests_full_at = buckets.requests.full_at
        if buckets.tokens is not None:
            self.tokens_full_at = buckets.tokens.full_at

    def _fill_hand(self, now: float, worker: str, report: Report, buckets: SharedBuckets) -> tuple[int, float]:
        """Permits beyond those asked for, while there are plenty and nobody waits."""
        hand = self.hands.pop(worker, Hand(now, 0, 0.0))
        if self.learned.rate is None and not self._contending() and hand.requests <= HAND / 2:
            new = min(HAND - hand.requests, buckets.room_in_hands(now, report.typical))
        else:
            new = 0
        tokens = new * report.typical if buckets.tokens is not None else 0.0
        buckets.put_in_hand(new, tokens)
        if hand.requests + new:
            self.hands[worker] = Hand(now + HAND_LIFE, hand.requests + new, hand.tokens + tokens)
        return new, tokens

    # --- as text ---

    def to_text(self) -> str:
        """What the store keeps."""
        return json.dumps(
            {
                "seen": self.seen,
                "epoch": self.epoch,
                "paused_until": self.paused_until,
                "learned": self.learned.to_json(self.seen),
                "concurrency": self.concurrency,
                "requests_full_at": self.requests_full_at,
                "tokens_full_at": self.tokens_full_at,
                "budget": self.budget,
                "members": {name: astuple(member) for name, member in self.members.items()},
                "hands": self.hands,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_text(cls, text: str | None, now: float) -> ProviderState:
        """The state of a text; a new one when there is none, or none that this version can read."""
        # Epochs begin with the time, so that a store that forgot everything does not begin with an old one.
        new = cls(seen=now, epoch=int(now))
        if text is None:
            return new
        try:
            kept = json.loads(text)
            kept["learned"] = LearnedRate.from_json(kept.get("learned", {}))
            kept["members"] = {name: Member(*values) for name, values in kept.get("members", {}).items()}
            kept["hands"] = {name: Hand(*values) for name, values in kept.get("hands", {}).items()}
            return cls(**kept)
        except (ValueError, TypeError, KeyError, AttributeError):
            return new


def fair_part(whole: int, mine: int, others: Sequence[int]) -> int:
    """How much of `whole` one gets who wants `mine`, where nobody gets more than he wants at the cost of another.

    What nobody wants is divided evenly, for what may come.
    """
    wanted = sorted((mine, *others))
    left, sharing = whole, len(wanted)
    for want in wanted:
        part = left // sharing
        if want > part:
            return min(mine, -(-left // sharing))
        left -= want
        sharing -= 1
    return mine + left // len(wanted)
