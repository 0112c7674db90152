"""Stores many conversations with one ended turn each, and tells what that costs in resident memory."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from engine import NoOpWorker, turn
from processes import resident_mb
from turnlane.runtime.conversation import Claim, new_id
from turnlane.runtime.engines.embedded import EmbeddedEngine

AT_ONCE = 500
WARM_UP = 2_000


class Forgetful(NoOpWorker):
    """Keeps nothing of the turns it ran, so that only the engine's memory is measured."""

    def deliver(self, claim: Claim) -> None:
        self.delivered.clear()
        super().deliver(claim)


async def store(engine: EmbeddedEngine, count: int) -> None:
    left = iter(range(count))

    async def client() -> None:
        for _ in left:
            accepted = await engine.accept(turn(new_id("conv"), new=True))
            await engine.wait(accepted.turn.id)

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))


async def main(folder: Path, count: int) -> None:
    engine = EmbeddedEngine(folder)
    await engine.open()
    await engine.attach(Forgetful(engine))
    await store(engine, min(WARM_UP, count))
    before = resident_mb()
    await store(engine, count)
    after = resident_mb()
    await engine.close()
    sys.stdout.write(json.dumps({"before": before, "after": after}) + "\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
