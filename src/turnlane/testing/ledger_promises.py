"""What every engine promises of the ledger: what an attempt did is known to the next, as tests to inherit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from turnlane.runtime.conversation import Claim, LedgerEntry, SavedState, Status, Usage
from turnlane.runtime.engine import Engine, NotJson, OwnershipLost
from turnlane.runtime.limits import Bounds
from turnlane.testing.engine_under_test import EngineUnderTest
from turnlane.testing.scripted_worker import ScriptedWorker, first_turn, new_turn, outcome


def answered(asked: str, answer: Any = "42") -> LedgerEntry:
    """A model call that was answered."""
    return LedgerEntry("model", "ended", asked, "call", "gpt", answer=answer, usage=Usage(3, 4, 1, 0))


def begun(asked: str, *, once: bool = False) -> LedgerEntry:
    """A tool call that begins."""
    return LedgerEntry("tool", "begun", asked, f"call of {asked}", "pay", once=once)


async def running_turn(engine: Engine, worker: ScriptedWorker) -> Claim:
    await engine.accept(first_turn())
    return await worker.claim()


class LedgerPromises(EngineUnderTest):
    """The words of `Engine.record`, `Engine.ledger` and `Claim.ledger`."""

    async def test_a_first_attempt_has_an_empty_ledger(self, engine: Engine, worker: ScriptedWorker) -> None:
        claim = await running_turn(engine, worker)
        assert list(claim.ledger) == []
        assert await engine.ledger(claim.turn.id) == []
        assert await engine.ledger("resp_unknown") == []

    async def test_what_a_dead_attempt_recorded_comes_with_the_next_claim_in_order(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        claim = await running_turn(engine, worker)
        first = [answered("a", {"content": ["naïve 🍵", "\ud800"]}), begun("b", once=True)]
        await engine.record(claim, first)
        await engine.record(claim, [answered("c")])
        again = await self._reopened(engine, tmp_path)
        heir = ScriptedWorker()
        await again.attach(heir)
        second = await heir.claim()
        assert list(second.ledger) == [*first, answered("c")]
        assert await again.ledger(claim.turn.id) == list(second.ledger)
        # The third attempt knows what the first two did.
        await again.record(second, [answered("d")])
        last = await self._reopened(again, tmp_path)
        heir = ScriptedWorker()
        await last.attach(heir)
        assert list((await heir.claim()).ledger) == [*second.ledger, answered("d")]
        await last.close()

    async def test_a_released_attempt_leaves_its_ledger_to_the_next(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        claim = await running_turn(engine, worker)
        await engine.record(claim, [answered("a")])
        await engine.release(claim)
        assert list((await worker.claim()).ledger) == [answered("a")]

    async def test_records_keep_the_order_in_which_they_were_made(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        claim = await running_turn(engine, worker)
        entries = [answered(str(i)) for i in range(50)]
        await asyncio.gather(*(engine.record(claim, [entry]) for entry in entries))
        assert await engine.ledger(claim.turn.id) == entries

    async def test_a_record_is_a_copy(self, engine: Engine, worker: ScriptedWorker) -> None:
        claim = await running_turn(engine, worker)
        answer = ["one"]
        recording = asyncio.ensure_future(engine.record(claim, [answered("a", answer)]))
        await asyncio.sleep(0)
        answer.append("written later, by the agent that got the answer")
        await recording
        assert await engine.ledger(claim.turn.id) == [answered("a", ["one"])]

    async def test_ledgers_of_turns_are_apart(self, engine: Engine, worker: ScriptedWorker) -> None:
        claims = [await running_turn(engine, worker) for _ in range(3)]
        for claim in claims:
            await engine.record(claim, [answered(claim.turn.id)])
        await engine.commit(claims[1], outcome(claims[1]))
        for claim in (claims[0], claims[2]):
            assert await engine.ledger(claim.turn.id) == [answered(claim.turn.id)]

    async def test_what_is_not_json_is_refused_whole(self, engine: Engine, worker: ScriptedWorker) -> None:
        claim = await running_turn(engine, worker)
        with pytest.raises(NotJson):
            await engine.record(claim, [answered("a"), answered("b", object())])
        assert await engine.ledger(claim.turn.id) == []
        await engine.record(claim, [answered("c")])
        assert await engine.ledger(claim.turn.id) == [answered("c")]

    # --- fenced ---

    async def test_a_dead_owner_records_nothing(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        dead = await running_turn(engine, worker)
        again = await self._reopened(engine, tmp_path)
        with pytest.raises(OwnershipLost):
            await again.record(dead, [begun("a")])
        heir = ScriptedWorker()
        await again.attach(heir)
        claim = await heir.claim()
        with pytest.raises(OwnershipLost):
            await again.record(dead, [begun("a")])
        assert list(claim.ledger) == await again.ledger(dead.turn.id) == []
        await again.close()

    async def test_an_attempt_that_gave_its_turn_back_records_nothing(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        claim = await running_turn(engine, worker)
        await engine.release(claim)
        await worker.claim()
        with pytest.raises(OwnershipLost):
            await engine.record(claim, [begun("a")])
        assert await engine.ledger(claim.turn.id) == []

    async def test_a_record_that_meets_the_release_of_its_attempt_is_kept_or_refused(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        claim = await running_turn(engine, worker)
        for _ in range(5):
            entry = answered(f"by attempt {claim.attempt}")
            _, refused = await asyncio.gather(
                engine.release(claim), engine.record(claim, [entry]), return_exceptions=True
            )
            following = await worker.claim()
            assert refused is None or isinstance(refused, OwnershipLost)
            assert list(following.ledger) == [*claim.ledger, *([entry] if refused is None else [])]
            assert await engine.ledger(claim.turn.id) == list(following.ledger)
            claim = following

    @pytest.mark.parametrize("status", ["completed", "needs_attention"])
    async def test_an_attempt_that_has_ended_records_nothing(
        self, engine: Engine, worker: ScriptedWorker, status: Status
    ) -> None:
        claim = await running_turn(engine, worker)
        await engine.commit(claim, outcome(claim, status))
        with pytest.raises(OwnershipLost):
            await engine.record(claim, [begun("a")])
        assert await engine.ledger(claim.turn.id) == []

    async def test_an_attempt_whose_conversation_was_deleted_records_nothing(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        claim = await running_turn(engine, worker)
        await engine.record(claim, [answered("a")])
        await engine.delete_conversation(claim.turn.conversation)
        with pytest.raises(OwnershipLost):
            await engine.record(claim, [begun("b")])
        assert await engine.ledger(claim.turn.id) == []

    async def test_whoever_is_to_stop_still_owns_its_turn(self, engine: Engine, worker: ScriptedWorker) -> None:
        claim = await running_turn(engine, worker)
        await engine.cancel(claim.turn.id)
        await engine.record(claim, [answered("a")])
        assert await engine.ledger(claim.turn.id) == [answered("a")]

    # --- forgotten ---

    @pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled", "interrupted"])
    async def test_a_ledger_is_forgotten_with_the_end_of_its_turn(
        self, engine: Engine, worker: ScriptedWorker, status: Status
    ) -> None:
        claim = await running_turn(engine, worker)
        await engine.record(claim, [answered("a")])
        await engine.commit(claim, outcome(claim, status))
        assert await engine.ledger(claim.turn.id) == []

    async def test_a_ledger_is_forgotten_also_when_no_worker_ends_the_turn(self, tmp_path: Path) -> None:
        bounds = Bounds(attempts=1)
        engine = await self.open_engine(tmp_path / "data", bounds)
        worker = ScriptedWorker()
        await engine.attach(worker)
        cancelled, exhausted = await running_turn(engine, worker), await running_turn(engine, worker)
        for claim in (cancelled, exhausted):
            await engine.record(claim, [answered("a")])
        await engine.cancel(cancelled.turn.id)
        await engine.release(cancelled)
        assert await engine.ledger(cancelled.turn.id) == []
        again = await self._reopened(engine, tmp_path, bounds)
        turn = await again.wait(exhausted.turn.id)
        assert turn is not None
        assert turn.status == "failed"
        assert await again.ledger(exhausted.turn.id) == []
        await again.close()

    async def test_a_turn_that_needs_attention_keeps_its_ledger_and_holds_up_nobody(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        good = await running_turn(engine, worker)
        conversation = good.turn.conversation
        await engine.commit(good, outcome(good))
        state = await engine.state(conversation)
        held, behind = new_turn(conversation), new_turn(conversation)
        for one in (held, behind):
            await engine.accept(one)
        claim = await worker.claim()
        await engine.record(claim, [begun("a", once=True)])
        turn = await engine.commit(claim, outcome(claim, "needs_attention"))
        assert (turn.status, turn.ended) == ("needs_attention", True)
        assert await engine.turn(held.id) == turn
        assert [one.id for one in await engine.turns(status="needs_attention")] == [held.id]
        assert await engine.state(conversation) == state
        following = await worker.claim()
        assert (following.turn.id, list(following.items), list(following.ledger)) == (behind.id, [], [])
        assert following.state == SavedState("test", "1", [good.turn.id])
        assert await engine.ledger(held.id) == [begun("a", once=True)]
        again = await self._reopened(engine, tmp_path)
        assert await again.ledger(held.id) == [begun("a", once=True)]
        await again.delete_conversation(conversation)
        assert await again.ledger(held.id) == []
        await again.close()
