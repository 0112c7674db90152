"""What runs in this process: its workers' places, what they hold, and the batches in which they change it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from turnlane.runtime.conversation import Claim, StopAsk, Turn, TurnEvent
from turnlane.runtime.engine import Worker
from turnlane.runtime.engines.lanes import NEWEST_WEIGHT, Seat
from turnlane.runtime.engines.postgres.batches import Batches
from turnlane.runtime.engines.postgres.connection import Link
from turnlane.runtime.engines.postgres.leases import Leases
from turnlane.runtime.engines.postgres.notices import Notices
from turnlane.runtime.engines.postgres.watching import Watching
from turnlane.runtime.engines.postgres.working import Hold, Recover, Release, Working, lost
from turnlane.runtime.engines.unowned import tell_ended
from turnlane.runtime.limits import Bounds


class Running:
    """Places and holds. Hears of every batch after its commit (`working.Owner`), and of leases (`leases.Living`).

    `leases` and `watching` are set by the engine before anything runs.
    """

    leases: Leases
    watching: Watching

    def __init__(self, url: str, link: Link, notices: Notices, bounds: Bounds, lease: float) -> None:
        self.bounds = bounds
        self.lease = lease
        self.mean_seconds = 1.0
        """How long turns took lately, in seconds."""
        self.holds_by_turn: dict[str, Hold] = {}
        self.back = Batches("workers", url, link, Working(self), self.may_claim, self._unsure)
        self._notices = notices
        self._workers: dict[Seat, Worker] = {}
        self._claiming = False
        self._early_stops: dict[tuple[str, int], StopAsk] = {}
        """Turns, with their attempts, that are to stop and may have been claimed here a moment ago."""
        self._asked: Mapping[str, int] = {}
        """What the batch that is under way, or was last, claimed for: agents with their rooms."""

    @property
    def process(self) -> int:
        return self.leases.process

    # --- workers ---

    def attach(self, worker: Worker) -> None:
        """Claim for a worker; one that is known already gets its new size."""
        seat = self._seat_of(worker)
        if seat is None:
            seat = Seat(0, {})
            self._workers[seat] = worker
        seat.capacity, seat.agent_limits = worker.capacity, dict(worker.agent_limits)
        self.wake()

    def detach(self, worker: Worker) -> None:
        # The seat stays known: its running turns may have to be stopped.
        if (seat := self._seat_of(worker)) is not None:
            seat.capacity = 0

    def detach_all(self) -> None:
        for seat in self._workers:
            seat.capacity = 0

    def hold_of(self, claim: Claim) -> Hold:
        """Raises: OwnershipLost."""
        hold = self.holds_by_turn.get(claim.turn.id)
        if hold is None or hold.claim.attempt != claim.attempt:
            raise lost(claim)
        return hold

    async def give_back_all(self, timeout: float) -> None:
        """What still runs here is run by others at once, and not only when the lease is over."""
        holds = [hold for hold in self.holds_by_turn.values() if hold.ending is None]
        releases = [self.back.submit(Release(hold, tuple(hold.live.unwritten))) for hold in holds]
        if releases:
            await asyncio.wait(releases, timeout=timeout)

    def clear(self) -> None:
        self.holds_by_turn.clear()
        self._workers.clear()

    # --- claiming ---

    def wake(self, delay: float = 0.0) -> None:
        """There may be something to claim (in `delay` seconds)."""
        if not self._workers:
            return
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, self.wake)
            return
        self._claiming = True
        self.back.wake()

    def tell_work(self, agent: str, delay: float = 0.0) -> None:
        """A turn of the agent may start (in `delay` seconds), here or elsewhere."""
        if any(seat.has_room(agent) for seat in self._workers):
            self.wake(delay)
            if not delay:
                return
        self._notices.tell("work", [agent, delay])

    def hear_work(self, agent: str, delay: float) -> None:
        if any(agent in seat.agent_limits for seat in self._workers):
            self.wake(delay)

    def rooms(self) -> Mapping[str, int]:
        self._claiming = False
        if not self.leases.sure:
            self._asked = {}  # the next tick renews the leases, and wakes us
            return {}
        rooms: dict[str, int] = {}
        for seat in self._workers:
            free = seat.capacity - seat.running
            for agent, limit in seat.agent_limits.items():
                room = free if limit is None else min(free, limit - seat.running_of.get(agent, 0))
                if room > 0:
                    rooms[agent] = rooms.get(agent, 0) + room
        self._asked = rooms
        return rooms

    def total_room(self) -> int:
        return sum(max(0, seat.capacity - seat.running) for seat in self._workers)

    def may_claim(self) -> bool:
        return self._claiming

    def _unsure(self) -> None:
        """What was claimed last may be ours without our knowing; `owned` hears of it."""
        self.leases.hasten()

    # --- what became of a batch (`working.Owner`) ---

    def holds(self, number: int) -> bool:
        return any(hold.number == number for hold in self.holds_by_turn.values())

    def claimed(self, claim: Claim, number: int, receipt: int) -> None:
        if not self.leases.sure:
            # This process was frozen since: others may run the turn by now. If not, it waits again.
            self.back.submit(Recover((), [number]))
            return
        agent = claim.turn.agent
        live = self.watching.begin(claim)
        fitting = [seat for seat in self._workers if seat.has_room(agent)]
        seat = max(fitting, key=lambda seat: seat.capacity - seat.running, default=_NO_SEAT)
        # No seat: its worker was detached while the turn was claimed.
        hold = Hold(claim, number, receipt, seat, self._workers.get(seat, _NOBODY), live)
        seat.take(agent)
        self.holds_by_turn[hold.id] = hold
        if seat is _NO_SEAT:
            self.back.submit(Release(hold, ()))
        elif not self._call(hold.worker.deliver, claim):
            # A worker that can't take a turn gets no more; another, or the next attach, takes this one.
            seat.capacity = 0
            self.back.submit(Release(hold, ()))
        if (why := self._early_stops.pop((hold.id, claim.attempt), None)) is not None:
            self.stopped(hold, why)

    def filled(self, agent: str) -> None:
        self.tell_work(agent)

    def finished(self, hold: Hold, turn: Turn, events: Sequence[TurnEvent]) -> None:
        self._let_go(hold)
        seconds = max(0.0, (turn.finished_at or 0.0) - (turn.started_at or 0.0))
        self.mean_seconds += NEWEST_WEIGHT * (seconds - self.mean_seconds)
        hold.live.finish(turn, events)
        self.watching.forget(hold.id)
        self._notices.tell("ended", turn.id)
        if turn.agent not in self._asked:
            # Else the transaction that ended it has claimed already what follows in its lane.
            self.tell_work(turn.agent)

    def given_back(self, hold: Hold) -> None:
        if self.holds_by_turn.get(hold.id) is hold:  # else it was lost meanwhile
            self._let_go(hold)
            hold.live.requeue()
        self.watching.forget(hold.id)
        self.tell_work(hold.claim.turn.agent)

    def lost(self, hold: Hold) -> None:
        if self.holds_by_turn.get(hold.id) is not hold:
            return
        self._let_go(hold)
        self._call(hold.worker.lost, hold.id, hold.claim.attempt)
        hold.live.attempt = None
        self.watching.forget(hold.id)
        self.watching.refresh([hold.id])
        self.leases.hasten()  # it may be ours again by a claim whose answer was lost
        self.wake()

    def deleted(self, turn_id: str) -> None:
        """The turn and everything of it is gone."""
        if (hold := self.holds_by_turn.get(turn_id)) is not None:
            self._let_go(hold)
            self._call(hold.worker.lost, hold.id, hold.claim.attempt)
        self.watching.delete(turn_id)

    def stored(self, hold: Hold, last_seq: int) -> None:
        self._notices.tell("events", [hold.id, hold.claim.first_seq, last_seq])

    def stopped(self, hold: Hold, why: StopAsk) -> None:
        if hold.stop_asked != why:
            hold.stop_asked = why
            self._call(hold.worker.stop, hold.id, hold.claim.attempt, why)

    def stop(self, turn_id: str, attempt: int, why: StopAsk) -> None:
        """Somebody asked for a turn to stop that may run here."""
        hold = self.holds_by_turn.get(turn_id)
        if hold is None:
            self._early_stops[turn_id, attempt] = why
        elif hold.claim.attempt == attempt:
            self.stopped(hold, why)

    def ended(self, turn: Turn) -> None:
        tell_ended(turn)
        self.watching.refresh([turn.id])
        self._notices.tell("ended", turn.id)
        self.tell_work(turn.agent)

    def requeued(self, turn_id: str, agent: str) -> None:
        self.watching.refresh([turn_id])
        self.tell_work(agent)

    # --- what the leases tell (`leases.Living`) ---

    def holding(self) -> Sequence[Hold]:
        return list(self.holds_by_turn.values())

    def owned(self, held: Sequence[Hold], rows: Sequence[Any]) -> None:
        self._early_stops.clear()  # `rows` tell the same
        ours = {row["turn"]: row for row in rows}
        for hold in held:
            row = ours.get(hold.number)
            if hold.ending is not None or self.holds_by_turn.get(hold.id) is not hold:
                continue
            if row is None or row["receipt"] != hold.receipt:
                self.lost(hold)
            elif row["stop_asked"] is not None:
                self.stopped(hold, row["stop_asked"])
        known = {hold.number for hold in self.holds_by_turn.values()}
        if adrift := [number for number in ours if number not in known]:
            self.back.submit(Recover((), adrift))

    # --- inside ---

    def _let_go(self, hold: Hold) -> None:
        if self.holds_by_turn.get(hold.id) is hold:
            del self.holds_by_turn[hold.id]
            hold.seat.free(hold.claim.turn.agent)

    def _seat_of(self, worker: Worker) -> Seat | None:
        return next((seat for seat, known in self._workers.items() if known is worker), None)

    def _call(self, callback: Callable[..., None], *arguments: object) -> bool:
        """Call a worker: False when it raised. An error of one must not keep the others from their turns."""
        try:
            callback(*arguments)
            return True
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"{callback!r} of a worker raised; it must not", "exception": error}
            )
            return False


class _Nobody:
    """Stands for a worker that was detached while a turn was claimed for it."""

    capacity = 0
    agent_limits: Mapping[str, int | None] = {}

    def deliver(self, claim: Claim) -> None: ...

    def stop(self, turn_id: str, attempt: int, why: StopAsk) -> None: ...

    def lost(self, turn_id: str, attempt: int) -> None: ...


_NOBODY: Final = _Nobody()
_NO_SEAT: Final = Seat(0, {})
