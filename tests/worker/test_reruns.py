"""A turn whose owner died runs again, and neither pays nor acts twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from tests.worker.conftest import PATIENCE
from tests.worker.scripts import Waiter, by_name, calls, text_of, tool_texts

from turnlane.practice import Answer, ToolCall

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
class TestOneAgent:
    async def test_that_dies_in_its_second_tool(self, machine, actor, deeds, provider, stream):
        provider.use(calls("a", "b"))
        served = await machine(lambda: actor(model_client_stream=stream))
        deeds.get_stuck_in("b")
        turn = await served.send("go")
        await deeds.stuck()
        await served.die_and_start()
        ended = await served.ended(turn)
        assert (ended.status, ended.attempt, text_of(ended)) == ("completed", 2, "all done: go")
        assert provider.received == 3, "each question once"
        assert deeds.begun == ["a", "b", "b"]
        assert deeds.done == ["a", "b"]

    async def test_that_dies_between_two_tools(self, machine, actor, deeds, provider, stream):
        asked = threading.Event()

        async def script(request: Any) -> Any:
            answer = calls("a", "b")(request)
            if len(provider.requests) == 2:
                asked.set()
                await asyncio.Event().wait()
            return answer

        provider.use(script)
        served = await machine(lambda: actor(model_client_stream=stream))
        turn = await served.send("go")
        await served.until(asked.is_set)
        await served.recorded(turn, 3)
        await served.die_and_start()
        assert (await served.ended(turn)).status == "completed"
        assert provider.received == 4, "only the question that was under way is asked again"
        assert deeds.done == ["a", "b"]

    async def test_that_dies_with_its_answer_known(self, machine, actor, deeds, provider, stream):
        stuck = asyncio.Event()
        provider.use(by_name)
        served = await machine(
            lambda: RoundRobinGroupChat([actor(model_client_stream=stream), Waiter(stuck)], max_turns=2)
        )
        turn = await served.send("go")
        await asyncio.wait_for(stuck.wait(), PATIENCE)
        await served.recorded(turn, 1)
        await served.die_and_start()
        ended = await served.ended(turn)
        assert [item["text"] for item in ended.output] == ["actor: go", "waited"]
        assert provider.received == 1


def build_twice_more(build: Callable[[], Any]) -> Callable[[], Any]:
    """A factory for `build` that makes something else for the two trial builds of each start of a worker."""
    built = 0

    def factory() -> Any:
        nonlocal built
        built += 1
        return build() if built % 3 == 0 else Waiter(asyncio.Event())

    return factory


async def test_an_answer_that_was_cut_short_stays_so(machine, actor, provider):
    stuck = asyncio.Event()
    provider.use(lambda request: Answer(text="one two", finish_reason="length"))
    served = await machine(lambda: RoundRobinGroupChat([actor(), Waiter(stuck)], max_turns=2))
    turn = await served.send("go")
    await asyncio.wait_for(stuck.wait(), PATIENCE)
    await served.recorded(turn, 1)
    await served.die_and_start()
    ended = await served.ended(turn)
    assert (ended.status, ended.incomplete) == ("incomplete", "max_output_tokens")
    assert ended.output[0]["incomplete"] == "max_output_tokens"
    assert provider.received == 1


async def test_answers_of_before_count_in_the_bound_of_model_calls(machine, actor, deeds, provider):
    """An agent that never ends is stopped at the same call, however often its process dies."""
    provider.use(calls(*"abcdefgh"))
    served = await machine(actor, max_model_calls=4)
    deeds.get_stuck_in("c")
    turn = await served.send("go")
    await deeds.stuck()
    await served.die_and_start()
    ended = await served.ended(turn)
    assert (ended.status, ended.failure.code) == ("failed", "too_many_model_calls")
    assert ended.usage.model_calls == provider.received == 4


async def test_what_was_paid_counts_once_in_the_turns_usage(machine, actor, deeds, provider):
    provider.use(calls("a", "b"))
    served = await machine(actor)
    undisturbed = await served.say("go")
    deeds.get_stuck_in("b")
    turn = await served.send("go")
    await deeds.stuck()
    await served.die_and_start()
    ended = await served.ended(turn)
    assert ended.usage == undisturbed.usage
    assert ended.usage.model_calls == 3


async def test_the_events_of_a_rerun_show_the_whole_turn(machine, actor, deeds, provider):
    provider.use(calls("a", "b"))
    served = await machine(actor)
    undisturbed = await served.say("go")
    deeds.get_stuck_in("b")
    turn = await served.send("go")
    await deeds.stuck()
    await served.die_and_start()
    await served.ended(turn)
    seen = [event async for event in served.engine.events(turn.id)]
    expected = [event.kind async for event in served.engine.events(undisturbed.id)]
    assert [event.kind for event in seen] == expected
    paid = [event.data.get("replayed", False) for event in seen if event.kind == "model.call"]
    assert paid == [True, True, False]


async def test_two_crashes_in_one_turn(machine, actor, deeds, provider):
    provider.use(calls("a", "b", "c"))
    served = await machine(actor)
    deeds.get_stuck_in("b", "c")
    turn = await served.send("go")
    for _ in range(2):
        await deeds.stuck()
        await served.die_and_start()
    ended = await served.ended(turn)
    assert (ended.status, ended.attempt, ended.usage.model_calls) == ("completed", 3, 4)
    assert provider.received == 4
    assert deeds.done == ["a", "b", "c"]
    assert await served.engine.ledger(turn.id) == [], "forgotten with the end of the turn"


async def test_of_parallel_calls_only_the_unfinished_one_runs_again(machine, actor, deeds, provider):
    provider.use(calls(("a", "b", "c")))
    served = await machine(actor)
    deeds.get_stuck_in("b")
    turn = await served.send("go")
    await deeds.stuck()
    await served.recorded(turn, 6)  # the question, three begun, two ended
    await served.die_and_start()
    assert (await served.ended(turn)).status == "completed"
    assert sorted(deeds.begun) == ["a", "b", "b", "c"]
    assert provider.received == 2


async def test_the_same_call_twice_is_two_calls(machine, client, deeds, provider):
    """Equal questions are told apart by their order, and each has its own answer."""
    done: list[str] = []
    stuck = asyncio.Event()

    async def act(deed: str) -> str:
        """Count up."""
        if len(done) == 2 and not stuck.is_set():
            stuck.set()
            await asyncio.Event().wait()
        done.append(deed)
        return f"number {len(done)}"

    def script(request: Any) -> Any:
        texts = tool_texts(request)
        return Answer(tool_calls=[ToolCall("act", {"deed": "x"})]) if len(texts) < 3 else ", ".join(texts)

    provider.use(script)
    served = await machine(lambda: AssistantAgent("actor", client(), tools=[act], max_tool_iterations=5))
    turn = await served.send("go")
    await asyncio.wait_for(stuck.wait(), PATIENCE)
    await served.die_and_start()
    assert text_of(await served.ended(turn)) == "number 1, number 2, number 3"
    assert len(done) == 3


async def test_a_failed_tool_stays_failed(machine, client, deeds, provider):
    """The model was told of it and went on; what it was told must not change."""
    tried: list[str] = []

    async def act(deed: str) -> str:
        """Do something."""
        tried.append(deed)
        if deed == "bad":
            raise LookupError("no such thing")
        return await deeds.do(deed)

    provider.use(calls("bad", "good"))
    served = await machine(lambda: AssistantAgent("actor", client(), tools=[act], max_tool_iterations=5))
    deeds.get_stuck_in("good")
    turn = await served.send("go")
    await deeds.stuck()
    await served.die_and_start()
    ended = await served.ended(turn)
    assert tried == ["bad", "good", "good"]
    failed = ended.output[0]["error"]
    assert (failed["type"], failed["hazard"], failed["tool"]) == ("LookupError", "TL401", "act")
    assert provider.received == 3


async def test_a_tool_that_was_late_stays_late(machine, client, deeds, provider):
    tried: list[str] = []

    async def act(deed: str) -> str:
        """Do something."""
        tried.append(deed)
        if deed == "slow":
            await asyncio.Event().wait()
        return await deeds.do(deed)

    provider.use(calls("slow", "good"))
    served = await machine(
        lambda: AssistantAgent("actor", client(), tools=[act], max_tool_iterations=5), tool_timeout=0.1
    )
    turn = await served.send("go")
    deeds.get_stuck_in("good")
    await deeds.stuck()
    await served.die_and_start()
    ended = await served.ended(turn)
    assert tried == ["slow", "good", "good"]
    assert ended.output[0]["error"]["type"] == "ToolTimeout"


async def test_a_question_that_changes_is_asked_anew(machine, client, deeds, provider):
    """A prompt with the time of day in it: its answer can't be known; what the tool did is, all the same."""
    times = iter(["noon", "one o'clock"])
    stuck = asyncio.Event()
    provider.use(calls("a"))

    def build() -> RoundRobinGroupChat:
        async def act(deed: str) -> str:
            """Do something."""
            return await deeds.do(deed)

        now = next(times)
        agent = AssistantAgent("actor", client(), tools=[act], system_message=now, max_tool_iterations=5)
        return RoundRobinGroupChat([agent, Waiter(stuck)], max_turns=2)

    served = await machine(build_twice_more(build))
    turn = await served.send("go")
    await asyncio.wait_for(stuck.wait(), PATIENCE)
    await served.recorded(turn, 4)
    await served.die_and_start()
    assert (await served.ended(turn)).usage.model_calls == 4, "two were paid by the dead attempt"
    assert provider.received == 4
    assert deeds.done == ["a"]


