"""What every engine promises of messages that join a turn which still waits, as tests to inherit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from turnlane.runtime.conversation import Claim, NewTurn, Turn
from turnlane.runtime.engine import Accepted, Engine, IdempotencyMismatch, LaneFull, NotJson
from turnlane.runtime.limits import Bounds
from turnlane.testing.engine_under_test import EngineUnderTest, ended
from turnlane.testing.scripted_worker import ScriptedWorker, first_turn, message, new_turn, outcome

DELAY: Final = 0.2
"""Seconds that a turn gathers messages: short, for engines whose clock really has to go on."""


async def busy_conversation(engine: Engine, worker: ScriptedWorker) -> Claim:
    """A conversation whose first turn runs."""
    await engine.accept(first_turn())
    return await worker.claim()


def merging(conversation: str, text: str, **changes: Any) -> NewTurn:
    return new_turn(conversation, text, when_busy="merge", **changes)


def gathering(conversation: str, text: str = "wait for it", **changes: Any) -> NewTurn:
    return new_turn(conversation, text, **{"when_busy": "debounce", "delay": DELAY, **changes})


class JoiningPromises(EngineUnderTest):
    """`merge` makes one turn of what waits, `debounce` also waits for more."""

    # --- merge ---

    async def test_messages_that_wait_become_one_turn(self, engine: Engine, worker: ScriptedWorker) -> None:
        running = await busy_conversation(engine, worker)
        conversation = running.turn.conversation
        one = merging(conversation, "1", metadata={"a": "1", "b": "1"}, options={"x": 1, "y": 1}, request_id="r1")
        two = merging(conversation, "2", metadata={"b": "2", "c": "2"}, options={"y": 2}, request_id="r2")
        first = await engine.accept(one)
        assert (first.created, first.joined, first.turn.id) == (True, False, one.id)
        second = await engine.accept(two)
        assert (second.created, second.joined, second.turn.id) == (False, True, one.id)
        assert second.turn == await engine.turn(one.id)
        assert second.turn.input == [*one.input, *two.input]
        assert second.turn.metadata == {"a": "1", "b": "2", "c": "2"}
        assert second.turn.options == {"x": 1, "y": 2}
        assert second.turn.request_id == "r1"
        assert await engine.turn(two.id) is None
        assert len(await engine.turns(conversation=conversation)) == 2
        await engine.commit(running, outcome(running))
        claim = await worker.claim()
        assert (claim.turn.id, claim.turn.input) == (one.id, [*one.input, *two.input])
        await engine.commit(claim, outcome(claim))
        assert worker.claims.empty()

    async def test_a_message_joins_the_last_of_several_turns_that_wait(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        running = await busy_conversation(engine, worker)
        waiting = [new_turn(running.turn.conversation) for _ in range(2)]
        for one in waiting:
            await engine.accept(one)
        merged = await engine.accept(merging(running.turn.conversation, "and"))
        assert merged.turn.id == waiting[1].id
        untouched = await engine.turn(waiting[0].id)
        assert untouched is not None
        assert untouched.input == waiting[0].input

    async def test_a_turn_that_runs_is_never_joined(self, engine: Engine, worker: ScriptedWorker) -> None:
        running = await busy_conversation(engine, worker)
        accepted = await engine.accept(merging(running.turn.conversation, "later"))
        assert (accepted.created, accepted.joined) == (True, False)
        assert (await engine.commit(running, outcome(running))).input == running.turn.input
        assert (await worker.claim()).turn.id == accepted.turn.id

    async def test_a_turn_that_has_run_and_waits_again_is_not_joined(self, tmp_path: Path) -> None:
        # Its next attempt must ask what the first one asked, or its ledger would be of no use.
        engine = await self.open_engine(tmp_path / "data", Bounds())
        worker = ScriptedWorker(capacity=1)
        await engine.attach(worker)
        claim = await busy_conversation(engine, worker)
        await engine.detach(worker)
        await engine.release(claim)
        accepted = await engine.accept(merging(claim.turn.conversation, "later"))
        assert (accepted.created, accepted.joined) == (True, False)
        await engine.attach(worker)
        again = await worker.claim()
        assert (again.turn.id, again.turn.input) == (claim.turn.id, claim.turn.input)
        await engine.close()

    async def test_what_was_merged_survives_the_death_of_the_process(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        running = await busy_conversation(engine, worker)
        for text in ("1", "2", "3"):
            merged = await engine.accept(merging(running.turn.conversation, text))
        again = await self._reopened(engine, tmp_path)
        assert await again.turn(merged.turn.id) == merged.turn
        heir = ScriptedWorker()
        await again.attach(heir)
        rerun = await heir.claim()
        await again.commit(rerun, outcome(rerun))
        claim = await heir.claim()
        assert [item["content"] for item in claim.turn.input] == ["1", "2", "3"]
        await again.close()

    async def test_the_key_of_a_message_that_joined_names_the_turn_from_then_on(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        running = await busy_conversation(engine, worker)
        conversation = running.turn.conversation
        one = merging(conversation, "1", idempotency_key="k1", fingerprint="f1")
        two = merging(conversation, "2", idempotency_key="k2", fingerprint="f2")
        await engine.accept(one)
        merged = (await engine.accept(two)).turn
        assert await self._repeated(engine, one, two) == [Accepted(merged, created=False)] * 2
        await engine.commit(running, outcome(running))
        claim = await worker.claim()
        committed = await engine.commit(claim, outcome(claim))
        assert committed.input == merged.input
        assert await self._repeated(engine, one, two) == [Accepted(committed, created=False)] * 2
        again = await self._reopened(engine, tmp_path)
        assert await self._repeated(again, one, two) == [Accepted(committed, created=False)] * 2
        with pytest.raises(IdempotencyMismatch, match=one.id):
            await again.accept(replace(two, fingerprint="another body"))
        await again.close()

    async def test_a_key_is_free_again_when_its_conversation_was_deleted(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        for fingerprint in ("f", "g"):
            running = await busy_conversation(engine, worker)
            conversation = running.turn.conversation
            await engine.accept(merging(conversation, "1"))
            joining = merging(conversation, "2", idempotency_key="k", fingerprint=fingerprint)
            assert (await engine.accept(joining)).joined
            await engine.delete_conversation(conversation)
        assert (await engine.accept(first_turn(idempotency_key="k", fingerprint="h"))).created

    async def test_a_bound_of_messages_joins_one_turn(self, tmp_path: Path) -> None:
        engine = await self.open_engine(tmp_path / "data", Bounds(lane=2))
        first = first_turn()
        await engine.accept(first)
        for text in ("1", "2"):
            assert (await engine.accept(merging(first.conversation, text))).joined
        with pytest.raises(LaneFull, match="2 messages") as caught:
            await engine.accept(merging(first.conversation, "3"))
        assert 1 <= caught.value.retry_after <= 60
        turn = await engine.turn(first.id)
        assert turn is not None
        assert len(turn.input) == 3
        # Whoever asks for less room may still join: one turn waits, however many messages it has.
        await engine.accept(new_turn(first.conversation))
        assert (await engine.accept(merging(first.conversation, "4", max_queue=1))).joined
        again = await self._reopened(engine, tmp_path, Bounds(lane=2))
        await again.accept(merging(first.conversation, "5"))
        with pytest.raises(LaneFull, match="2 messages"):
            await again.accept(merging(first.conversation, "6"))
        await again.close()

    async def test_messages_that_join_at_once_lose_no_text(self, tmp_path: Path) -> None:
        engine = await self.open_engine(tmp_path / "data", Bounds(lane=50))
        worker = ScriptedWorker()
        await engine.attach(worker)
        running = await busy_conversation(engine, worker)
        texts = {f"message {i}" for i in range(40)}
        accepted = await asyncio.gather(
            *(engine.accept(merging(running.turn.conversation, text)) for text in texts),
            engine.commit(running, outcome(running)),
        )
        assert sum(one.created for one in accepted if isinstance(one, Accepted)) <= 2
        said: list[str] = []
        while len(said) < len(texts):
            claim = await worker.claim()
            said += [item["content"] for item in claim.turn.input]
            await engine.commit(claim, outcome(claim))
        assert sorted(said) == sorted(texts)
        await engine.close()

    async def test_a_message_that_cannot_be_stored_joins_nothing(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        running = await busy_conversation(engine, worker)
        waiting = merging(running.turn.conversation, "1")
        await engine.accept(waiting)
        with pytest.raises(NotJson):
            await engine.accept(merging(running.turn.conversation, "2", input=[object()]))
        turn = await engine.turn(waiting.id)
        assert turn is not None
        assert turn.input == waiting.input

    async def test_what_was_added_before_a_message_joined_is_seen_with_it(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        running = await busy_conversation(engine, worker)
        conversation = running.turn.conversation
        one, added, brought = merging(conversation, "1"), message("added"), message("brought")
        await engine.accept(one)
        await engine.add_items(conversation, [added])
        two = merging(conversation, "2", items=[brought])
        merged = await engine.accept(two)
        assert merged.joined
        entries = await engine.entries(conversation)
        assert [entry.item for entry in entries if entry.item] == [added, brought]
        assert (entries[-1].turn, entries[-1].position) == (merged.turn, merged.turn.position)
        await engine.accept(merging(conversation, "3", follows=one.id))
        await engine.commit(running, outcome(running))
        claim = await worker.claim()
        assert list(claim.items) == [added, brought]
        assert [item["content"] for item in claim.turn.input] == ["1", "2", "3"]
        await engine.commit(claim, outcome(claim))
        await engine.accept(new_turn(conversation))
        assert list((await worker.claim()).items) == []

    async def test_a_merged_turn_is_cancelled_and_interrupted_whole(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        running = await busy_conversation(engine, worker)
        conversation = running.turn.conversation
        merged = await self._merged(engine, conversation, "1", "2")
        cancelled = await engine.cancel(merged.id)
        assert cancelled is not None
        assert (cancelled.status, cancelled.input) == ("cancelled", merged.input)
        merged = await self._merged(engine, conversation, "3", "4")
        await engine.accept(new_turn(conversation, when_busy="interrupt"))
        assert (await ended(engine, merged.id)).status == "interrupted"
        await engine.commit(running, outcome(running, "interrupted"))
        left = [item for item in (await worker.claim()).items if item["role"] == "user"]
        assert left == [*running.turn.input, *merged.input]

    # --- debounce ---

    async def test_a_turn_that_gathers_messages_starts_when_none_has_come_for_a_while(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = first_turn(when_busy="debounce", delay=DELAY)
        before = self.now(engine)
        accepted = await engine.accept(first)
        assert (accepted.created, accepted.turn.status) == (True, "queued")
        assert accepted.turn.not_before is not None
        assert before + DELAY - 0.01 <= accepted.turn.not_before <= self.now(engine) + DELAY + 0.01
        assert await engine.turn(first.id) == accepted.turn
        self._not_too_early(engine, worker, accepted.turn)
        await self.advance(engine, DELAY / 2)
        self._not_too_early(engine, worker, accepted.turn)
        await self.advance(engine, DELAY)
        claim = await worker.claim()
        assert (claim.turn.id, claim.turn.not_before) == (first.id, accepted.turn.not_before)
        await engine.commit(claim, outcome(claim))

    async def test_each_further_message_joins_and_starts_the_wait_anew(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = first_turn("0", when_busy="debounce", delay=60.0)
        turn = (await engine.accept(first)).turn
        for text in ("1", "2"):
            await self.advance(engine, 0.01)
            accepted = await engine.accept(gathering(first.conversation, text, delay=60.0))
            assert (accepted.created, accepted.joined, accepted.turn.id) == (False, True, first.id)
            assert accepted.turn.not_before is not None
            assert turn.not_before is not None
            assert accepted.turn.not_before >= turn.not_before + 0.005
            turn = accepted.turn
        assert [item["content"] for item in turn.input] == ["0", "1", "2"]
        assert await engine.turn(first.id) == turn
        assert worker.claims.empty()

    async def test_a_message_joins_and_what_was_gathered_is_delivered_whole(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = first_turn("0", when_busy="debounce", delay=DELAY)
        await engine.accept(first)
        joined = (await engine.accept(gathering(first.conversation, "1"))).turn
        merged = (await engine.accept(merging(first.conversation, "2"))).turn
        assert (merged.id, merged.not_before) == (first.id, joined.not_before)
        await self.advance(engine, 2 * DELAY)
        claim = await worker.claim()
        assert claim.turn.not_before is not None
        assert self.now(engine) >= claim.turn.not_before
        assert [item["content"] for item in claim.turn.input] == ["0", "1", "2"]

    async def test_a_wait_that_a_message_asked_for_is_not_cut_short_by_the_next(self, engine: Engine) -> None:
        first = first_turn(when_busy="debounce", delay=60.0)
        turn = (await engine.accept(first)).turn
        assert (await engine.accept(gathering(first.conversation))).turn.not_before == turn.not_before

    async def test_without_a_delay_it_is_like_a_merge(self, engine: Engine, worker: ScriptedWorker) -> None:
        running = await busy_conversation(engine, worker)
        conversation = running.turn.conversation
        waiting = gathering(conversation, delay=0.0)
        assert (await engine.accept(waiting)).turn.not_before is None
        assert (await engine.accept(gathering(conversation, delay=0.0))).turn.not_before is None
        await engine.commit(running, outcome(running))
        assert (await worker.claim()).turn.id == waiting.id

    async def test_a_plain_turn_waits_behind_one_that_gathers(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = first_turn(when_busy="debounce", delay=DELAY)
        behind = new_turn(first.conversation)
        turn = (await engine.accept(first)).turn
        await engine.accept(behind)
        self._not_too_early(engine, worker, turn)
        other = first_turn()  # conversations don't wait for each other
        await engine.accept(other)
        claims = [await worker.claim()]
        if claims[0].turn.id == first.id:
            claims.append(await worker.claim())  # the clock was quicker than we
        assert claims[-1].turn.id == other.id
        await self.advance(engine, 2 * DELAY)
        claim = claims[0] if len(claims) == 2 else await worker.claim()
        assert claim.turn.id == first.id
        await engine.commit(claim, outcome(claim))
        assert (await worker.claim()).turn.id == behind.id

    async def test_a_turn_gathers_also_while_another_of_its_conversation_runs(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        running = await busy_conversation(engine, worker)
        waiting = gathering(running.turn.conversation)
        turn = (await engine.accept(waiting)).turn
        await engine.commit(running, outcome(running))
        self._not_too_early(engine, worker, turn)
        await self.advance(engine, 2 * DELAY)
        assert (await worker.claim()).turn.id == waiting.id

    async def test_a_cancelled_turn_gathers_no_more_and_the_next_one_runs(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = first_turn(when_busy="debounce", delay=60.0)
        behind = new_turn(first.conversation)
        for one in (first, behind):
            await engine.accept(one)
        cancelled = await engine.cancel(first.id)
        assert cancelled is not None
        assert cancelled.status == "cancelled"
        assert (await worker.claim()).turn.id == behind.id

    async def test_a_turn_gathers_on_after_the_death_of_the_process(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        first = first_turn("0", when_busy="debounce", delay=DELAY)
        turn = (await engine.accept(first)).turn
        again = await self._reopened(engine, tmp_path)
        assert await again.turn(first.id) == turn
        heir = ScriptedWorker()
        await again.attach(heir)
        self._not_too_early(again, heir, turn)
        await self.advance(again, 2 * DELAY)
        assert (await heir.claim()).turn.id == first.id
        await again.close()

    # --- inside ---

    def _not_too_early(self, engine: Engine, worker: ScriptedWorker, turn: Turn) -> None:
        """Nothing was delivered, unless the clock of a slow machine says that the time has come."""
        assert turn.not_before is not None
        assert worker.claims.empty() or self.now(engine) >= turn.not_before

    @staticmethod
    async def _merged(engine: Engine, conversation: str, *texts: str) -> Turn:
        for text in texts:
            accepted = await engine.accept(merging(conversation, text))
        return accepted.turn

    @staticmethod
    async def _repeated(engine: Engine, *news: NewTurn) -> list[Accepted]:
        """What the same requests get, sent again."""
        return [await engine.accept(replace(new, id=f"{new.id}_again")) for new in news]
