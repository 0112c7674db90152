"""Drives the target: keeps its program and the provider running, and runs levels under any conditions."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from turnlane.guard.launch import environment as guarded
from turnlane.guard.redirect import ANY
from turnlane.guard.settings import GuardSettings
from turnlane.probe.assess import Habits, Material, habits_of, outcome_of
from turnlane.probe.canary import Canaries
from turnlane.probe.clock import Clock
from turnlane.probe.conditions import Conditions
from turnlane.probe.environment import provider_environment
from turnlane.probe.guard_records import GuardRecords, merged, window
from turnlane.probe.host import CANNOT_HOST
from turnlane.probe.model_side import ModelSide, idle
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.program import SHORTEST_START, START_BOUND, Program
from turnlane.probe.readiness import first_answer
from turnlane.probe.report import Hazard
from turnlane.probe.talk import MESSAGES, Manners, Speaker, Spoken
from turnlane.probe.target import Target
from turnlane.probe.trouble import ProbeError

_GAUGE_SLACK = 1.1
"""Gauges come once a second: a short level takes the one after it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Where the probe ends, whatever it has found by then.

    Attributes:
        seconds: in all.
        requests: to the program, in all.
        timeout: seconds for one request.
    """

    seconds: float = 110.0
    requests: int = 1000
    timeout: float = 30.0


@dataclass(slots=True)
class Talk:
    """A level while it runs: for those who show it."""

    conditions: Conditions
    spoken: list[Spoken] = field(default_factory=list)
    cut: bool = False


class Session:
    """One probe of one target, from its start to its end. Use as an async context manager.

    `run_level` may be called any number of times. The program is started before the first level, and again when
    conditions ask for a fresh one or for another command, environment or experiment than it runs with.

    Attributes:
        target: what is probed.
        side: where the program's model calls arrive.
        clock: seconds since the session began.
        canaries: words of the users.
        bounds: where it ends.
        habits: what the program does with one user alone; None until a level showed it.
        listeners: called whenever a message was answered, with the level that runs.
    """

    def __init__(
        self,
        target: Target,
        side: ModelSide,
        *,
        bounds: Bounds | None = None,
        messages: Sequence[str] = MESSAGES,
        keep_keys: bool = False,
    ) -> None:
        self.target = target
        self.side = side
        self.clock = Clock()
        self.canaries = Canaries()
        self.bounds = bounds or Bounds()
        self.habits: Habits | None = None
        self.listeners: list[Callable[[Talk], None]] = []
        self._messages = messages
        self._keep_keys = keep_keys
        self._sent = 0
        self._program: Program | None = None
        self._running_with: object = None
        self._stack = AsyncExitStack()
        self._records: GuardRecords | None = None
        self._folder: Path | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self.side.start()
            stack.push_async_callback(self.side.stop)
            if self.target.starts:
                self._folder = Path(stack.enter_context(_own_folder()))
                self._records = GuardRecords(self._folder / "guard.jsonl")
                stack.push_async_callback(self.stop_program)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def seconds_left(self) -> float:
        """Until the probe must end."""
        return self.bounds.seconds - self.clock.now()

    @property
    def requests_left(self) -> int:
        """How many requests may still be sent."""
        return self.bounds.requests - self._sent

    @property
    def program(self) -> Program | None:
        """The program that runs, if the probe started it."""
        return self._program

    @property
    def where(self) -> Mapping[str, Any]:
        """Where the program runs, as the guard tells it; empty without the guard."""
        records = self._records.read() if self._records else ()
        started = [record.get("where") or {} for record in records if record.get("kind") == "start"]
        return started[-1] if started else {}

    @property
    def guarded(self) -> bool:
        """Whether the guard has told of itself inside the program."""
        return self._records is not None and any(r.get("kind") == "start" for r in self._records.read())

    def hazards(self, since: float = 0.0) -> tuple[Hazard, ...]:
        """What the guard saw from `since` on, in seconds since the start."""
        if self._records is None:
            return ()
        return merged(window(self._records.read(), since, float("inf"), self.clock).hazards(self.clock))

    async def start_program(self, conditions: Conditions | None = None) -> None:
        """Start the program, as these conditions want it. Does nothing for one that somebody else started.

        Raises:
            ProbeError: it does not start.
        """
        if not self.target.starts:
            return
        conditions = conditions or Conditions()
        wanted = (conditions.experiment, conditions.command, tuple(sorted(conditions.environment.items())))
        runs = self._program is not None and self._program.status is None
        if runs and not conditions.fresh_process and wanted == self._running_with:
            return
        await self.stop_program()
        command = conditions.command or self.target.command
        program = Program(command, self._environment(conditions), self.target.directory)
        self._program, self._running_with = program, wanted
        try:
            await program.start(self.target.host, self.target.port, self._patience())
            await first_answer(self.target.origin, program, self._patience() / 2)
        except ProbeError:
            if self.target.kind == "function" and program.status == CANNOT_HOST and program.lines:
                # The host's own sentence says more than that it ended.
                raise ProbeError(program.lines[-1].text) from None
            raise

    def _patience(self) -> float:
        """Seconds for a start: a program that is started again late in a probe gets what is left, but a chance."""
        return min(START_BOUND, max(self.seconds_left, SHORTEST_START))

    async def stop_program(self) -> None:
        """End the program, if the probe started it."""
        if self._program is not None:
            await self._program.stop()
            self._program = None

    async def run_level(self, conditions: Conditions) -> LevelOutcome:
        """Run one level and say what happened. Ends early, with what it has, where time or requests run out.

        Raises:
            ProbeError: the program does not start.
        """
        await self.start_program(conditions)
        self.side.prepare(conditions)
        first_call = max((record.number for record in self.side.calls()), default=0)
        started, began = self.clock.now(), time.monotonic()
        talk = await self._talk(conditions)
        await asyncio.sleep(conditions.settle)
        await idle(self.side)
        if self._program is not None and any(spoken.failed for spoken in talk.spoken):
            await self._program.quiet()
        material = self._material(talk, first_call, started, began)
        if self.habits is None and _shows_habits(conditions):
            self.habits = habits_of(material)
        return outcome_of(material, self.habits)

    async def _talk(self, conditions: Conditions) -> Talk:
        talk = Talk(conditions)
        began = time.monotonic()
        for round_ in range(1, conditions.rounds + 1):
            if talk.cut or (conditions.seconds is not None and time.monotonic() - began > conditions.seconds):
                break
            await asyncio.gather(*(self._user(talk, round_) for _ in range(conditions.concurrency)))
        talk.spoken.sort(key=lambda spoken: spoken.started)
        return talk

    async def _user(self, talk: Talk, round_: int) -> None:
        conditions = talk.conditions
        speaker = Speaker(self.target, self.canaries.user(), self.canaries)
        try:
            turn = 1
            while turn <= conditions.turns and not talk.cut:
                # The first message alone, so that there is a conversation that the next ones can meet in.
                together = conditions.overlap if turn > 1 or conditions.turns == conditions.overlap else 1
                together = min(together, conditions.turns - turn + 1)
                answered = await asyncio.gather(
                    *(self._message(talk, speaker, round_, turn + place) for place in range(together))
                )
                if conditions.timeout is None and not any(answered):
                    break  # who waited in vain for the whole of the time-out does not go on
                turn += together
        finally:
            await speaker.close()

    async def _message(self, talk: Talk, speaker: Speaker, round_: int, turn: int) -> bool:
        """Whether there was any answer, and be it an error."""
        if self.requests_left <= 0 or self.seconds_left <= 0:
            talk.cut = True
            return False
        self._sent += 1
        spoken = await speaker.say(round_, turn, self._manners(talk.conditions))
        talk.spoken.append(spoken)
        for listener in tuple(self.listeners):
            listener(talk)
        return spoken.answered.broken is None or spoken.answered.broken.kind != "no answer"

    def _manners(self, conditions: Conditions) -> Manners:
        wanted = self.bounds.timeout if conditions.timeout is None else conditions.timeout
        return Manners(
            messages=self._messages,
            timeout=max(0.1, min(wanted, self.seconds_left)),
            disconnect_after=conditions.disconnect_after,
            fields=conditions.fields,
        )

    def _material(self, talk: Talk, first_call: int, started: float, began: float) -> Material:
        records = self._records.read() if self._records else ()
        return Material(
            conditions=talk.conditions,
            spoken=talk.spoken,
            records=[record for record in self.side.calls() if record.number > first_call],
            side=self.side,
            guard=window(records, started, self.clock.now() + _GAUGE_SLACK, self.clock),
            output=self._program.since(began) if self._program else None,
            canaries=self.canaries,
            clock=self.clock,
            cut=talk.cut,
        )

    def _redirects(self) -> dict[str, str]:
        """Every model call goes to the probe's provider, but for the program's calls of itself."""
        parts = urlsplit(self.target.url)
        return {ANY: self.side.base_url, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}": ""}

    def _environment(self, conditions: Conditions) -> dict[str, str]:
        base = {**os.environ, **self.target.environment}
        made = provider_environment(base, self.side.base_url, self.target.directory, keep_keys=self._keep_keys)
        assert self._folder is not None
        settings = GuardSettings(
            output=str(self._folder / "guard.jsonl"),
            gauges=True,
            requests=True,
            summary=False,
            redirect=self._redirects(),
        )
        if conditions.experiment is not None:
            settings = replace(settings, experiment=conditions.experiment)
        return {**guarded(settings, made), **conditions.environment}


def _own_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="turnlane-probe-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ProbeError(
            f"No temporary folder can be made: {error.strerror}. Set TMPDIR to a folder that you may write to."
        ) from None


def _shows_habits(conditions: Conditions) -> bool:
    """Whether a level shows how the program treats one user alone, with nothing in its way."""
    undisturbed = not conditions.faults and conditions.budget is None and conditions.disconnect_after is None
    return conditions.concurrency == 1 and conditions.overlap == 1 and conditions.turns > 1 and undisturbed