async def test_switched_off_nothing_is_recorded(machine, actor, deeds, provider):
    provider.use(calls("a", "b"))
    served = await machine(actor, ledger=False)
    deeds.get_stuck_in("b")
    turn = await served.send("go")
    await deeds.stuck()
    assert await served.engine.ledger(turn.id) == []
    await served.die_and_start()
    assert (await served.ended(turn)).status == "completed"
    assert deeds.begun == ["a", "b", "a", "b"]
    assert provider.received == 5


async def test_a_turn_given_back_at_a_drain_goes_on(machine, actor, deeds, provider):
    provider.use(calls("a", "b"))
    served = await machine(actor)
    deeds.get_stuck_in("b")
    turn = await served.send("go")
    await deeds.stuck()
    assert await served.worker.drain(grace=0) == 1
    await served.stop()
    await served.start()
    ended = await served.ended(turn)
    assert (ended.status, ended.attempt) == ("completed", 2)
    assert provider.received == 3
    assert deeds.done == ["a", "b"]


async def test_an_answer_that_came_just_before_a_drain_is_kept(machine, provider, actor, deeds):
    """It was not written yet, because nobody waited for it."""
    stuck = asyncio.Event()
    provider.use(by_name)
    served = await machine(lambda: RoundRobinGroupChat([actor(), Waiter(stuck)], max_turns=2))
    turn = await served.send("go")
    await asyncio.wait_for(stuck.wait(), PATIENCE)
    await served.worker.drain(grace=0)
    await served.stop()
    await served.start()
    assert (await served.ended(turn)).attempt == 2
    assert provider.received == 1
