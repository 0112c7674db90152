"""What every engine promises of messages that stop the turns before them, as tests to inherit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from turnlane.runtime.conversation import Claim, JsonObject, SavedState, Status, StopAsk
from turnlane.runtime.engine import Engine, NotJson, NotLatest, OwnershipLost
from turnlane.testing.engine_under_test import EngineUnderTest, ended, seqs
from turnlane.testing.scripted_worker import (
    ScriptedWorker,
    answer_id,
    event,
    first_turn,
    message,
    new_turn,
    outcome,
)

STOPPED_AS: Final[list[tuple[StopAsk, Status, str | None]]] = [
    ("interrupt", "interrupted", None),
    ("rollback", "cancelled", "rolled_back"),
]
"""Each strategy that stops, the status of what it stopped, and the code of its failure."""

stops: Final = pytest.mark.parametrize(("when_busy", "status", "code"), STOPPED_AS)


def ids(items: Sequence[JsonObject]) -> list[str]:
    return [item["id"] for item in items]


async def running_turn(engine: Engine, worker: ScriptedWorker) -> Claim:
    """The first turn of a new conversation, while it runs."""
    await engine.accept(first_turn())
    return await worker.claim()


class StoppingPromises(EngineUnderTest):
    """`interrupt` keeps what was said, `rollback` forgets it."""

    # --- both ---

    @stops
    async def test_the_running_turn_is_stopped_and_the_new_one_runs_next(
        self, engine: Engine, worker: ScriptedWorker, when_busy: StopAsk, status: Status, code: str | None
    ) -> None:
        claim = await running_turn(engine, worker)
        new = new_turn(claim.turn.conversation, when_busy=when_busy)
        accepted = await engine.accept(new)
        assert (accepted.created, accepted.joined, accepted.turn.status) == (True, False, "queued")
        assert await worker.told_to_stop() == (claim.turn.id, claim.attempt, when_busy)
        stopping = await engine.turn(claim.turn.id)
        assert stopping is not None
        assert (stopping.status, stopping.stop_asked) == ("running", when_busy)
        assert worker.claims.empty()
        stopped = await engine.commit(claim, outcome(claim, status))
        assert (stopped.status, stopped.stop_asked) == (status, when_busy)
        assert await engine.turn(claim.turn.id) == stopped
        assert (await worker.claim()).turn.id == new.id

    @stops
    async def test_waiting_turns_end_at_once_and_whoever_waits_for_them_hears_it(
        self, engine: Engine, worker: ScriptedWorker, when_busy: StopAsk, status: Status, code: str | None
    ) -> None:
        claim = await running_turn(engine, worker)
        waiting = [new_turn(claim.turn.conversation) for _ in range(2)]
        for one in waiting:
            await engine.accept(one)
        waiter = asyncio.ensure_future(ended(engine, waiting[0].id))
        reader = asyncio.ensure_future(seqs(engine, waiting[1].id, follow=True))
        await asyncio.sleep(0)
        await engine.accept(new_turn(claim.turn.conversation, when_busy=when_busy))
        assert await waiter == await engine.turn(waiting[0].id)
        assert await reader == [0]
        for one in waiting:
            turn = await ended(engine, one.id)
            assert (turn.status, turn.attempt, turn.input) == (status, 0, one.input)
            failure = turn.failure
            assert (failure.code if failure else None) == code
            assert failure is None or failure.kind == "cancelled"
            assert [(one.kind, one.data) async for one in engine.events(turn.id)] == [
                ("finished", {"status": status})
            ]

    @stops
    async def test_where_nothing_runs_the_new_turn_takes_the_place_of_those_that_wait(
        self, engine: Engine, when_busy: StopAsk, status: Status, code: str | None
    ) -> None:
        first = first_turn()
        new = new_turn(first.conversation, when_busy=when_busy)
        for one in (first, new):
            await engine.accept(one)
        assert (await ended(engine, first.id)).status == status
        worker = ScriptedWorker()
        await engine.attach(worker)
        assert (await worker.claim()).turn.id == new.id

    @stops
    async def test_a_stopped_turn_whose_owner_dies_ends_and_does_not_run_again(
        self,
        engine: Engine,
        worker: ScriptedWorker,
        tmp_path: Path,
        when_busy: StopAsk,
        status: Status,
        code: str | None,
    ) -> None:
        dead = await running_turn(engine, worker)
        waiting = new_turn(dead.turn.conversation)
        new = new_turn(dead.turn.conversation, when_busy=when_busy)
        await engine.accept(waiting)
        await engine.accept(new)
        again = await self._reopened(engine, tmp_path)
        turn = await ended(again, dead.turn.id)
        assert (turn.status, turn.stop_asked, turn.attempt) == (status, when_busy, 1)
        assert (turn.failure.code if turn.failure else None) == code
        assert [one.kind async for one in again.events(turn.id)] == ["finished"]
        assert (await ended(again, waiting.id)).status == status
        heir = ScriptedWorker()
        await again.attach(heir)
        claim = await heir.claim()
        assert (claim.turn.id, claim.attempt) == (new.id, 1)
        kept = [*dead.turn.input, *waiting.input] if when_busy == "interrupt" else []
        assert list(claim.items) == kept
        with pytest.raises(OwnershipLost):
            await again.commit(dead, outcome(dead))
        await again.close()

    @stops
    async def test_a_stopped_turn_that_is_released_ends_and_does_not_run_again(
        self, engine: Engine, worker: ScriptedWorker, when_busy: StopAsk, status: Status, code: str | None
    ) -> None:
        claim = await running_turn(engine, worker)
        await engine.publish(claim, [event(claim, 0)])
        new = new_turn(claim.turn.conversation, when_busy=when_busy)
        await engine.accept(new)
        await engine.release(claim)
        turn = await ended(engine, claim.turn.id)
        assert turn.status == status
        assert (turn.failure.code if turn.failure else None) == code
        assert [one.kind async for one in engine.events(turn.id)] == ["finished"]
        assert (await worker.claim()).turn.id == new.id

    @stops
    async def test_the_same_request_again_stops_nothing(
        self, engine: Engine, worker: ScriptedWorker, when_busy: StopAsk, status: Status, code: str | None
    ) -> None:
        claim = await running_turn(engine, worker)
        new = new_turn(claim.turn.conversation, when_busy=when_busy, idempotency_key="k", fingerprint="f")
        await engine.accept(new)
        await worker.told_to_stop()
        await engine.commit(claim, outcome(claim, status))
        following = await worker.claim()
        repeated = await engine.accept(replace(new, id="resp_another"))
        assert (repeated.created, repeated.turn.id, repeated.turn.stop_asked) == (False, new.id, None)
        assert (await engine.commit(following, outcome(following))).stop_asked is None
        assert worker.stopped.empty()

    @stops
    async def test_a_message_that_is_refused_stops_nothing(
        self, engine: Engine, worker: ScriptedWorker, when_busy: StopAsk, status: Status, code: str | None
    ) -> None:
        claim = await running_turn(engine, worker)
        waiting = new_turn(claim.turn.conversation)
        await engine.accept(waiting)
        for wrong, refusal in (
            (new_turn(claim.turn.conversation, when_busy=when_busy, input=[object()]), NotJson),
            (new_turn(claim.turn.conversation, when_busy=when_busy, follows=claim.turn.id), NotLatest),
        ):
            with pytest.raises(refusal):
                await engine.accept(wrong)
        assert (await engine.commit(claim, outcome(claim))).stop_asked is None
        assert (await worker.claim()).turn.id == waiting.id
        assert worker.stopped.empty()

    @stops
    async def test_a_message_may_follow_the_turn_that_it_stops(
        self, engine: Engine, worker: ScriptedWorker, when_busy: StopAsk, status: Status, code: str | None
    ) -> None:
        claim = await running_turn(engine, worker)
        waiting = new_turn(claim.turn.conversation)
        await engine.accept(waiting)
        new = new_turn(claim.turn.conversation, when_busy=when_busy, follows=waiting.id)
        assert (await engine.accept(new)).created
        assert (await ended(engine, waiting.id)).status == status
        assert await worker.told_to_stop() == (claim.turn.id, claim.attempt, when_busy)

    @stops
    async def test_a_turn_that_is_stopped_twice_is_told_once(
        self, engine: Engine, worker: ScriptedWorker, when_busy: StopAsk, status: Status, code: str | None
    ) -> None:
        claim = await running_turn(engine, worker)
        first, second = (new_turn(claim.turn.conversation, when_busy=when_busy) for _ in range(2))
        await engine.accept(first)
        await engine.accept(second)
        assert (await ended(engine, first.id)).status == status
        await worker.told_to_stop()
        await engine.commit(claim, outcome(claim, status))
        assert (await worker.claim()).turn.id == second.id
        assert worker.stopped.empty()

    @pytest.mark.parametrize(
        ("asked", "told", "committed", "status", "code"),
        [
            (["cancel", "interrupt"], ["cancel"], "cancelled", "cancelled", None),
            (["cancel", "rollback"], ["cancel"], "cancelled", "cancelled", None),
            (["rollback", "interrupt"], ["rollback"], "cancelled", "cancelled", None),
            (["interrupt", "cancel"], ["interrupt", "cancel"], "interrupted", "cancelled", "cancelled"),
            (["interrupt", "rollback"], ["interrupt", "rollback"], "interrupted", "cancelled", "rolled_back"),
        ],
    )
    async def test_of_two_stops_the_one_that_forgets_wins(
        self,
        engine: Engine,
        worker: ScriptedWorker,
        asked: list[StopAsk],
        told: list[StopAsk],
        committed: Status,
        status: Status,
        code: str | None,
    ) -> None:
        claim = await running_turn(engine, worker)
        for ask in asked:
            if ask == "cancel":
                await engine.cancel(claim.turn.id)
            else:
                await engine.accept(new_turn(claim.turn.conversation, when_busy=ask))
        for why in told:
            assert await worker.told_to_stop() == (claim.turn.id, claim.attempt, why)
        stopped = await engine.commit(claim, outcome(claim, committed))
        assert (stopped.status, stopped.stop_asked) == (status, told[-1])
        assert await engine.turn(claim.turn.id) == stopped
        if code is not None:
            assert stopped.failure is not None
            assert stopped.failure.code == code
        following = await worker.claim()
        assert not {item["id"] for item in following.items} & {*ids(claim.turn.input), answer_id(claim.turn.id)}
        assert worker.stopped.empty()

    # --- interrupt ---

    async def test_what_interrupted_turns_left_comes_with_the_next_claim_in_order(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        first = await running_turn(engine, worker)
        conversation = first.turn.conversation
        await engine.commit(first, outcome(first))
        a, b, c = message("a"), message("b"), message("c")
        await engine.add_items(conversation, [a])
        running, waiting = new_turn(conversation), new_turn(conversation)
        await engine.accept(running)
        interrupted = await worker.claim()
        await engine.add_items(conversation, [b])
        await engine.accept(waiting)
        await engine.add_items(conversation, [c])
        new = new_turn(conversation, when_busy="interrupt")
        await engine.accept(new)
        await engine.commit(interrupted, outcome(interrupted, "interrupted"))
        claim = await worker.claim()
        said = {"type": "output_text", "text": f"answer to {running.id}"}
        answer = {"type": "message", "id": answer_id(running.id), "role": "assistant", "content": [said]}
        assert claim.state == SavedState("test", "1", [first.turn.id])
        assert list(claim.items) == [a, *running.input, answer, b, *waiting.input, c]
        # What its agent has not kept comes again.
        await engine.commit(claim, outcome(claim, "failed"))
        await engine.accept(new_turn(conversation))
        again = await worker.claim()
        assert list(again.items) == list(claim.items)
        # What it has kept comes no more.
        await engine.commit(again, outcome(again))
        await engine.accept(new_turn(conversation))
        assert list((await worker.claim()).items) == []

    async def test_an_interrupted_turn_stays_in_the_history(self, engine: Engine, worker: ScriptedWorker) -> None:
        claim = await running_turn(engine, worker)
        waiting = new_turn(claim.turn.conversation)
        new = new_turn(claim.turn.conversation, when_busy="interrupt")
        for one in (waiting, new):
            await engine.accept(one)
        stopped = await engine.commit(claim, outcome(claim, "interrupted"))
        assert [item["text"] for item in stopped.output] == [f"answer to {stopped.id}"]
        turns = [entry.turn for entry in await engine.entries(claim.turn.conversation)]
        assert [(turn.id, turn.status) for turn in turns if turn] == [
            (stopped.id, "interrupted"),
            (waiting.id, "interrupted"),
            (new.id, "running"),
        ]
        assert [turn.id for turn in await engine.turns(status="interrupted")] == [waiting.id, stopped.id]
        assert await engine.state(claim.turn.conversation) is None

    async def test_a_turn_that_was_quicker_than_its_interruption_is_completed(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        claim = await running_turn(engine, worker)
        waiting = new_turn(claim.turn.conversation)
        new = new_turn(claim.turn.conversation, when_busy="interrupt")
        for one in (waiting, new):
            await engine.accept(one)
        committed = await engine.commit(claim, outcome(claim))
        assert (committed.status, committed.stop_asked) == ("completed", "interrupt")
        following = await worker.claim()
        assert following.turn.id == new.id
        assert following.state == SavedState("test", "1", [claim.turn.id])
        assert list(following.items) == list(waiting.input)

    async def test_what_was_interrupted_survives_the_death_of_the_process(
        self, engine: Engine, worker: ScriptedWorker, tmp_path: Path
    ) -> None:
        claim = await running_turn(engine, worker)
        new = new_turn(claim.turn.conversation, when_busy="interrupt")
        await engine.accept(new)
        stopped = await engine.commit(claim, outcome(claim, "interrupted"))
        before = await worker.claim()
        again = await self._reopened(engine, tmp_path)
        assert await again.turn(claim.turn.id) == stopped
        heir = ScriptedWorker()
        await again.attach(heir)
        after = await heir.claim()
        assert (after.turn.id, after.attempt, list(after.items)) == (new.id, 2, list(before.items))
        await again.close()

    # --- rollback ---

    async def test_what_was_rolled_back_is_in_the_history_and_no_agent_sees_it(
        self, engine: Engine, worker: ScriptedWorker
    ) -> None:
        good = await running_turn(engine, worker)
        conversation = good.turn.conversation
        await engine.commit(good, outcome(good))
        state = await engine.state(conversation)
        item = message("by the way")
        running = new_turn(conversation, "forget this")
        await engine.accept(running)
        claim = await worker.claim()
        await engine.add_items(conversation, [item])
        waiting = new_turn(conversation, "and this")
        new = new_turn(conversation, when_busy="rollback")
        for one in (waiting, new):
            await engine.accept(one)
        await engine.commit(claim, outcome(claim, "cancelled"))
        following = await worker.claim()
        assert (following.turn.id, list(following.items)) == (new.id, [item])
        assert await engine.state(conversation) == state
        turns = [entry.turn for entry in await engine.entries(conversation) if entry.turn]
        assert [(turn.id, turn.status, turn.input) for turn in turns[1:3]] == [
            (running.id, "cancelled", running.input),
            (waiting.id, "cancelled", waiting.input),
        ]

    @pytest.mark.parametrize("committed", ["completed", "incomplete", "interrupted"])
    async def test_a_turn_that_was_quicker_than_its_rollback_is_forgotten_even_so(
        self, engine: Engine, worker: ScriptedWorker, committed: Status
    ) -> None:
        claim = await running_turn(engine, worker)
        await engine.accept(new_turn(claim.turn.conversation, when_busy="rollback"))
        ended = await engine.commit(claim, outcome(claim, committed))
        assert (ended.status, ended.stop_asked, ended.incomplete) == ("cancelled", "rollback", None)
        assert ended.failure is not None
        assert (ended.failure.kind, ended.failure.code) == ("cancelled", "rolled_back")
        assert await engine.turn(claim.turn.id) == ended
        assert [one.data async for one in engine.events(ended.id)] == [{"status": "cancelled"}]
        following = await worker.claim()
        assert (following.state, list(following.items)) == (None, [])
