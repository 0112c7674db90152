"""Teams, agents that are tools, and agents that ask a human: a turn that died goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_agentchat.tools import AgentTool, TeamTool
from tests.worker.conftest import Machine
from tests.worker.scripts import text_of, tool_texts

from turnlane.practice import Answer, ToolCall
from turnlane.runtime.conversation import Turn

pytestmark = pytest.mark.anyio


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
