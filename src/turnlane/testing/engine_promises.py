"""What every engine promises, as tests to inherit.

A second engine proves itself by a subclass that says how it is opened and how its process dies:

    class TestMyEngine(EnginePromises):
        async def open_engine(self, folder, bounds):
            engine = MyEngine(folder, bounds=bounds)
            await engine.open()
            return engine

        async def crash(self, engine):
            await engine.drop_connections()

The promises on double texting and on the ledger are in modules of their own, and come with these. An engine whose
clock a test can set says so by `advance` and `now` (see `EngineUnderTest`); for any other the tests wait really, a
fifth of a second each.

Needs pytest, anyio's pytest plugin (it comes with anyio) and hypothesis. What must happen is waited for, at
most `PATIENCE` seconds.
"""

from __future__ import annotations

import asyncio
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from turnlane.runtime.conversation import (
    EVENTS_PER_ATTEMPT,
    Conversation,
    Outcome,
    SavedState,
    Status,
    Turn,
    new_id,
)
from turnlane.runtime.engine import (
    ConversationBusy,
    ConversationNotFound,
    Engine,
    EngineUnavailable,
    IdempotencyMismatch,
    LaneFull,
    NotJson,
    NotLatest,
    OwnershipLost,
    QueueFull,
    WrongAgent,
)
from turnlane.runtime.limits import Bounds
from turnlane.testing.double_texting_promises import DoubleTextingPromises
from turnlane.testing.engine_machine import EngineMachine
from turnlane.testing.engine_under_test import EngineUnderTest, seqs
from turnlane.testing.ledger_promises import LedgerPromises
from turnlane.testing.scripted_worker import (
    AGENT,
    BOOM,
    PATIENCE,
    ScriptedWorker,
    event,
    first_turn,
    message,
    new_turn,
    outcome,
)


