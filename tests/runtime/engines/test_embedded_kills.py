"""Kill -9 of a process in which users send messages while turns run, of every strategy, and turns record."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from turnlane.runtime.conversation import Turn
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.testing.scripted_worker import PATIENCE, ScriptedWorker, outcome

pytestmark = pytest.mark.anyio

Opener = Callable[[Path], Awaitable[EmbeddedEngine]]

BUSY = """
    import asyncio, random, sys
    from pathlib import Path
    from turnlane.runtime.conversation import LedgerEntry
    from turnlane.runtime.engine import Refused
    from turnlane.runtime.engines.embedded import EmbeddedEngine
    from turnlane.testing.scripted_worker import ScriptedWorker, first_turn, new_turn, outcome

    chance = random.Random(int(sys.argv[2]))
    STRATEGIES = ["enqueue", "interrupt", "rollback", "merge", "debounce"]

    def say(*words):
        sys.stdout.write(" ".join(words) + "\\n")  # one write a line: a kill may come between two
        sys.stdout.flush()

    async def main():
        engine = EmbeddedEngine(Path(sys.argv[1]))
        await engine.open()
        worker = ScriptedWorker(capacity=10)
        await engine.attach(worker)

        async def run():
            while True:
                claim = await worker.claims.get()
                for asked in ("a", "b"):
                    await engine.record(claim, [LedgerEntry("model", "ended", asked, "call", "gpt")])
                    say("recorded", claim.turn.id, asked)
                turn = await engine.turn(claim.turn.id)
                stopped = turn.stop_asked == "interrupt"
                turn = await engine.commit(claim, outcome(claim, "interrupted" if stopped else "completed"))
                say(turn.status, turn.id)

        async def talk():
            while True:
                new = first_turn()
                for _ in range(8):
                    await engine.accept(new)
                    say("accepted", new.input[0]["id"])
                    new = new_turn(new.conversation, when_busy=chance.choice(STRATEGIES), delay=0.002)

        await asyncio.gather(*(talk() for _ in range(4)), *(run() for _ in range(2)))

    asyncio.run(main())
"""


def said_before_its_death(folder: Path, seed: int, lines: int) -> list[list[str]]:
    """The whole lines that a busy process wrote until it was killed, after so many."""
    command = [sys.executable, "-c", textwrap.dedent(BUSY), str(folder), str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    os.kill(process.pid, signal.SIGKILL)
    rest, errors = process.communicate()
    said += rest.splitlines(keepends=True)
    assert said[0], errors
    return [line.split() for line in said if line.endswith("\n")]


@pytest.mark.parametrize(("seed", "lines"), [(1, 20), (2, 150), (3, 800)])
async def test_no_message_is_lost_or_doubled_and_no_record_forgotten(
    tmp_path: Path, opened: Opener, seed: int, lines: int
) -> None:
    said = said_before_its_death(tmp_path, seed, lines)
    engine = await opened(tmp_path)
    turns = {turn.id: turn for turn in await engine.turns(limit=1_000_000)}
    assert "running" not in {turn.status for turn in turns.values()}
    messages = Counter(item["id"] for turn in turns.values() for item in turn.input)
    assert set(messages.values()) <= {1}, "a message is in two turns"
    for verb, name, *rest in said:
        if verb == "accepted":
            assert name in messages, "accepted and lost"
        elif verb == "recorded":
            kept = [entry.asked for entry in await engine.ledger(name)]
            assert kept == [] if turns[name].ended else rest[0] in kept, "recorded and lost, or kept for nothing"
        else:
            assert turns[name].status == verb, "committed and lost"
    await run_to_the_end(engine, turns)
    await engine.close()


async def run_to_the_end(engine: EmbeddedEngine, turns: dict[str, Turn]) -> None:
    """What had not ended runs, each lane in order, and knows what the dead process had recorded."""
    waiting = [turn for turn in turns.values() if not turn.ended]
    worker = ScriptedWorker(capacity=100_000)
    await engine.attach(worker)
    ran: dict[str, list[int]] = {}
    for _ in waiting:
        claim = await worker.claim()
        ran.setdefault(claim.turn.conversation, []).append(claim.turn.position)
        assert list(claim.ledger) == await engine.ledger(claim.turn.id)
        await engine.commit(claim, outcome(claim))
    assert all(positions == sorted(positions) for positions in ran.values())
    async with asyncio.timeout(PATIENCE):
        stats = await engine.stats()
    assert (stats.queued, stats.running) == (0, 0)
