"""When a call to a provider may start, where all workers share its limits: a worker's side of it.

A call asks nobody: it starts if this process has a permit, a slot, or knows of no limit. Reports go to the store
beside the calls, in one round trip for all of them: once a second while there are calls, more often while a limit
holds calls up, never while there are none.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from turnlane.runtime.limiter import Limiter, UsualTokens
from turnlane.runtime.limits import INSTANT, ProviderLimits
from turnlane.runtime.provider_share import Report, Share
from turnlane.runtime.provider_state import HAND_LIFE, LEASE, ProviderState
from turnlane.runtime.retry import Fault, RetryBudget
from turnlane.runtime.shared_limits import SharedLimits
from turnlane.runtime.unreported import Unreported
from turnlane.telemetry.events import emit

HEARTBEAT: Final = 1.0
"""Seconds between reports while calls are made and nothing holds them up."""

URGENT: Final = 0.02
"""Seconds between reports of refusals."""

SOONEST: Final = 0.05
LATEST: Final = 0.25
PER_WORKER: Final = 0.01
"""Seconds between reports while calls wait: so many per worker that waits, within these bounds. The store then has
at most some 100 changes of a provider per second, however many workers there are."""

STALE: Final = 60.0
"""Seconds after which what was heard of a provider is no reason to call it without asking first."""

PATIENCE: Final = 1.0
"""Seconds that the store may take before this process goes on alone."""

FIRST_PATIENCE: Final = 5.0
"""The same before it ever had a share: nothing tells then how many others there are."""

FIRST_BACKOFF: Final = 0.5
LONGEST_BACKOFF: Final = 2.0

PERMIT_LIFE: Final = 0.5
"""Seconds for which a permit is good once it is due."""

MOST_WANTS: Final = 256
"""Permits that one report asks for."""


class Sharing:
    """Whether this process shares the limits at present; the log hears of a change once, for all providers."""

    def __init__(self) -> None:
        self._alone = False

    def lost(self, error: BaseException) -> None:
        if not self._alone:
            self._alone = True
            reason = "the store did not answer in time" if isinstance(error, TimeoutError) else str(error)
            emit("limits.alone", reason=reason or type(error).__name__)

    def found(self) -> None:
        if self._alone:
            self._alone = False
            emit("limits.shared")


class SharedLimiter:
    """The same as `Limiter`, with this worker's share of what all workers may send.

    While the store can't be reached it goes on with the last share it knew, on its own.

    Args:
        waiting: the expected tokens of the calls that wait, the next first; at most so many.
        changed: called when calls that wait may start now.
    """

    def __init__(
        self,
        provider: str,
        worker: str,
        store: SharedLimits,
        limits: ProviderLimits,
        budget: RetryBudget,
        usual: UsualTokens,
        sharing: Sharing,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._provider = provider
        self._worker = worker
        self._store = store
        self._limits = limits
        self._budget = budget
        budget.on_spend = lambda: self._report_within(self._interval(), since_last=True)
        self._usual = usual
        self._sharing = sharing
        self._clock = clock
        self._jitter = jitter
        self._local = Limiter(limits)
        self.adaptive = self._local.adaptive
        self.waiting: Callable[[int], Sequence[float]] = lambda most: ()
        self.changed: Callable[[], None] = lambda: None

        self._share: Share | None = None
        self._heard_at = 0.0
        self._epoch = 0
        self._epoch_since = float("-inf")
        self._permits: deque[tuple[float, float]] = deque()
        """From when on, and for how many tokens."""
        self._hand: tuple[int, float] = (0, 0.0)
        self._hand_until = 0.0
        self._slots = 0
        self._slots_until = 0.0
        self._lets_go = False
        """It has fewer slots than before, and the others may use them when they know that it knows."""
        self._news_at = float("-inf")
        self._unsettled = False
        """A refusal was heard whose meaning is not known yet: nothing is sent before it is."""
        self._alone = False
        self._alone_since = 0.0
        self._backoff = FIRST_BACKOFF
        self._pending = Unreported()
        self._asked_at = float("-inf")
        self._asking = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._closed = False

    @property
    def rate(self) -> float | None:
        """Calls per second that were learned, of all workers; None: none was."""
        return self.adaptive.rate if self._alone or self._share is None else self._share.rate

    @property
    def concurrency(self) -> float:
        """Calls at once, of all workers if that was learned, else of this one."""
        known = None if self._alone or self._share is None else self._share.concurrency
        return self.adaptive.concurrency if known is None else known

    # --- what the gate asks, and what it is told (see `Limiter`) ---

    def wait(self, now: float, tokens: float) -> float | None:
        if self._alone:
            return self._local.wait(now, tokens)
        if self._share is None or now - self._heard_at > STALE or self._unsettled:
            self._want(urgent=True)
            return None
        delay = self.adaptive.wait(now)
        if delay != 0:
            return delay
        if self._share.slots is not None and self.adaptive.running >= self._slots_now(now):
            self._want()
            return None
        return self._until_permitted(now, tokens) if self._share.paced else 0.0

    def start(self, now: float, tokens: float) -> None:
        if self._alone:
            self._local.start(now, tokens)
        else:
            self.adaptive.start(now)
            if self._share is not None and self._share.paced:
                self._use_permit(now, tokens)
        self._pending.started(now)
        self._report_within(HEARTBEAT)

    def succeeded(self, now: float, tokens: float, used: float) -> None:
        if self._alone:
            self._local.succeeded(now, tokens, used)
        else:
            self.adaptive.succeeded(now)
            self._give_back_tokens(tokens - used)
        self._pending.answered += 1
        self._ended()

    def failed(self, now: float) -> None:
        self.adaptive.failed(now)
        self._ended()

    def refused(self, now: float, started: float, fault: Fault, tokens: float) -> None:
        if self._alone:
            self._local.refused(now, started, fault, tokens)
            return
        self.adaptive.failed(now)
        self._give_back_tokens(tokens)
        epoch = self._epoch if started >= self._epoch_since else self._epoch - 1
        self._pending.refused(now, started, epoch, fault)
        if fault.retry_after is not None:
            self._pause(now + fault.retry_after)
        self._unsettled = True
        self._ended()
        self._report_within(URGENT, since_last=True)

    def hear(self, news: str) -> None:
        """Another worker learned something."""
        try:
            told = json.loads(news)
            epoch, pause = int(told["epoch"]), float(told["pause"])
        except (ValueError, TypeError, KeyError):
            return  # from a version that says it in another way; the next report brings it
        if epoch <= self._epoch or self._alone:
            return
        now = self._clock()
        self._pause(now + pause)
        self._void_permits()
        self._unsettled, self._news_at = True, now
        if self.adaptive.running or self.waiting(1):
            self._report_within(URGENT * self._jitter())

    async def close(self) -> None:
        """Give the share back and end."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._share is None or self._alone or self._clock() - self._heard_at > LEASE:
            return
        self._void_permits()
        self._pending.give_back(*self._hand)
        with suppress(Exception):  # it comes back by itself
            await self._send(self._report(self._clock(), leaving=True))

    # --- permits and slots ---

    def _slots_now(self, now: float) -> int:
        return self._slots if now < self._slots_until else 0

    def _until_permitted(self, now: float, tokens: float) -> float | None:
        while self._permits and self._permits[0][0] < now - PERMIT_LIFE:
            self._pending.give_back(1, self._permits.popleft()[1])
        if self._permits and self._permits[0][0] <= now + INSTANT:
            return 0.0
        if self._in_hand(now, tokens):
            return 0.0
        if self._permits:
            return self._permits[0][0] - now
        self._want()
        return None

    def _in_hand(self, now: float, tokens: float) -> bool:
        if now >= self._hand_until:
            self._hand = (0, 0.0)
        requests, left = self._hand
        return requests >= 1 and (self._limits.tokens_per_minute is None or left >= tokens)

    def _use_permit(self, now: float, tokens: float) -> None:
        if self._permits and self._permits[0][0] <= now + INSTANT:
            self._give_back_tokens(self._permits.popleft()[1] - tokens)
            if not self._permits and self.waiting(1):
                self._want()
            return
        requests, left = self._hand
        self._hand = (requests - 1, left - tokens)
        if requests <= 2:
            self._report_within(SOONEST, since_last=True)

    def _give_back_tokens(self, tokens: float) -> None:
        if self._limits.tokens_per_minute is not None:
            self._pending.give_back(tokens=tokens)

    def _void_permits(self) -> None:
        while self._permits:
            self._pending.give_back(1, self._permits.popleft()[1])

    def _ended(self) -> None:
        share = self._share
        if share is None or share.slots is None or self._alone:
            return
        if share.once:
            self._slots = max(0, self._slots - 1)
        if share.once or self.adaptive.running < self._slots:
            self._report_within(SOONEST if share.once else self._interval(), since_last=True)

    def _pause(self, until: float) -> None:
        self.adaptive.paused_until = max(self.adaptive.paused_until, until)

    # --- reports and shares ---

    def _want(self, *, urgent: bool = False) -> None:
        """See to it that there is a report soon; whoever waits is looked at again when it is answered."""
        self._report_within(URGENT if urgent else self._interval(), since_last=True)

    def _interval(self) -> float:
        if self._share is None:
            return SOONEST
        usual = min(LATEST, max(SOONEST, PER_WORKER * self._share.contending))
        # Workers that were told the same at the same time must not come back at the same time.
        return max(self._share.ask_after, usual) * (0.8 + 0.4 * self._jitter())

    def _report_within(self, seconds: float, *, since_last: bool = False) -> None:
        if self._closed or self._asking:
            return  # what is to be done next is decided when the answer is there
        now = self._clock()
        at = max(now, self._asked_at + seconds) if since_last else now + seconds
        if self._alone:
            at = max(at, self._asked_at + self._backoff)
        if self._alarm is not None:
            if self._alarm_at <= at:
                return
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = asyncio.get_running_loop().call_later(at - now, self._begin_exchange)

    def _begin_exchange(self) -> None:
        self._alarm = None
        self._asking = True
        task = asyncio.get_running_loop().create_task(self._exchange(), name="provider limits")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _exchange(self) -> None:
        now = self._asked_at = self._clock()
        report = self._report(now)
        sent, self._pending = self._pending, Unreported()
        share = None
        try:
            share = await self._send(report)
        except Exception as error:
            sent.add(self._pending)
            self._pending = sent
            self._go_alone(error)
        else:
            self._take(share, report)
        finally:
            self._asking = False
        self._plan_next()
        self.changed()
        if share is not None and share.epoch > report.epoch and report.refusals:
            await self._announce(share)

    def _report(self, now: float, *, leaving: bool = False) -> Report:
        waiting = self.waiting(MOST_WANTS)
        if not waiting and self._share is not None and self._share.contending:
            self._slots = min(self._slots, self.adaptive.running)
        holding = len(self._permits)
        room = max(0, int(self.adaptive.concurrency) - self.adaptive.running - holding)
        called, retried = self._budget.counts()
        self._pending.called += called
        self._pending.retried += retried
        return self._pending.report(
            now,
            epoch=self._epoch,
            running=self.adaptive.running,
            waiting=len(waiting),
            wants=tuple(waiting[holding : holding + room]),
            holding=holding,
            hand=self._hand,
            slots=self._slots_now(now),
            typical=self._usual.latest,
            alone_for=now - self._alone_since if self._alone else 0.0,
            leaving=leaving,
        )

    async def _send(self, report: Report) -> Share:
        def change(text: str | None, now: float) -> tuple[str, Share]:
            state = ProviderState.from_text(text, now)
            share = state.exchange(now, self._worker, report, self._limits)
            return state.to_text(), share

        async with asyncio.timeout(PATIENCE if self._share is not None else FIRST_PATIENCE):
            return await self._store.update(self._provider, change)

    async def _announce(self, share: Share) -> None:
        news = json.dumps({"epoch": share.epoch, "pause": round(share.paused, 4)})
        with suppress(Exception):  # the others hear of it with their next report
            async with asyncio.timeout(PATIENCE):
                await self._store.announce(self._provider, news)

    def _take(self, share: Share, report: Report) -> None:
        now = self._clock()
        if self._alone:
            self._come_back()
        if self._share is None:
            self.adaptive.begin_with(min(share.first, self.adaptive.ceiling))
        if share.epoch != self._epoch:
            self._void_permits()
            if self._share is not None:
                self._tell(share)
            self._epoch, self._epoch_since = share.epoch, now
        self._share, self._heard_at = share, now
        self._unsettled = bool(self._pending.refusals) or self._news_at > self._asked_at
        self._pause(now + share.paused)
        self._permits.extend((now + permit.delay, permit.tokens) for permit in share.permits)
        self._refill_hand(share)
        self._slots = share.slots or 0
        self._lets_go = share.slots is not None and share.slots < report.slots
        self._slots_until = self._asked_at + LEASE
        self._budget.divided(share.retries)

    def _tell(self, share: Share) -> None:
        emit(
            "model.limit",
            provider=self._provider,
            concurrency=int(share.concurrency or self.adaptive.concurrency),
            rate=share.rate,
            paused=round(share.paused, 3) or None,
        )

    def _refill_hand(self, share: Share) -> None:
        if share.rate is not None or (share.contending and not self.waiting(1)):
            # There is no plenty any more: others wait for what lies here.
            self._pending.give_back(*self._hand)
            self._hand = (0, 0.0)
            return
        self._hand = (self._hand[0] + share.hand[0], self._hand[1] + share.hand[1])
        self._hand_until = self._asked_at + HAND_LIFE

    def _plan_next(self) -> None:
        share = self._share
        if self._closed:
            return
        if self._alone or share is None:
            if self.adaptive.running or self.waiting(1):
                self._report_within(self._backoff)
        elif self._unsettled or self._lets_go:
            self._report_within(URGENT, since_last=True)
        elif share.slots is not None and share.contending and (self.adaptive.running or self._slots):
            # Slots that are not needed any more are waited for elsewhere.
            self._report_within(self._interval(), since_last=True)
        elif self.adaptive.running or self._pending or self.waiting(1):
            self._report_within(HEARTBEAT)

    # --- without the store ---

    def _go_alone(self, error: Exception) -> None:
        now = self._clock()
        self._sharing.lost(error)
        if self._alone:
            self._backoff = min(LONGEST_BACKOFF, 2 * self._backoff)
            return
        self._alone = True
        self._alone_since = self._asked_at
        share = self._share
        if share is not None:
            self._local.take_part(now, 1.0 / share.members, share.rate, share.concurrency)
        else:
            self._local.take_part(now, 1.0, None, None)
        for _, started, _, fault in self._pending.refusals:
            self._local.learn(now, started, fault)
        self._pending.refusals.clear()
        self._unsettled = False

    def _come_back(self) -> None:
        self._alone = False
        self._backoff = FIRST_BACKOFF
        self._sharing.found()
        self._local.take_all()
