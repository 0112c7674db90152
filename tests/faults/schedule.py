"""One seeded schedule of kills under load, from the first message to the verdict."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from tests.faults.clients import User, Users, shown
from tests.faults.served import ROOT, Served, wait_answering

from turnlane.testing.child_process import ChildProcess, free_port
from turnlane.testing.history import Accepted, Answered, Died, History, Ran, Report, Sent, check

READERS = 8
"""Requests at once when everything is read again at the end."""


@dataclass(frozen=True)
class Schedule:
    """What happens, all drawn from the seed. The kills are spread over the turns, so they find load."""

    seed: int
    kills: int
    turns: int
    users: int
    limit: float
    """Seconds after which the schedule has failed."""

    def kill_points(self) -> list[int]:
        """After how many answers each kill comes: one in each equal share of the turns, somewhere in it."""
        chance = random.Random(f"kills of {self.seed}")
        share = self.turns * 0.95 / self.kills
        return [int((number + chance.uniform(0.1, 0.9)) * share) for number in range(self.kills)]

    def shares(self) -> list[int]:
        """How many turns each user takes."""
        each, more = divmod(self.turns, self.users)
        return [each + (number < more) for number in range(self.users)]

    @property
    def command(self) -> str:
        """What repeats it."""
        numbers = f"--seed {self.seed} --kills {self.kills} --turns {self.turns} --users {self.users}"
        return f"python -m tests.faults.long {numbers}"


@dataclass
class Outcome:
    """What came of a schedule."""

    schedule: Schedule
    report: Report
    integrity: str
    exit_status: int
    seconds: float
    broken: int
    ready_after: list[float]
    """Seconds from each kill until the server accepted turns again."""
    answered_after: list[float] = field(default_factory=list)
    """Seconds from a kill to the answer of each turn that it cut off."""

    @property
    def ok(self) -> bool:
        return self.report.ok and self.integrity == "ok" and self.exit_status == 0

    def figures(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "seed": self.schedule.seed,
            "seconds": round(self.seconds, 1),
            **self.report.figures,
            **self.report.counts,
            "integrity_check": self.integrity,
            "exit_status": self.exit_status,
            "broken_requests": self.broken,
            "cut_off_turns": len(self.answered_after),
            **_percentiles("ready_after", self.ready_after),
            **_percentiles("answered_after", self.answered_after),
        }

    def __str__(self) -> str:
        lines = [f"{name:<24}{value}" for name, value in self.figures().items()]
        broken = [str(violation) for violation in self.report.violations[:20]]
        return "\n".join([*lines, *broken, f"to repeat: {self.schedule.command}"])


class Course:
    """One run of a schedule in a folder."""

    def __init__(self, schedule: Schedule, folder: Path) -> None:
        self.schedule = schedule
        self.folder = folder
        self.history = History()
        self.prompts = folder / "prompts.jsonl"
        self._witness_port = free_port()
        self.served = Served(folder, f"http://127.0.0.1:{self._witness_port}/v1")
        self.users = Users(self.served, self.history)
        self.ready_after: list[float] = []

    async def run(self) -> Outcome:
        """Everything, from start to verdict.

        Raises:
            TimeoutError: it took longer than the schedule's limit.
        """
        began = time.monotonic()
        with self._processes() as witness:
            await wait_answering(f"http://127.0.0.1:{self._witness_port}/v1/models", witness)
            with anyio.fail_after(self.schedule.limit):
                self.served.start()
                await self.served.wait_ready()
                everybody = await self._talk_and_kill()
                await self._read_everything_again(everybody)
                await self.users.client.close()
            exit_status = await end(self.served.child)
            await end(witness)
        self._ask_witnesses()
        return Outcome(
            self.schedule,
            check(self.history),
            self.served.integrity(),
            exit_status,
            time.monotonic() - began,
            self.users.broken,
            self.ready_after,
            answered_after_death(self.history),
        )

    @contextmanager
    def _processes(self) -> Iterator[ChildProcess]:
        command = [sys.executable, "-m", "tests.faults.witness", "--port", str(self._witness_port)]
        log = self.folder / "witness.log"
        witness = ChildProcess([*command, "--record", str(self.prompts)], output=log, cwd=ROOT)
        try:
            yield witness
        finally:
            self.served.stop()
            witness.kill()

    async def _talk_and_kill(self) -> list[User]:
        everybody = [
            User(self.users, number, ("talker", "talker", "keeper")[number % 3], self._chance(number))
            for number in range(self.schedule.users)
        ]
        async with anyio.create_task_group() as talking:
            for user, share in zip(everybody, self.schedule.shares(), strict=True):
                talking.start_soon(user.talk, share)
            talking.start_soon(self._kill)
        return everybody

    def _chance(self, number: int) -> random.Random:
        return random.Random(f"user {number} of {self.schedule.seed}")

    async def _kill(self) -> None:
        """The kill schedule: after so many answers, and a moment; now and then again while it starts."""
        chance = random.Random(f"moments of {self.schedule.seed}")
        for point in self.schedule.kill_points():
            await self.users.progress.reach(point)
            await anyio.sleep(chance.uniform(0.0, 0.2))
            killed = self._kill_once()
            while chance.random() < 0.1:
                await anyio.sleep(chance.uniform(0.0, 1.5))
                self._kill_once()
            self.ready_after.append(await self.served.wait_ready() - killed)

    def _kill_once(self) -> float:
        killed = self.served.kill()
        self.history.died(killed)
        self.served.start()
        return killed

    async def _read_everything_again(self, everybody: list[User]) -> None:
        """Each turn, each stream that somebody read, and each conversation, as they are at the end."""
        turns = [event.turn for event in self.history.events if isinstance(event, Accepted)]
        at_once = anyio.CapacityLimiter(READERS)
        async with anyio.create_task_group() as reading:
            for turn in dict.fromkeys(turns):
                reading.start_soon(self._look_at, turn, at_once)
            for user in everybody:
                reading.start_soon(self._list, user.conversation, at_once)

    async def _look_at(self, turn: str, at_once: anyio.CapacityLimiter) -> None:
        responses = self.users.client.responses
        async with at_once:
            end = await responses.retrieve(turn)
            self.history.answered(end.id, str(end.status), end.output_text, getattr(end, "attempt", None))
            if turn in self.users.streamed:
                async with await responses.retrieve(turn, stream=True) as stream:
                    self.history.replayed(turn, [(e.sequence_number, shown(e)) async for e in stream])

    async def _list(self, conversation: str, at_once: anyio.CapacityLimiter) -> None:
        async with at_once:
            pages = self.users.client.conversations.items.list(conversation, order="asc", limit=100)
            items = [item async for item in pages if item.type == "message"]
        texts = [(str(item.role), "".join(getattr(part, "text", "") for part in item.content)) for item in items]
        self.history.listed(conversation, texts)

    def _ask_witnesses(self) -> None:
        for row in _rows(self.prompts):
            self.history.ran(row["said"], row["text"], row["started"], row["ended"], first=row["first"])
        ends = {row["mark"]: row["ended"] for row in _rows(self.served.notes) if "ended" in row}
        for row in _rows(self.served.notes):
            if "message" in row:
                self.history.acted(row["message"], row["started"], ends.get(row["mark"]))


async def run_schedule(schedule: Schedule, folder: Path) -> Outcome:
    """Run it; keep the history beside the logs, so that a failure can be looked at.

    Raises:
        AssertionError: it did not come to its end; says how to repeat it.
    """
    course = Course(schedule, folder)
    try:
        return await course.run()
    except TimeoutError as error:
        known = f"{course.users.progress.answered} of {schedule.turns} turns answered"
        raise AssertionError(
            f"no end after {schedule.limit:.0f} s: {known}; {schedule.command}\n{error}"
        ) from error
    except Exception as error:
        raise AssertionError(f"the schedule broke off; to repeat: {schedule.command}") from error
    finally:
        course.history.write(folder / "history.jsonl")


def answered_after_death(history: History) -> list[float]:
    """How long the users of the turns that were at work at a kill waited for their answers from then on."""
    deaths = [event.at for event in history.events if isinstance(event, Died)]
    keys = {event.text: event.key for event in history.events if isinstance(event, Sent)}
    turns = {event.key: event.turn for event in history.events if isinstance(event, Accepted)}
    answers: dict[str, float] = {}
    for event in history.events:
        if isinstance(event, Answered):
            answers[event.turn] = min(event.at, answers.get(event.turn, event.at))
    waits: dict[tuple[float, str], float] = {}
    for run in history.events:
        if not isinstance(run, Ran) or run.said[-1] not in keys:
            continue
        turn = turns.get(keys[run.said[-1]], "")
        death = min((at for at in deaths if at >= run.started), default=None)
        if death is not None and (run.ended is None or death <= run.ended) and turn in answers:
            waits[death, turn] = answers[turn] - death
    return list(waits.values())


async def end(child: ChildProcess | None, timeout: float = 60) -> int:
    """SIGTERM, then wait; returns the exit status.

    Raises:
        TimeoutError: it still runs.
    """
    assert child is not None
    child.signal(signal.SIGTERM)
    return await anyio.to_thread.run_sync(child.wait, timeout)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text().splitlines():
            yield json.loads(line)


def _percentiles(name: str, seconds: list[float]) -> dict[str, float | None]:
    ordered = sorted(seconds)
    return {
        f"{name}_p50": round(ordered[len(ordered) // 2], 2) if ordered else None,
        f"{name}_p99": round(ordered[int(len(ordered) * 0.99)], 2) if ordered else None,
    }