class EnginePromises(DoubleTextingPromises, LedgerPromises, EngineUnderTest):
    """The promises of `turnlane.runtime.engine.Engine`. Inherit, and name the subclass `Test...`."""

    machine_settings: ClassVar = settings(
        max_examples=25,
        stateful_step_count=30,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    """How long the property test looks for a broken promise; a nightly run may look longer."""

    # --- 1. accepted means durable ---

    async def test_an_accepted_turn_survives_the_death_of_the_process(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        new = first_turn("who are you?", metadata={"a": "b"}, options={"x": 1}, request_id="req_1")
        accepted = await engine.accept(new)
        again = await self._reopened(engine, tmp_path)
        turn = await again.turn(new.id)
        assert turn == accepted.turn
        assert turn is not None
        assert (turn.input, turn.metadata, turn.options, turn.request_id) == (
            new.input,
            {"a": "b"},
            {"x": 1},
            "req_1",
        )
        await again.close()

    async def test_what_was_committed_survives_the_death_of_the_process(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        new = first_turn()
        await engine.accept(new)
        claim = await worker.claim()
        await engine.publish(claim, [event(claim, 0), event(claim, 1)])
        committed = await engine.commit(claim, outcome(claim, said=2))
        again = await self._reopened(engine, tmp_path)
        assert await again.turn(new.id) == committed
        assert await again.state(new.conversation) == {"kind": "test", "version": "1", "data": [new.id]}
        assert await seqs(again, new.id) == [0, 1, 2]
        await again.close()

    async def test_conversations_and_items_survive_the_death_of_the_process(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        conversation = Conversation(new_id("conv"), metadata={"topic": "tea"}, created_at=5.0)
        items = [message("one"), message("two")]
        await engine.create_conversation(conversation, items[:1])
        await engine.add_items(conversation.id, items[1:])
        again = await self._reopened(engine, tmp_path)
        assert await again.conversation(conversation.id) == conversation
        assert [entry.item for entry in await again.entries(conversation.id)] == items
        await again.close()

    async def test_a_turn_whose_caller_was_cancelled_is_there_or_not_but_never_half(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        news = [first_turn() for _ in range(20)]
        callers = [asyncio.ensure_future(engine.accept(new)) for new in news]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        last = first_turn()
        await engine.accept(last)  # whatever was begun before is over now
        for new in news:
            stored = await engine.turn(new.id) is not None
            assert stored == (await engine.conversation(new.conversation) is not None)

    async def test_text_of_all_kinds_comes_back_as_it_went_in(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        awkward: list[Any] = ["naïve 🍵", "\ud800 alone", "\x01\n\t", 1.5, -0.0, 2**70, None, True, [], {"": {}}]
        await engine.accept(first_turn())
        claim = await worker.claim()
        await engine.commit(claim, Outcome("completed", output=awkward, state=SavedState("test", "1", awkward)))
        turn = await engine.turn(claim.turn.id)
        state = await engine.state(claim.turn.conversation)
        assert turn is not None
        assert turn.output == awkward
        assert state is not None
        assert state["data"] == awkward

    # --- 2. one owner per conversation, in order, conversations independent ---

    async def test_turns_of_a_conversation_run_one_at_a_time_in_order(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = first_turn("0")
        news = [first, *(new_turn(first.conversation, str(i)) for i in range(1, 5))]
        for new in news:
            await engine.accept(new)
        for new in news:
            claim = await worker.claim()
            assert claim.turn.id == new.id
            assert worker.claims.empty()
            await engine.commit(claim, outcome(claim))
        assert await engine.state(first.conversation) == {
            "kind": "test",
            "version": "1",
            "data": [new.id for new in news],
        }

    async def test_turns_accepted_together_run_in_the_order_accepted(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        conversation = Conversation(new_id("conv"))
        await engine.create_conversation(conversation)
        accepted = await asyncio.gather(*(engine.accept(new_turn(conversation.id)) for _ in range(10)))
        in_order = sorted((one.turn for one in accepted), key=lambda turn: turn.position)
        for turn in in_order:
            claim = await worker.claim()
            assert claim.turn.id == turn.id
            await engine.commit(claim, outcome(claim))

    async def test_conversations_do_not_wait_for_each_other(self, engine: Engine, worker: ScriptedWorker) -> None:
        news = [first_turn() for _ in range(50)]
        for new in news:
            await engine.accept(new)
        claims = [await worker.claim() for _ in news]
        assert {claim.turn.id for claim in claims} == {new.id for new in news}

    async def test_a_worker_never_gets_more_than_it_has_room_for(self, engine: Engine) -> None:
        worker = ScriptedWorker(capacity=2)
        await engine.attach(worker)
        news = [first_turn() for _ in range(5)]
        for new in news:
            await engine.accept(new)
        claims = [await worker.claim(), await worker.claim()]
        for _ in news[2:]:
            assert (await engine.stats()).running == 2
            assert worker.claims.empty()
            await engine.commit(claims[0], outcome(claims[0]))
            claims = [claims[1], await worker.claim()]

    async def test_the_longest_waiting_conversation_gets_the_free_place(self, engine: Engine) -> None:
        worker = ScriptedWorker(capacity=1)
        news = [first_turn() for _ in range(5)]
        for new in news:
            await engine.accept(new)
        await engine.attach(worker)
        for new in news:
            claim = await worker.claim()
            assert claim.turn.id == new.id
            await engine.commit(claim, outcome(claim))

    async def test_an_agent_at_its_own_bound_does_not_hold_up_another(self, engine: Engine) -> None:
        worker = ScriptedWorker(capacity=10, agent_limits={"slow": 1, "fast": None})
        await engine.attach(worker)
        for agent in ("slow", "slow", "fast", "fast", "unknown"):
            await engine.accept(first_turn(agent=agent))
        agents = [(await worker.claim()).turn.agent for _ in range(3)]
        assert sorted(agents) == ["fast", "fast", "slow"]
        stats = await engine.stats()
        assert (stats.queued, stats.running) == (2, 3)

    async def test_a_detached_worker_gets_no_more_and_may_finish_what_it_has(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        await engine.detach(worker)
        await engine.detach(worker)
        waiting = first_turn()
        await engine.accept(waiting)
        await engine.commit(claim, outcome(claim))
        assert worker.claims.empty()
        other = ScriptedWorker()
        await engine.attach(other)
        assert (await other.claim()).turn.id == waiting.id

    # --- 3. a dead owner's turn runs again, its late result is refused ---

    async def test_a_turn_whose_owner_died_runs_again_first_in_its_lane(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        first = first_turn()
        second = new_turn(first.conversation)
        for new in (first, second):
            await engine.accept(new)
        dead = await worker.claim()
        again = await self._reopened(engine, tmp_path)
        heir = ScriptedWorker()
        await again.attach(heir)
        claim = await heir.claim()
        assert (claim.turn.id, claim.attempt, claim.state) == (first.id, dead.attempt + 1, None)
        await again.commit(claim, outcome(claim))
        assert (await heir.claim()).turn.id == second.id
        await again.close()

    async def test_a_dead_owners_late_result_is_refused(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        new = first_turn()
        await engine.accept(new)
        dead = await worker.claim()
        again = await self._reopened(engine, tmp_path)
        with pytest.raises(OwnershipLost):
            await again.commit(dead, outcome(dead))
        heir = ScriptedWorker()
        await again.attach(heir)
        claim = await heir.claim()
        for late in (
            again.commit(dead, outcome(dead)),
            again.publish(dead, [event(dead, 0)]),
            again.release(dead),
        ):
            with pytest.raises(OwnershipLost):
                await late
        assert await again.state(new.conversation) is None
        assert (await again.commit(claim, outcome(claim))).attempt == 2
        await again.close()

    async def test_a_turn_ends_once(self, engine: Engine, worker: ScriptedWorker) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        committed = await engine.commit(claim, outcome(claim))
        with pytest.raises(OwnershipLost):
            await engine.commit(claim, outcome(claim, "failed"))
        assert await engine.turn(claim.turn.id) == committed

    async def test_two_results_at_once_only_one_is_kept(self, engine: Engine, worker: ScriptedWorker) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        results = await asyncio.gather(
            engine.commit(claim, outcome(claim)),
            engine.commit(claim, outcome(claim, "failed")),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Turn) for result in results) == 1
        assert sum(isinstance(result, OwnershipLost) for result in results) == 1

    async def test_a_turn_that_keeps_killing_its_process_is_failed(self, tmp_path: Path) -> None:
        bounds = Bounds(attempts=2)
        new = first_turn()
        engine = await self.open_engine(tmp_path / "data", bounds)
        await engine.accept(new)
        for attempt in (1, 2):
            worker = ScriptedWorker()
            await engine.attach(worker)
            assert (await worker.claim()).attempt == attempt
            engine = await self._reopened(engine, tmp_path, bounds)
        async with asyncio.timeout(PATIENCE):
            turn = await engine.wait(new.id)
        assert turn is not None
        assert (turn.status, turn.attempt) == ("failed", 2)
        assert turn.failure is not None
        assert (turn.failure.kind, turn.failure.code, turn.failure.type) == (
            "attempts",
            "attempts_exhausted",
            "AttemptsExhausted",
        )
        assert [one.kind async for one in engine.events(new.id)] == ["finished"]
        await engine.close()

    async def test_a_released_turn_goes_back_to_the_head_of_its_lane(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = first_turn()
        await engine.accept(first)
        await engine.accept(new_turn(first.conversation))
        claim = await worker.claim()
        await engine.publish(claim, [event(claim, 0)])
        await engine.release(claim)
        again = await worker.claim()
        assert (again.turn.id, again.attempt) == (first.id, claim.attempt + 1)
        with pytest.raises(OwnershipLost):
            await engine.commit(claim, outcome(claim))
        await engine.commit(again, outcome(again))
        assert (await worker.claim()).turn.id != first.id

    async def test_turns_that_ran_at_close_run_again_at_the_next_open(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        new = first_turn()
        await engine.accept(new)
        await worker.claim()
        await engine.close()
        again = await self.open_engine(tmp_path / "data", Bounds())
        heir = ScriptedWorker()
        await again.attach(heir)
        claim = await heir.claim()
        assert (claim.turn.id, claim.attempt) == (new.id, 2)
        await again.close()

    # --- 4. result, events and state together, or not at all ---

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    async def test_a_turn_without_success_leaves_the_state_alone(
        self, engine: Engine, worker: ScriptedWorker, status: Status
    ) -> None:
        first = first_turn()
        await engine.accept(first)
        good = await worker.claim()
        await engine.commit(good, outcome(good))
        before = await engine.state(first.conversation)
        await engine.accept(new_turn(first.conversation))
        bad = await worker.claim()
        assert bad.state == SavedState("test", "1", [first.id])
        with_state = Outcome(status, failure=BOOM, state=SavedState("test", "1", ["poison"]))
        assert (await engine.commit(bad, with_state)).failure == BOOM
        assert await engine.state(first.conversation) == before

    async def test_an_incomplete_turn_saves_its_state(self, engine: Engine, worker: ScriptedWorker) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        end = outcome(claim)
        cut = Outcome("incomplete", end.output, incomplete="max_output_tokens", state=end.state)
        turn = await engine.commit(claim, cut)
        assert (turn.status, turn.incomplete) == ("incomplete", "max_output_tokens")
        assert await engine.turn(turn.id) == turn
        assert await engine.state(turn.conversation) == {"kind": "test", "version": "1", "data": [turn.id]}

    async def test_an_outcome_that_is_not_json_changes_nothing_and_may_be_followed_by_a_right_one(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        await engine.publish(claim, [event(claim, 0)])
        with pytest.raises(NotJson):
            await engine.commit(claim, Outcome("completed", state=SavedState("test", "1", object())))
        turn = await engine.turn(claim.turn.id)
        assert turn is not None
        assert turn.status == "running"
        await engine.commit(claim, outcome(claim, said=1))
        assert await seqs(engine, turn.id) == [0, 1]

    async def test_the_saved_state_is_a_copy(self, engine: Engine, worker: ScriptedWorker) -> None:
        first = first_turn()
        await engine.accept(first)
        await engine.accept(new_turn(first.conversation))
        claim = await worker.claim()
        data = ["one"]
        await engine.commit(claim, Outcome("completed", state=SavedState("test", "1", data)))
        data.append("written later, by an agent that should be dead")
        following = await worker.claim()
        assert following.state == SavedState("test", "1", ["one"])

    # --- 5. the same idempotency key gives the same turn ---

    async def test_the_same_key_gives_the_same_turn_also_after_its_end_and_a_crash(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        new = first_turn(idempotency_key="k", fingerprint="f")
        repeat = new_turn(new.conversation, idempotency_key="k", fingerprint="f")
        assert (await engine.accept(new)).created
        again = await engine.accept(repeat)
        assert (again.created, again.turn.id) == (False, new.id)
        claim = await worker.claim()
        committed = await engine.commit(claim, outcome(claim))
        assert (await engine.accept(repeat)).turn == committed
        reopened = await self._reopened(engine, tmp_path)
        assert (await reopened.accept(repeat)).turn == committed
        assert await reopened.turn(repeat.id) is None
        await reopened.close()

    async def test_the_same_key_with_another_body_is_refused(self, engine: Engine) -> None:
        new = first_turn(idempotency_key="k", fingerprint="f")
        await engine.accept(new)
        with pytest.raises(IdempotencyMismatch, match=new.id):
            await engine.accept(new_turn(new.conversation, idempotency_key="k", fingerprint="g"))

    async def test_keys_of_different_owners_are_different(self, engine: Engine) -> None:
        for key in ("alice", "bob"):
            accepted = await engine.accept(first_turn(key=key, idempotency_key="k", fingerprint=key))
            assert accepted.created

    async def test_many_repeats_at_once_make_one_turn(self, engine: Engine, worker: ScriptedWorker) -> None:
        conversation = Conversation(new_id("conv"))
        await engine.create_conversation(conversation)
        repeats = [new_turn(conversation.id, "hi", idempotency_key="k", fingerprint="f") for _ in range(10)]
        accepted = await asyncio.gather(*map(engine.accept, repeats))
        assert len({one.turn.id for one in accepted}) == 1
        assert sum(one.created for one in accepted) == 1
        assert len(await engine.turns(conversation=conversation.id)) == 1

    # --- 6. cancel ---

    async def test_a_waiting_turn_is_cancelled_at_once_and_never_runs(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = first_turn()
        second, third = new_turn(first.conversation), new_turn(first.conversation)
        for new in (first, second, third):
            await engine.accept(new)
        cancelled = await engine.cancel(second.id)
        assert cancelled is not None
        assert cancelled.status == "cancelled"
        assert cancelled.failure is not None
        assert (cancelled.failure.kind, cancelled.failure.code) == ("cancelled", "cancelled")
        assert await engine.turn(second.id) == cancelled
        assert [(one.kind, one.data) async for one in engine.events(second.id)] == [
            ("finished", {"status": "cancelled"})
        ]
        claim = await worker.claim()
        await engine.commit(claim, outcome(claim))
        assert (await worker.claim()).turn.id == third.id

    async def test_whoever_waits_for_a_turn_hears_that_it_was_cancelled(self, engine: Engine) -> None:
        new = first_turn()
        await engine.accept(new)
        waiter = asyncio.ensure_future(engine.wait(new.id))
        reader = asyncio.ensure_future(seqs(engine, new.id, follow=True))
        await asyncio.sleep(0)
        cancelled = await engine.cancel(new.id)
        async with asyncio.timeout(PATIENCE):
            assert await waiter == cancelled
            assert await reader == [0]

    async def test_the_worker_of_a_running_turn_is_told_and_ends_it(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        asked = await engine.cancel(claim.turn.id)
        assert asked is not None
        assert (asked.status, asked.cancel_requested) == ("running", True)
        async with asyncio.timeout(PATIENCE):
            assert await worker.stopped.get() == (claim.turn.id, claim.attempt, "cancel")
        turn = await engine.commit(claim, outcome(claim, "cancelled"))
        assert (turn.status, turn.cancel_requested) == ("cancelled", True)
        assert await engine.cancel(turn.id) == turn

    async def test_an_ended_turn_is_not_cancelled_and_an_unknown_one_is_none(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        committed = await engine.commit(claim, outcome(claim))
        assert await engine.cancel(committed.id) == committed
        assert await engine.cancel("resp_unknown") is None

    async def test_a_cancelled_turn_whose_owner_dies_does_not_run_again(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        new = first_turn()
        await engine.accept(new)
        await worker.claim()
        await engine.cancel(new.id)
        again = await self._reopened(engine, tmp_path)
        async with asyncio.timeout(PATIENCE):
            turn = await again.wait(new.id)
        assert turn is not None
        assert turn.status == "cancelled"
        await again.close()

    async def test_a_cancelled_turn_that_is_released_does_not_run_again(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        await engine.publish(claim, [event(claim, 0), event(claim, 1)])
        reader = engine.events(claim.turn.id)
        assert (await anext(reader)).seq == 0
        await engine.cancel(claim.turn.id)
        await engine.release(claim)
        turn = await engine.turn(claim.turn.id)
        assert turn is not None
        assert turn.status == "cancelled"
        async with asyncio.timeout(PATIENCE):
            assert [one.kind async for one in reader] == ["finished"]
        assert [one.seq for one in await engine.superseded_events(turn.id)] == [0, 1]

    # --- 7. bounds ---

    async def test_a_full_lane_refuses_and_takes_again_when_there_is_room(self, tmp_path: Path) -> None:
        engine = await self.open_engine(tmp_path / "data", Bounds(lane=2))
        worker = ScriptedWorker()
        await engine.attach(worker)
        first = first_turn()
        await engine.accept(first)
        claim = await worker.claim()
        for _ in range(2):
            await engine.accept(new_turn(first.conversation))
        refused = new_turn(first.conversation)
        with pytest.raises(LaneFull, match="2 turns") as caught:
            await engine.accept(refused)
        assert 1 <= caught.value.retry_after <= 60
        assert await engine.turn(refused.id) is None
        await engine.accept(first_turn())  # another conversation has room
        await engine.commit(claim, outcome(claim))
        assert (await engine.accept(refused)).created
        await engine.close()

    async def test_a_turn_may_ask_for_less_room_than_the_bound(self, tmp_path: Path) -> None:
        engine = await self.open_engine(tmp_path / "data", Bounds(lane=5))
        first = first_turn()
        await engine.accept(first)
        await engine.accept(new_turn(first.conversation, max_queue=2))
        with pytest.raises(LaneFull, match="2 turns"):
            await engine.accept(new_turn(first.conversation, max_queue=2))
        assert (await engine.accept(new_turn(first.conversation))).created
        await engine.close()

    async def test_a_turn_that_follows_another_is_refused_when_that_is_not_the_latest(
        self, engine: Engine
    ) -> None:
        first = first_turn()
        await engine.accept(first)
        second = new_turn(first.conversation, follows=first.id)
        assert (await engine.accept(second)).created
        late = new_turn(first.conversation, follows=first.id)
        with pytest.raises(NotLatest, match=second.id):
            await engine.accept(late)
        assert await engine.turn(late.id) is None

    async def test_a_full_queue_refuses_and_stores_nothing(self, tmp_path: Path) -> None:
        engine = await self.open_engine(tmp_path / "data", Bounds(total=3))
        accepted = [first_turn(idempotency_key=str(i)) for i in range(3)]
        for new in accepted:
            await engine.accept(new)
        refused = first_turn()
        with pytest.raises(QueueFull) as caught:
            await engine.accept(refused)
        assert 1 <= caught.value.retry_after <= 60
        assert await engine.turn(refused.id) is None
        assert await engine.conversation(refused.conversation) is None
        # A repeat of an accepted request is no new turn.
        assert not (await engine.accept(accepted[0])).created
        worker = ScriptedWorker()
        await engine.attach(worker)
        await worker.claim()
        assert (await engine.accept(refused)).created
        await engine.close()

    async def test_a_turn_that_does_not_want_to_wait_is_refused_by_a_busy_conversation(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = first_turn(when_busy="reject")
        await engine.accept(first)
        claim = await worker.claim()
        with pytest.raises(ConversationBusy) as caught:
            await engine.accept(new_turn(first.conversation, when_busy="reject"))
        assert caught.value.turn == first.id
        await engine.commit(claim, outcome(claim))
        assert (await engine.accept(new_turn(first.conversation, when_busy="reject"))).created

    # --- 8. events ---

    async def test_events_are_seen_while_the_turn_runs(self, engine: Engine, worker: ScriptedWorker) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        reader = engine.events(claim.turn.id)
        for i in range(3):
            await engine.publish(claim, [event(claim, i, f"piece {i}")])
            async with asyncio.timeout(PATIENCE):
                assert await anext(reader) == event(claim, i, f"piece {i}")
        await engine.commit(claim, outcome(claim, said=3))
        async with asyncio.timeout(PATIENCE):
            assert [one.kind async for one in reader] == ["finished"]

    async def test_a_reader_that_comes_back_misses_nothing(self, engine: Engine, worker: ScriptedWorker) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        for i in range(10):
            await engine.publish(claim, [event(claim, i)])
        for after in (-1, 0, 4, 9):
            assert await seqs(engine, claim.turn.id, after=after) == list(range(after + 1, 10))
        await engine.commit(claim, outcome(claim, said=10))
        for after in (-1, 4, 9, 10, 99):
            assert await seqs(engine, claim.turn.id, after=after) == list(range(after + 1, 11))
            assert await seqs(engine, claim.turn.id, after=after, follow=True) == list(range(after + 1, 11))

    async def test_many_readers_at_different_speeds_see_all_events(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        total = 6_000

        async def read(every: int) -> list[int]:
            seen = []
            async for one in engine.events(claim.turn.id):
                seen.append(one.seq)
                if len(seen) % every == 0:
                    await asyncio.sleep(0)
            return seen

        readers = [asyncio.ensure_future(read(every)) for every in (1, 7, 10_000)]
        for start in range(0, total, 50):
            await engine.publish(claim, [event(claim, i) for i in range(start, start + 50)])
            await asyncio.sleep(0)
        late = asyncio.ensure_future(read(100))
        await engine.commit(claim, outcome(claim, said=total))
        async with asyncio.timeout(PATIENCE):
            for seen in await asyncio.gather(*readers, late):
                assert seen == list(range(total + 1))

    async def test_a_reader_who_left_for_long_is_fed_from_the_store(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        reader = engine.events(claim.turn.id)
        await engine.publish(claim, [event(claim, 0)])
        assert (await anext(reader)).seq == 0
        for start in range(1, 5_001, 100):
            await engine.publish(claim, [event(claim, i) for i in range(start, start + 100)])
        async with asyncio.timeout(PATIENCE):
            assert [(await anext(reader)).seq for _ in range(5_000)] == list(range(1, 5_001))

    async def test_numbers_of_events_must_rise(self, engine: Engine, worker: ScriptedWorker) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        await engine.publish(claim, [event(claim, 3)])
        for wrong in (event(claim, 3), event(claim, 1), event(claim, EVENTS_PER_ATTEMPT)):
            with pytest.raises(ValueError, match="numbers rise"):
                await engine.publish(claim, [wrong])
        assert await seqs(engine, claim.turn.id) == [3]

    async def test_events_of_a_dead_attempt_are_not_mixed_in(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        new = first_turn()
        await engine.accept(new)
        dead = await worker.claim()
        await engine.publish(dead, [event(dead, i) for i in range(5)])
        last_seen = (await seqs(engine, new.id))[-1]
        again = await self._reopened(engine, tmp_path)
        reader = asyncio.ensure_future(seqs(again, new.id, after=last_seen, follow=True))
        heir = ScriptedWorker()
        await again.attach(heir)
        claim = await heir.claim()
        await again.publish(claim, [event(claim, 0), event(claim, 1)])
        await again.commit(claim, outcome(claim, said=2))
        expected = [EVENTS_PER_ATTEMPT, EVENTS_PER_ATTEMPT + 1, EVENTS_PER_ATTEMPT + 2]
        assert await reader == expected
        assert await seqs(again, new.id) == expected
        # What was not durable yet is gone with the process; what is kept is a beginning of it.
        kept = [one.seq for one in await again.superseded_events(new.id)]
        assert kept == list(range(len(kept)))
        await again.close()

    async def test_a_reader_follows_from_one_attempt_to_the_next(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        await engine.accept(first_turn())
        first = await worker.claim()
        reader = engine.events(first.turn.id)
        await engine.publish(first, [event(first, 0), event(first, 1)])
        assert (await anext(reader)).seq == 0
        await engine.release(first)
        second = await worker.claim()
        await engine.publish(second, [event(second, 0)])
        async with asyncio.timeout(PATIENCE):
            # Number 1 belongs to the attempt that was given back: superseded, so not shown any more.
            assert (await anext(reader)).seq == EVENTS_PER_ATTEMPT
        await engine.commit(second, outcome(second, said=1))
        assert [one.seq async for one in reader] == [EVENTS_PER_ATTEMPT + 1]
        assert [one.seq for one in await engine.superseded_events(first.turn.id)] == [0, 1]

    async def test_there_are_no_events_of_an_unknown_turn(self, engine: Engine) -> None:
        assert await seqs(engine, "resp_unknown", follow=True) == []
        assert await engine.superseded_events("resp_unknown") == []

    # --- waiting, listing ---

    async def test_waiting_ends_with_the_turn_or_the_time(self, engine: Engine, worker: ScriptedWorker) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        early = await engine.wait(claim.turn.id, timeout=0)
        assert early is not None
        assert early.status == "running"
        waiters = [asyncio.ensure_future(engine.wait(claim.turn.id, timeout=PATIENCE)) for _ in range(3)]
        await asyncio.sleep(0)
        committed = await engine.commit(claim, outcome(claim))
        assert await asyncio.gather(*waiters) == [committed] * 3
        assert await engine.wait(claim.turn.id) == committed
        assert await engine.wait("resp_unknown") is None

    async def test_turns_are_listed_newest_first_and_by_what_is_asked(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        mine = first_turn(key="me")
        news = [mine, new_turn(mine.conversation, key="me"), first_turn(key="you")]
        for new in news:
            await engine.accept(new)
        ids = [new.id for new in news]
        claim, _ = await worker.claim(), await worker.claim()  # both run now
        assert [turn.id for turn in await engine.turns()] == ids[::-1]
        assert [turn.id for turn in await engine.turns(key="me")] == [ids[1], ids[0]]
        assert [turn.id for turn in await engine.turns(conversation=mine.conversation, limit=1)] == [ids[1]]
        assert [turn.id for turn in await engine.turns(before=ids[2])] == [ids[1], ids[0]]
        assert [turn.id for turn in await engine.turns(status="running")] == [ids[2], ids[0]]
        assert [turn.id for turn in await engine.turns(status="queued", key="you")] == []
        await engine.commit(claim, outcome(claim))
        assert [turn.id for turn in await engine.turns(status="completed")] == [claim.turn.id]

    async def test_lanes_and_counts_show_what_has_not_ended(self, tmp_path: Path) -> None:
        engine = await self.open_engine(tmp_path / "data", Bounds())
        worker = ScriptedWorker(capacity=1)
        await engine.attach(worker)
        first = first_turn(created_at=10.0)
        waiting = first_turn(key="you", created_at=30.0)
        for new in (first, new_turn(first.conversation, created_at=20.0), waiting):
            await engine.accept(new)
        claim = await worker.claim()
        one, two = await engine.lanes()
        assert (one.conversation, one.running, one.queued, one.oldest_at) == (
            first.conversation,
            first.id,
            1,
            10.0,
        )
        assert (two.key, two.running, two.queued, two.oldest_at) == ("you", None, 1, 30.0)
        assert [lane.key for lane in await engine.lanes(key="you")] == ["you"]
        assert len(await engine.lanes(limit=1)) == 1
        stats = await engine.stats()
        assert (stats.queued, stats.running, stats.conversations_active) == (2, 1, 2)
        assert stats.oldest_queued_at == 20.0
        await engine.commit(claim, outcome(claim))
        for _ in range(2):
            claim = await worker.claim()
            await engine.commit(claim, outcome(claim))
        assert await engine.lanes() == []
        stats = await engine.stats()
        assert (stats.queued, stats.running, stats.conversations_active) == (0, 0, 0)
        assert stats.oldest_queued_at is None
        await engine.close()

    # --- conversations ---

    async def test_a_conversation_is_made_with_its_first_turn_and_belongs_to_its_agent(
        self, engine: Engine
    ) -> None:
        new = first_turn(items=[message("before")])
        accepted = await engine.accept(new)
        conversation = await engine.conversation(new.conversation)
        assert conversation is not None
        assert conversation.agent == AGENT
        item, turn = await engine.entries(new.conversation)
        assert item.item == new.items[0]
        assert turn.turn is not None
        assert (turn.turn.id, turn.position) == (new.id, accepted.turn.position)
        assert item.position < turn.position

    async def test_the_first_turn_of_an_empty_conversation_sets_its_agent(self, engine: Engine) -> None:
        conversation = Conversation(new_id("conv"))
        await engine.create_conversation(conversation)
        await engine.accept(new_turn(conversation.id))
        stored = await engine.conversation(conversation.id)
        assert stored is not None
        assert stored.agent == AGENT
        with pytest.raises(WrongAgent, match="another"):
            await engine.accept(new_turn(conversation.id, agent="another"))

    async def test_a_conversation_of_another_key_is_not_found(self, engine: Engine) -> None:
        new = first_turn(key="alice")
        await engine.accept(new)
        for stranger in (new_turn(new.conversation, key="eve"), new_turn("conv_unknown")):
            with pytest.raises(ConversationNotFound):
                await engine.accept(stranger)
            assert await engine.turn(stranger.id) is None

    async def test_metadata_is_replaced(self, engine: Engine) -> None:
        conversation = Conversation(new_id("conv"), metadata={"a": "1"})
        await engine.create_conversation(conversation)
        updated = await engine.update_conversation(conversation.id, {"b": "2"})
        assert updated is not None
        assert updated.metadata == {"b": "2"}
        assert await engine.conversation(conversation.id) == updated
        assert await engine.update_conversation("conv_unknown", {}) is None

    async def test_what_an_agent_has_not_seen_comes_with_the_next_claim(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        before, between = message("before"), message("between")
        first = first_turn(items=[before])
        await engine.accept(first)
        claim = await worker.claim()
        assert list(claim.items) == [before]
        await engine.commit(claim, outcome(claim, "failed"))
        await engine.add_items(first.conversation, [between])
        await engine.accept(new_turn(first.conversation))
        claim = await worker.claim()
        assert list(claim.items) == [before, between]  # the failed turn's agent was dropped with what it saw
        await engine.commit(claim, outcome(claim))
        await engine.accept(new_turn(first.conversation))
        assert list((await worker.claim()).items) == []

    async def test_an_item_added_behind_a_turn_is_for_the_turn_after_it(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = first_turn()
        await engine.accept(first)
        claim = await worker.claim()
        late = message("said while the agent was thinking")
        await engine.add_items(first.conversation, [late])
        await engine.accept(new_turn(first.conversation))
        await engine.commit(claim, outcome(claim))
        assert list((await worker.claim()).items) == [late]

    async def test_an_item_can_be_deleted_until_a_turn_has_used_it(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        used, unused = message("used"), message("unused")
        first = first_turn(items=[used])
        await engine.accept(first)
        claim = await worker.claim()
        await engine.add_items(first.conversation, [unused])
        assert not await engine.delete_item(first.conversation, used["id"])
        await engine.commit(claim, outcome(claim))
        assert not await engine.delete_item(first.conversation, used["id"])
        assert await engine.delete_item(first.conversation, unused["id"])
        assert not await engine.delete_item(first.conversation, unused["id"])
        assert not await engine.delete_item("conv_unknown", used["id"])
        assert [entry.item for entry in await engine.entries(first.conversation) if entry.item] == [used]

    async def test_items_of_an_unknown_conversation_are_refused(self, engine: Engine) -> None:
        with pytest.raises(ConversationNotFound):
            await engine.add_items("conv_unknown", [message("hello?")])
        assert await engine.entries("conv_unknown") == []
        assert await engine.state("conv_unknown") is None

    async def test_entries_are_paged_in_both_directions(self, engine: Engine) -> None:
        conversation = Conversation(new_id("conv"))
        await engine.create_conversation(conversation, [message("0"), message("1")])
        await engine.accept(new_turn(conversation.id))
        await engine.add_items(conversation.id, [message("3")])
        await engine.accept(new_turn(conversation.id))
        whole = await engine.entries(conversation.id)
        assert [entry.turn is not None for entry in whole] == [False, False, True, False, True]
        positions = [entry.position for entry in whole]
        assert positions == sorted(set(positions))
        assert await engine.entries(conversation.id, newest_first=True) == whole[::-1]
        for i, entry in enumerate(whole):
            assert await engine.entries(conversation.id, after=entry.position, limit=2) == whole[i + 1 :][:2]
            backwards = await engine.entries(conversation.id, after=entry.position, limit=2, newest_first=True)
            assert backwards == whole[:i][::-1][:2]

    async def test_a_deleted_conversation_is_gone_and_its_running_turn_cannot_commit(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = first_turn(idempotency_key="k", fingerprint="f")
        waiting = new_turn(first.conversation)
        await engine.accept(first)
        await engine.accept(waiting)
        claim = await worker.claim()
        await engine.publish(claim, [event(claim, 0)])
        waiters = [asyncio.ensure_future(engine.wait(new.id)) for new in (first, waiting)]
        reader = asyncio.ensure_future(seqs(engine, first.id, follow=True))
        await asyncio.sleep(0)
        assert await engine.delete_conversation(first.conversation)
        async with asyncio.timeout(PATIENCE):
            assert await worker.lost_ones.get() == (first.id, claim.attempt)
            assert await asyncio.gather(*waiters) == [None, None]
            await reader
        with pytest.raises(OwnershipLost):
            await engine.commit(claim, outcome(claim))
        with pytest.raises(OwnershipLost):
            await engine.publish(claim, [event(claim, 1)])
        assert await engine.turn(first.id) is None
        assert await engine.conversation(first.conversation) is None
        assert await engine.entries(first.conversation) == []
        assert await seqs(engine, first.id) == []
        stats = await engine.stats()
        assert (stats.queued, stats.running, stats.conversations_active) == (0, 0, 0)
        assert not await engine.delete_conversation(first.conversation)
        # The key is free again, and so is the place in the worker.
        assert (await engine.accept(first)).created
        assert (await worker.claim()).turn.id == first.id

    # --- closing ---

    async def test_after_close_everything_is_refused_and_nobody_waits_for_ever(self, engine: Engine) -> None:
        new = first_turn()
        await engine.accept(new)
        waiter = asyncio.ensure_future(engine.wait(new.id))
        reader = asyncio.ensure_future(seqs(engine, new.id, follow=True))
        await asyncio.sleep(0)
        await engine.close()
        await engine.close()
        async with asyncio.timeout(PATIENCE):
            for late in (waiter, reader, engine.accept(first_turn()), engine.turn(new.id), engine.lanes()):
                with pytest.raises(EngineUnavailable):
                    await late

    async def test_what_was_published_before_close_is_kept(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        await engine.accept(first_turn())
        claim = await worker.claim()
        await engine.publish(claim, [event(claim, i) for i in range(5)])
        await engine.close()
        again = await self.open_engine(tmp_path / "data", Bounds())
        assert [one.seq for one in await again.superseded_events(claim.turn.id)] == list(range(5))
        await again.close()

    # --- all of them, in any order ---

    def test_the_promises_hold_in_any_order_of_events(self) -> None:
        with tempfile.TemporaryDirectory(prefix="turnlane-promises-") as folder:
            machine = partial(EngineMachine, self.open_engine, self.crash, Path(folder))
            # Any callable that makes a machine will do; its annotation asks for the class itself.
            run_state_machine_as_test(cast("type[EngineMachine]", machine), settings=self.machine_settings)
