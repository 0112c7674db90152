"""A turn whose owner died runs again, and neither pays nor acts twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent, UserProxyAgent
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_agentchat.tools import AgentTool, TeamTool
from tests.worker.conftest import PATIENCE, Deeds, Machine

from turnlane.practice import Answer, ToolCall
from turnlane.runtime.conversation import Turn

pytestmark = pytest.mark.anyio


def calls(*asked: Any) -> Callable[[Any], Any]:
    """A model that calls the tool `act` with each of these in turn (a tuple: at once), and then is done."""

    def script(request: Any) -> Any:
        step = 0
        for deeds in asked:
            deeds = deeds if isinstance(deeds, tuple) else (deeds,)
            if len(tool_texts(request)) == step:
                return Answer(tool_calls=[ToolCall("act", {"deed": deed}) for deed in deeds])
            step += len(deeds)
        return f"all done: {request.user_message}"

    return script


def tool_texts(request: Any) -> list[str]:
    """What tools have answered since the user's last message."""
    messages = list(request.messages)
    users = [number for number, message in enumerate(messages) if message["role"] == "user"]
    return [message["content"] for message in messages[users[-1] :] if message["role"] == "tool"]


def text_of(turn: Turn) -> str:
    return str(turn.output[-1]["text"])


@pytest.fixture
def actor(client: Any, deeds: Deeds) -> Callable[..., AssistantAgent]:
    """Makes an agent with the tool `act`."""

    def make(name: str = "actor", **options: Any) -> AssistantAgent:
        async def act(deed: str) -> str:
            """Do something."""
            return await deeds.do(deed)

        options = {"system_message": name, "description": f"the {name}", "max_tool_iterations": 9, **options}
        return AssistantAgent(name, client(), tools=[act], **options)

    return make


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


class Waiter(BaseChatAgent):
    """An agent of the user's own, which waits for ever the first time."""

    produced_message_types = (TextMessage,)

    def __init__(self, reached: asyncio.Event) -> None:
        super().__init__("waiter", "waits")
        self._reached = reached

    async def on_messages(self, messages: Any, cancellation_token: Any) -> Response:
        if not self._reached.is_set():
            self._reached.set()
            await asyncio.Event().wait()
        return Response(chat_message=TextMessage(content="waited", source=self.name))

    async def on_reset(self, cancellation_token: Any) -> None: ...


def build_twice_more(build: Callable[[], Any]) -> Callable[[], Any]:
    """A factory for `build` that makes something else for the two trial builds of each start of a worker."""
    built = 0

    def factory() -> Any:
        nonlocal built
        built += 1
        return build() if built % 3 == 0 else Waiter(asyncio.Event())

    return factory


def by_name(request: Any) -> str:
    return f"{request.system}: {request.user_message}"


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


# --- teams ---


def round_robin(act: Any, client: Any, agent: Any) -> Any:
    return RoundRobinGroupChat([agent("ann"), agent("bob", act), agent("cid")], max_turns=3)


def selector(act: Any, client: Any, agent: Any) -> Any:
    return SelectorGroupChat(
        [agent("ann"), agent("bob", act)],
        model_client=client(),
        selector_prompt="{roles} {history} pick one of {participants}",
        allow_repeated_speaker=True,
        max_turns=2,
    )


def swarm(act: Any, client: Any, agent: Any) -> Any:
    ann = agent("ann", handoffs=["bob"])
    return Swarm([ann, agent("bob", act)], termination_condition=TextMentionTermination("all done"))


def graph(act: Any, client: Any, agent: Any) -> Any:
    ann, bob, cid, dan = agent("ann"), agent("bob", act), agent("cid"), agent("dan")
    builder = DiGraphBuilder()
    for node in (ann, bob, cid, dan):
        builder.add_node(node)
    builder.add_edge(ann, bob).add_edge(ann, cid).add_edge(bob, dan).add_edge(cid, dan)
    return GraphFlow(builder.get_participants(), builder.build())


def nested(act: Any, client: Any, agent: Any) -> Any:
    inner = RoundRobinGroupChat([agent("ann"), agent("bob", act)], max_turns=2, name="inner")
    return RoundRobinGroupChat([agent("cid"), inner, agent("dan")], max_turns=3)


def agent_tool(act: Any, client: Any, agent: Any) -> Any:
    bob = AgentTool(agent("bob", act))
    return agent("boss", tools=[bob])


def team_tool(act: Any, client: Any, agent: Any) -> Any:
    crew = RoundRobinGroupChat([agent("ann"), agent("bob", act)], max_turns=2)
    return agent(
        "boss", tools=[TeamTool(crew, name="bob", description="works", return_value_as_last_message=True)]
    )


def team_script(request: Any) -> Any:
    """bob acts twice; ann hands over if she can; the boss asks bob; a selector picks ann and then bob."""
    if "pick one of" in request.system + request.user_message:
        return "bob" if "ann saw" in request.system + request.user_message else "ann"
    texts = tool_texts(request)
    if "act" in request.tools and len(texts) < 2:
        return Answer(tool_calls=[ToolCall("act", {"deed": "ab"[len(texts)]})])
    if request.tools == ("transfer_to_bob",) and not texts:
        return Answer(tool_calls=[ToolCall("transfer_to_bob")])
    if request.tools == ("bob",) and not texts:
        return Answer(tool_calls=[ToolCall("bob", {"task": "work"})])
    return f"{request.system} saw {request.user_messages[0]}, all done" if texts else f"{request.system} saw it"


