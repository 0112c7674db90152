"""What every engine promises of a message that comes while its conversation is busy, as tests to inherit."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from turnlane.runtime.conversation import WhenBusy
from turnlane.runtime.engine import Engine, LaneFull, QueueFull
from turnlane.runtime.limits import Bounds
from turnlane.testing.engine_under_test import ended
from turnlane.testing.joining_promises import JoiningPromises
from turnlane.testing.scripted_worker import ScriptedWorker, first_turn, new_turn, outcome
from turnlane.testing.stopping_promises import StoppingPromises

STRATEGIES: Final[list[WhenBusy]] = ["enqueue", "reject", "interrupt", "rollback", "merge", "debounce"]


class DoubleTextingPromises(StoppingPromises, JoiningPromises):
    """The words of `WhenBusy`. `interrupt` and `rollback` are in `StoppingPromises`, the others that join in
    `JoiningPromises`; here is what is true of all."""

    @pytest.mark.parametrize("when_busy", STRATEGIES)
    async def test_in_an_idle_conversation_every_message_is_a_turn_of_its_own(
        self, engine: Engine, worker: ScriptedWorker, when_busy: WhenBusy
    ) -> None:
        first = first_turn()
        for new in (first, new_turn(first.conversation, when_busy=when_busy)):
            accepted = await engine.accept(new)
            assert (accepted.created, accepted.joined, accepted.turn.id) == (True, False, new.id)
            claim = await worker.claim()
            assert (claim.turn.id, claim.turn.input) == (new.id, new.input)
            await engine.commit(claim, outcome(claim))
        assert worker.stopped.empty()

    async def test_a_full_conversation_takes_what_joins_or_empties_it(self, tmp_path: Path) -> None:
        engine = await self.open_engine(tmp_path / "data", Bounds(lane=2))
        worker = ScriptedWorker()
        await engine.attach(worker)
        first = first_turn()
        await engine.accept(first)
        running = await worker.claim()
        waiting = [new_turn(first.conversation) for _ in range(2)]
        for new in waiting:
            await engine.accept(new)
        with pytest.raises(LaneFull):
            await engine.accept(new_turn(first.conversation))
        merged = await engine.accept(new_turn(first.conversation, when_busy="merge"))
        assert (merged.joined, merged.turn.id) == (True, waiting[1].id)
        rolling = new_turn(first.conversation, when_busy="rollback")
        assert (await engine.accept(rolling)).created
        assert [(await ended(engine, new.id)).status for new in waiting] == ["cancelled", "cancelled"]
        await engine.accept(new_turn(first.conversation))
        with pytest.raises(LaneFull):
            await engine.accept(new_turn(first.conversation))
        interrupting = new_turn(first.conversation, when_busy="interrupt")
        assert (await engine.accept(interrupting)).created
        assert (await ended(engine, rolling.id)).status == "interrupted"
        await engine.commit(running, outcome(running, "cancelled"))
        assert (await worker.claim()).turn.id == interrupting.id
        await engine.close()

    async def test_a_full_queue_takes_what_frees_a_place_in_it(self, tmp_path: Path) -> None:
        engine = await self.open_engine(tmp_path / "data", Bounds(total=2))
        first = first_turn()
        for new in (first, new_turn(first.conversation)):
            await engine.accept(new)
        for refused in (first_turn(when_busy="interrupt"), new_turn(first.conversation)):
            with pytest.raises(QueueFull):
                await engine.accept(refused)
        assert (await engine.accept(new_turn(first.conversation, when_busy="merge"))).joined
        assert (await engine.accept(new_turn(first.conversation, when_busy="interrupt"))).created
        await engine.close()

    async def test_an_interrupting_message_finds_no_room_where_it_empties_nothing(self, tmp_path: Path) -> None:
        engine = await self.open_engine(tmp_path / "data", Bounds(total=1))
        worker = ScriptedWorker(capacity=1)
        await engine.attach(worker)
        first = first_turn()
        await engine.accept(first)
        claim = await worker.claim()
        await engine.accept(first_turn())
        with pytest.raises(QueueFull):
            await engine.accept(new_turn(first.conversation, when_busy="interrupt"))
        assert (await engine.commit(claim, outcome(claim))).stop_asked is None
        assert worker.stopped.empty()
        await engine.close()

    async def test_a_message_that_would_not_wait_is_refused_by_one_that_still_gathers(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = first_turn(when_busy="debounce", delay=60.0)
        await engine.accept(first)
        with pytest.raises(Exception, match=first.id):
            await engine.accept(new_turn(first.conversation, when_busy="reject"))
        assert (await engine.accept(new_turn(first.conversation, when_busy="interrupt"))).created
        claim = await worker.claim()
        assert list(claim.items) == list(first.input)
