"""Who runs next: the lanes, the waiting turns and the workers' places. Pure: no I/O, time comes in.

The store is the truth; this is what can be made anew from it at any time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Final

from turnlane.runtime.conversation import Lane, StopAsk
from turnlane.runtime.engines.earliest import Earliest

SHORTEST_RETRY: Final = 1.0
LONGEST_RETRY: Final = 60.0
"""Seconds; what a refused client is told lies between these two."""

NEWEST_WEIGHT: Final = 0.1
"""How much the last turn's duration counts in the running mean (an EWMA over about twenty turns)."""


@dataclass(slots=True, eq=False)
class Seat:
    """A worker's places: how many turns it may run at once, in all and of each agent."""

    capacity: int
    agent_limits: Mapping[str, int | None]
    running: int = 0
    running_of: dict[str, int] = field(default_factory=dict)

    def has_room(self, agent: str) -> bool:
        if self.running >= self.capacity or agent not in self.agent_limits:
            return False
        limit = self.agent_limits[agent]
        return limit is None or self.running_of.get(agent, 0) < limit

    def take(self, agent: str) -> None:
        self.running += 1
        self.running_of[agent] = self.running_of.get(agent, 0) + 1

    def free(self, agent: str) -> None:
        self.running -= 1
        self.running_of[agent] -= 1


CLOCK_SLACK: Final = 1.0
"""Seconds by which a clock may be corrected without anybody taking notice."""


@dataclass(slots=True)
class Waiting:
    """A turn that waits. `number` orders all turns; `attempt` counts the attempts that were begun."""

    number: int
    turn: str
    attempt: int
    created_at: float
    not_before: float | None = None
    """When it has gathered messages for long enough; None: it gathers none, or that time has come."""
    delay: float = 0.0
    """Seconds from the newest message to `not_before`."""
    joined: int = 0
    """Messages that joined the first."""

    def is_due(self, now: float) -> bool:
        """Whether it may start. Also when the clock shows a time before the wait began: it was set back then,
        and nobody should wait until it has caught up."""
        if self.not_before is None or self.not_before <= now:
            return True
        return now < self.not_before - self.delay - CLOCK_SLACK


@dataclass(slots=True)
class Running:
    """A turn that runs. `seat` None: its worker is not known to this process."""

    number: int
    turn: str
    attempt: int
    created_at: float
    started_at: float
    seat: Seat | None
    stop_asked: StopAsk | None = None
    recorded: bool = False
    """There may be a ledger of it."""


@dataclass(slots=True)
class LiveLane:
    """A conversation with turns that have not ended."""

    conversation: str
    agent: str
    key: str
    running: Running | None = None
    waiting: deque[Waiting] = field(default_factory=deque)

    def picture(self) -> Lane:
        return Lane(
            conversation=self.conversation,
            agent=self.agent,
            key=self.key,
            running=self.running.turn if self.running else None,
            queued=len(self.waiting),
            oldest_at=self.oldest_at,
        )

    @property
    def first_turn(self) -> str:
        """The turn that runs, or will run next."""
        return (self.running or self.waiting[0]).turn

    @property
    def oldest_at(self) -> float:
        return (self.running or self.waiting[0]).created_at