TEAMS = [round_robin, selector, swarm, graph, nested, agent_tool, team_tool]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("build", TEAMS)
async def test_a_team_that_died_goes_on_where_it_was(machine, client, deeds, provider, build, stream):
    provider.use(team_script)

    async def act(deed: str) -> str:
        """Do something."""
        return await deeds.do(deed)

    def agent(name: str, *functions: Any, **options: Any) -> AssistantAgent:
        options = {"tools": list(functions), "max_tool_iterations": 5, **options}
        return AssistantAgent(
            name, client(), system_message=name, description=name, model_client_stream=stream, **options
        )

    served = await machine(lambda: build(act, client, agent))
    undisturbed = await served.say("go")
    assert undisturbed.status == "completed", undisturbed.failure
    assert deeds.done == ["a", "b"]
    questions = provider.received
    deeds.get_stuck_in("b")
    turn = await served.send("go")
    await deeds.stuck()
    await quiet(served, provider, turn)
    await served.die_and_start()
    ended = await served.ended(turn)
    assert ended.status == "completed", ended.failure
    assert said(ended) == said(undisturbed)
    assert provider.received == 2 * questions
    assert ended.usage == undisturbed.usage
    assert deeds.begun == ["a", "b"] * 2 + ["b"]
    assert deeds.done == ["a", "b"] * 2
    again = await served.say("more", turn.conversation)
    assert again.status == "completed", again.failure


async def quiet(served: Machine, provider: Any, turn: Turn) -> None:
    """Until the branches beside the stuck one have ended, and all that was answered is recorded."""
    await served.until(lambda: provider.running == 0)
    entries = -1
    while len(now := await served.engine.ledger(turn.id)) != entries:
        entries = len(now)
        await asyncio.sleep(0.05)


def said(turn: Turn) -> list[tuple[Any, ...]]:
    return sorted((i["type"], i["agent"], i.get("text"), i.get("arguments"), i.get("output")) for i in turn.output)


async def test_an_agent_inside_a_tool_remembers_what_it_said(machine, client, deeds, provider):
    """What it said before the crash comes from the ledger, and still is part of its memory."""

    async def act(deed: str) -> str:
        """Do something."""
        return await deeds.do(deed)

    def script(request: Any) -> Any:
        if request.system == "poet":
            return f"poem {len(request.user_messages)}"
        texts = tool_texts(request)
        if len(texts) % 2:
            return Answer(tool_calls=[ToolCall("act", {"deed": request.user_message})])
        if request.messages[-1]["role"] == "tool":
            return "all done"
        return Answer(tool_calls=[ToolCall("poet", {"task": "write"})])

    def build() -> AssistantAgent:
        poet = AssistantAgent("poet", client(), system_message="poet", description="writes")
        tools = [AgentTool(poet, return_value_as_last_message=True), act]
        return AssistantAgent("boss", client(), system_message="boss", tools=tools, max_tool_iterations=5)

    provider.use(script)
    served = await machine(build)
    deeds.get_stuck_in("first")
    turn = await served.send("first")
    await deeds.stuck()
    await served.die_and_start()
    assert (await served.ended(turn)).status == "completed"
    assert provider.received == 4
    second = await served.say("second", turn.conversation)
    assert [item["text"] for item in second.output if item["agent"] == "poet"] == ["poem 2"]


class TestAskingAHuman:
    def build(self, act: Any, client: Any) -> Callable[[], RoundRobinGroupChat]:
        def team() -> RoundRobinGroupChat:
            ann = AssistantAgent("ann", client(), tools=[act], system_message="ann", max_tool_iterations=5)
            bob = AssistantAgent("bob", client(), tools=[act], system_message="bob", max_tool_iterations=5)
            return RoundRobinGroupChat([ann, UserProxyAgent("human"), bob], max_turns=3)

        return team

    @staticmethod
    def script(request: Any) -> Any:
        if not any(message["role"] == "tool" for message in request.messages):
            return Answer(tool_calls=[ToolCall("act", {"deed": request.system})])
        return f"{request.system} heard {request.user_message}"

    @pytest.mark.parametrize("dies_in", ["ann", "bob"])
    async def test_dies_before_or_after_the_answer(self, machine, client, deeds, provider, dies_in):
        async def act(deed: str) -> str:
            """Do something."""
            return await deeds.do(deed)

        provider.use(self.script)
        served = await machine(self.build(act, client))
        deeds.get_stuck_in(dies_in)
        turn = await served.send("red")
        if dies_in == "ann":
            await deeds.stuck()
            await served.die_and_start()
        asked = await served.ended(turn)
        assert asked.output[-1]["type"] == "input.required"
        answer = await served.send("green", turn.conversation)
        if dies_in == "bob":
            await deeds.stuck()
            await served.die_and_start()
        ended = await served.ended(answer)
        assert ended.status == "completed", ended.failure
        assert text_of(ended) == "bob heard green"
        assert provider.received == 4
        assert deeds.done == ["ann", "bob"]
        assert (asked.usage.model_calls, ended.usage.model_calls) == (2, 2)
        assert asked.attempt + ended.attempt == 3
