"""One seeded schedule of faults under load, from the first message to the verdict."""

from __future__ import annotations

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import anyio
from tests.faults.clients import User, Users, listing, shown, status_of
from tests.faults.kinds import Kind, kinds_of
from tests.faults.outcome import Outcome, waits_of_cut_off_turns
from tests.faults.processes import Zygote
from tests.faults.systems import Cluster, Embedded, System

from turnlane.testing.history import Accepted, History, check

Topology: TypeAlias = Literal["embedded", "cluster"]
TOPOLOGIES: Final[tuple[Topology, ...]] = get_args(Topology)

AGENTS: Final = ("talker", "talker", "keeper", "payer")

READERS: Final = 8
"""Requests at once when everything is read again at the end."""

RECOVERS: Final = 60.0
"""Seconds after which a system that does not answer a new user has not recovered."""


@dataclass(frozen=True)
class Schedule:
    """What happens, all drawn from the seed.

    Args:
        faults: how many of each kind.
        turns: at least so many messages, also when the faults are over before.
        users: at once, each with one conversation; who has said `each` messages makes room for another.
        limit: seconds after which the schedule has failed.
        kinds: only these; none: all that the system can have.
    """

    topology: Topology
    seed: int
    faults: int
    turns: int
    users: int
    limit: float
    each: int = 20
    kinds: tuple[str, ...] = ()
    ledger: bool = True

    @property
    def command(self) -> str:
        """What repeats it."""
        numbers = f"--seed {self.seed} --faults {self.faults} --turns {self.turns} --users {self.users}"
        more = [f"--each {self.each}", *(f"--kind {kind}" for kind in self.kinds)]
        more += [] if self.ledger else ["--no-ledger"]
        return f"python -m tests.faults.long {self.topology} {numbers} {' '.join(more)}"

    def chance(self, what: str) -> random.Random:
        return random.Random(f"{what} of {self.seed}")

    def lanes(self, kinds: Sequence[Kind]) -> dict[str, list[Kind]]:
        """For each lane its faults, in their order."""
        lanes: dict[str, list[Kind]] = defaultdict(list)
        for kind in kinds:
            lanes[kind.lane] += [kind] * self.faults
        for name, lane in lanes.items():
            self.chance(f"order in {name}").shuffle(lane)
        return lanes


@dataclass
class Struck:
    """Faults that were done: the times until a new user was answered after each."""

    recovered: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def counts(self) -> Counter[str]:
        return Counter({kind: len(times) for kind, times in self.recovered.items()})