class Lanes:
    """One turn of a conversation at a time, in order; conversations by the age of their first turn.

    Between two calls nothing waits that could run: whoever makes room takes with `take` what fits.
    """

    def __init__(self, seats: Iterable[Seat] = ()) -> None:
        self.seats: list[Seat] = list(seats)
        self.queued = 0
        self.running = 0
        self.mean_seconds = SHORTEST_RETRY
        self._lanes: dict[str, LiveLane] = {}
        self._ready: dict[str, Earliest[str]] = {}
        self._gathering: Earliest[str] = Earliest()
        self._queued: Earliest[int] = Earliest()

    # --- looking ---

    def __len__(self) -> int:
        return len(self._lanes)

    def lane(self, conversation: str) -> LiveLane | None:
        return self._lanes.get(conversation)

    def owner(self, conversation: str, turn: str, attempt: int) -> Running | None:
        """What runs, if it is this attempt of this turn: the fence."""
        lane = self._lanes.get(conversation)
        if lane is None or lane.running is None:
            return None
        running = lane.running
        return running if running.turn == turn and running.attempt == attempt else None

    def seat_for_new(self, conversation: str, agent: str, *, emptied: bool = False) -> Seat | None:
        """The seat in which a turn accepted now may start at once; None: it has to wait.

        Args:
            emptied: what waits in the lane will have left it.
        """
        lane = self._lanes.get(conversation)
        if lane is not None and (lane.running is not None or not emptied):
            return None
        return self._seat_for(agent)

    def next_due(self) -> float | None:
        """When a turn that gathers messages may start, if nothing else holds it up; None: none gathers."""
        first = self._gathering.first()
        return first[0] if first else None

    def oldest_queued_at(self) -> float | None:
        first = self._queued.first()
        return first[0] if first else None

    def longest_waiting(self, *, key: str | None, limit: int) -> list[Lane]:
        """Pictures of at most `limit` lanes (of one key), the one with the oldest turn first."""
        return [lane.picture() for lane in nsmallest(limit, self._of(key), key=lambda lane: lane.oldest_at)]

    def retry_after(self, waiting: int, places: int) -> float:
        """Seconds until one of `waiting` turns has probably ended, given how many run side by side."""
        estimate = self.mean_seconds * waiting / max(1, places)
        return min(LONGEST_RETRY, max(SHORTEST_RETRY, estimate))

    def places(self) -> int:
        return sum(seat.capacity for seat in self.seats)

    # --- changing ---

    def run_at_once(self, conversation: str, agent: str, key: str, running: Running) -> None:
        """A turn that runs without having waited here, in an idle lane."""
        self._start(self._lane_of(conversation, agent, key), running)

    def wait(self, conversation: str, agent: str, key: str, waiting: Waiting) -> None:
        """A turn at the end of its lane."""
        lane = self._lane_of(conversation, agent, key)
        lane.waiting.append(waiting)
        self._count_queued(waiting)
        self._refresh(lane)

    def take(self, now: float) -> Running | None:
        """Start the longest-waiting turn that has a place; None: nothing that waits has one."""
        self._end_gathering(now)
        found = self._first_ready()
        if found is None:
            return None
        lane, seat = found
        first = lane.waiting.popleft()
        self._count_unqueued(first)
        running = Running(first.number, first.turn, first.attempt + 1, first.created_at, now, seat)
        self._start(lane, running)
        return running

    def join(self, conversation: str, not_before: float | None, delay: float) -> None:
        """A message has joined the last turn that waits. With `not_before` that gathers more until then."""
        lane = self._lanes[conversation]
        last = lane.waiting[-1]
        last.joined += 1
        if not_before is not None:
            last.not_before, last.delay = not_before, delay
            self._refresh(lane)

    def end(self, conversation: str, now: float) -> None:
        """What ran in the lane has ended."""
        lane = self._lanes[conversation]
        running = self._stop(lane)
        self.mean_seconds += NEWEST_WEIGHT * (max(0.0, now - running.started_at) - self.mean_seconds)
        self._refresh(lane)

    def put_back(self, conversation: str) -> None:
        """What ran in the lane waits again, at the head."""
        lane = self._lanes[conversation]
        running = self._stop(lane)
        waiting = Waiting(running.number, running.turn, running.attempt, running.created_at)
        lane.waiting.appendleft(waiting)
        self._count_queued(waiting)
        self._refresh(lane)

    def drop(self, conversation: str, turn: str) -> None:
        """A waiting turn leaves the lane without having run."""
        lane = self._lanes[conversation]
        waiting = next(waiting for waiting in lane.waiting if waiting.turn == turn)
        lane.waiting.remove(waiting)
        self._count_unqueued(waiting)
        self._refresh(lane)

    def empty(self, conversation: str) -> list[Waiting]:
        """All that waits leaves the lane without having run; what runs in it goes on."""
        lane = self._lanes[conversation]
        left = list(lane.waiting)
        for waiting in left:
            self._count_unqueued(waiting)
        lane.waiting.clear()
        self._refresh(lane)
        return left

    def remove(self, conversation: str) -> LiveLane | None:
        """The whole lane goes: it is returned as it was."""
        lane = self._lanes.get(conversation)
        if lane is None:
            return None
        was = LiveLane(lane.conversation, lane.agent, lane.key, lane.running, deque(lane.waiting))
        for waiting in lane.waiting:
            self._count_unqueued(waiting)
        lane.waiting.clear()
        if lane.running is not None:
            self._stop(lane)
        self._refresh(lane)
        return was

    # --- inside ---

    def _of(self, key: str | None) -> Iterator[LiveLane]:
        return (lane for lane in self._lanes.values() if key is None or lane.key == key)

    def _lane_of(self, conversation: str, agent: str, key: str) -> LiveLane:
        lane = self._lanes.get(conversation)
        if lane is None:
            lane = self._lanes[conversation] = LiveLane(conversation, agent, key)
        return lane

    def _start(self, lane: LiveLane, running: Running) -> None:
        lane.running = running
        self.running += 1
        if running.seat is not None:
            running.seat.take(lane.agent)
        self._refresh(lane)

    def _stop(self, lane: LiveLane) -> Running:
        running = lane.running
        assert running is not None
        lane.running = None
        self.running -= 1
        if running.seat is not None:
            running.seat.free(lane.agent)
        return running

    def _end_gathering(self, now: float) -> None:
        """Make ready what has gathered messages for long enough."""
        while (first := self._gathering.first()) is not None:
            lane = self._lanes[first[1]]
            if not lane.waiting[0].is_due(now):
                return
            lane.waiting[0].not_before = None
            self._refresh(lane)

    def _refresh(self, lane: LiveLane) -> None:
        """Keep the lane among the ready or the gathering ones exactly while it is idle and something waits."""
        first = lane.waiting[0] if lane.running is None and lane.waiting else None
        if first is not None and first.not_before is None:
            self._ready.setdefault(lane.agent, Earliest()).put(lane.conversation, first.number)
        elif (ready_of := self._ready.get(lane.agent)) is not None:
            ready_of.drop(lane.conversation)
            if not ready_of:
                del self._ready[lane.agent]
        if first is not None and first.not_before is not None:
            self._gathering.put(lane.conversation, first.not_before)
        else:
            self._gathering.drop(lane.conversation)
        if lane.running is None and not lane.waiting:
            del self._lanes[lane.conversation]

    def _first_ready(self) -> tuple[LiveLane, Seat] | None:
        best: tuple[float, str] | None = None
        best_seat: Seat | None = None
        for agent, ready in self._ready.items():
            first = ready.first()
            if first is not None and (best is None or first < best) and (seat := self._seat_for(agent)):
                best, best_seat = first, seat
        if best is None or best_seat is None:
            return None
        return self._lanes[best[1]], best_seat

    def _seat_for(self, agent: str) -> Seat | None:
        """The emptiest seat with room, so that workers fill evenly."""
        fitting = [seat for seat in self.seats if seat.has_room(agent)]
        return max(fitting, key=lambda seat: seat.capacity - seat.running, default=None)

    def _count_queued(self, waiting: Waiting) -> None:
        self.queued += 1
        self._queued.put(waiting.number, waiting.created_at)

    def _count_unqueued(self, waiting: Waiting) -> None:
        self.queued -= 1
        self._queued.drop(waiting.number)