class Course:
    """One run of a schedule in a folder."""

    def __init__(self, schedule: Schedule, folder: Path, zygote: Zygote) -> None:
        self.schedule = schedule
        self._folder = folder
        self.history = History()
        self.struck = Struck()
        self.missing: dict[str, str] = {}
        kind: type[System] = Embedded if schedule.topology == "embedded" else Cluster
        self.system = kind(folder, self.history, zygote, ledger=schedule.ledger)
        self.users: Users | None = None
        self._numbers = count()
        self._striking = True
        self._talking: set[User] = set()

    async def run(self) -> Outcome:
        """Everything, from start to verdict.

        Raises:
            TimeoutError: it took longer than the schedule's limit.
        """
        began = time.monotonic()
        try:
            with anyio.fail_after(self.schedule.limit):
                await self.system.start()
                self.users = Users(self.system.origins, self.history)
                await self._talk_and_strike()
                await self._read_everything_again(self.users)
                await self.users.close()
                await self.system.end()
        finally:
            self.system.close()
        self._ask_witnesses()
        return self._outcome(self.users, time.monotonic() - began)

    def _outcome(self, users: Users, seconds: float) -> Outcome:
        return Outcome(
            command=self.schedule.command,
            seconds=seconds,
            report=check(self.history),
            problems=self.system.problems,
            struck=dict(self.struck.counts),
            missing=self.missing,
            broken=users.broken,
            elsewhere=users.elsewhere,
            recovered=dict(self.struck.recovered),
            cut_off=waits_of_cut_off_turns(self.history),
        )

    # --- load and faults ---

    async def _talk_and_strike(self) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(self.schedule.users):
                group.start_soon(self._keep_talking)
            await self._strike()
            self._striking = False

    async def _keep_talking(self) -> None:
        """One user after another, until the faults are over and enough was said."""
        assert self.users is not None
        while self._striking or self.users.answered < self.schedule.turns:
            user = self._new_user()
            self._talking.add(user)
            await user.talk(self.schedule.each)
            self._talking.discard(user)

    def _new_user(self) -> User:
        assert self.users is not None
        number = next(self._numbers)
        agent = AGENTS[number % len(AGENTS)]
        return User(self.users, number, agent, self.schedule.chance(f"user {number}"))

    async def _strike(self) -> None:
        kinds = kinds_of(self.system)
        if self.schedule.kinds:
            kinds = [kind for kind in kinds if kind.name in self.schedule.kinds]
        self.missing = {kind.name: kind.missing for kind in kinds if kind.missing is not None}
        async with anyio.create_task_group() as group:
            for name, lane in self.schedule.lanes([kind for kind in kinds if kind.missing is None]).items():
                group.start_soon(self._strike_lane, name, lane)

    async def _strike_lane(self, name: str, lane: Sequence[Kind]) -> None:
        chance = self.schedule.chance(f"lane {name}")
        for number, kind in enumerate(lane):
            await anyio.sleep(chance.uniform(0.0, 0.3))
            self._tell(f"{kind.name} strikes")
            whole = await kind.strike(random.Random(chance.getrandbits(64)))
            self._tell(f"{kind.name} is over")
            await self._probe(f"{kind.name} {number}")
            self.struck.recovered[kind.name].append(time.monotonic() - whole)
            self._tell(f"{kind.name} recovered after {time.monotonic() - whole:.2f} s")

    def _tell(self, what: str) -> None:
        """Into a journal beside the logs, with the times of both."""
        with (self._folder / "faults.log").open("a") as journal:
            journal.write(f"{datetime.now(UTC):%H:%M:%S.%f} {time.monotonic():.3f} {what}\n")

    async def _probe(self, what: str) -> None:
        """A new user is answered."""
        assert self.users is not None
        user = User(self.users, next(self._numbers), "talker", self.schedule.chance(f"probe {what}"))
        try:
            with anyio.fail_after(RECOVERS):
                await user.probe()
        except TimeoutError:
            raise AssertionError(f"{RECOVERS:g} s after {what} a new user is not answered") from None

    # --- the end ---

    async def _read_everything_again(self, users: Users) -> None:
        """Each turn, each stream that somebody read, and each conversation, as they are at the end."""
        turns = [event.turn for event in self.history.events if isinstance(event, Accepted)]
        at_once = anyio.CapacityLimiter(READERS)
        async with anyio.create_task_group() as reading:
            for turn in dict.fromkeys(turns):
                reading.start_soon(self._look_at, users, turn, at_once)
            for conversation in users.conversations:
                reading.start_soon(self._list, users, conversation, at_once)

    async def _look_at(self, users: Users, turn: str, at_once: anyio.CapacityLimiter) -> None:
        responses = users.clients[-1].responses
        async with at_once:
            end = await responses.retrieve(turn)
            self.history.answered(end.id, status_of(end), end.output_text, getattr(end, "attempt", None))
            if turn in users.streamed:
                async with await responses.retrieve(turn, stream=True) as stream:
                    self.history.replayed(turn, [(e.sequence_number, shown(e)) async for e in stream])

    async def _list(self, users: Users, conversation: str, at_once: anyio.CapacityLimiter) -> None:
        async with at_once:
            self.history.listed(conversation, await listing(users.clients[0], conversation))

    def _ask_witnesses(self) -> None:
        for row in _rows(self.system.prompts):
            self.history.ran(**row)
        ends = {row["mark"]: row["ended"] for row in _rows(self.system.notes) if "ended" in row}
        for row in _rows(self.system.notes):
            if "message" in row:
                ended = ends.get(row["mark"])
                self.history.acted(row["message"], row["started"], ended, owner=row["owner"], once=row["once"])

    def progress(self) -> str:
        """How far it came, for the message of a schedule that came to no end."""
        answered = self.users.answered if self.users else 0
        waiting = [f"{user.canary} in {user.conversation}" for user in self._talking]
        return (
            f"{answered} turns answered, faults {dict(self.struck.counts)}, {len(waiting)} users still talk: "
            f"{', '.join(waiting[:5])}"
        )


async def run_schedule(schedule: Schedule, folder: Path) -> Outcome:
    """Run it; keep the history beside the logs, so that a failure can be looked at.

    Raises:
        AssertionError: it did not come to its end; says how to repeat it.
    """
    with Zygote(folder / "zygote.log") as zygote:
        course = Course(schedule, folder, zygote)
        try:
            return await course.run()
        except TimeoutError as error:
            raise AssertionError(
                f"no end after {schedule.limit:.0f} s: {course.progress()}; to repeat: {schedule.command}\n{error}"
            ) from error
        except Exception as error:
            raise AssertionError(f"the schedule broke off; to repeat: {schedule.command}") from error
        finally:
            course.history.write(folder / "history.jsonl")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text().splitlines():
            yield json.loads(line)
