"""Teams of current AutoGen, what runs inside runs, streams that are left, and what goes on after a stop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, MessageFilterAgent, SocietyOfMindAgent
from autogen_agentchat.agents._message_filter_agent import MessageFilterConfig, PerSourceFilter
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import CancellationToken, SingleThreadedAgentRuntime
from autogen_ext.models.openai import OpenAIChatCompletionClient
from tests.guard.conftest import Watched
from tests.guard.frameworks.agentchat_programs import assistant, failing, in_request, model, run, said

from turnlane.guard import requests
from turnlane.guard.requests import Request
from turnlane.practice import Fault, PracticeProvider, Rule, ToolCall

Client = OpenAIChatCompletionClient


@pytest.fixture
def guard_settings() -> dict[str, Any]:
    """A machine that is busy with other tests holds the loop: that is another test's subject."""
    return {"threshold": 60.0, "grace": 0.3}


def pair(client: Client, *, turns: int = 2, **options: Any) -> RoundRobinGroupChat:
    return RoundRobinGroupChat(
        [assistant(client, "writer"), assistant(client, "critic")], max_turns=turns, **options
    )


def test_a_team_of_two_requests(watched: Watched) -> None:
    async def program(client: Client) -> None:
        team = pair(client)
        await asyncio.gather(*(in_request(lambda: failing(team, "hello")) for _ in range(2)))

    run(program)
    assert watched.codes == {"TL201"}


def test_a_team_of_one_request_after_the_other(watched: Watched) -> None:
    async def program(client: Client) -> None:
        team = pair(client)
        for text in ("one", "two"):
            await in_request(lambda text=text: said(team, text))

    run(program)
    assert watched.codes == {"TL201"}


def test_a_team_that_is_reset_between_requests(watched: Watched) -> None:
    async def program(client: Client) -> None:
        team = pair(client)
        for text in ("one", "two"):
            await team.reset()
            await in_request(lambda text=text: said(team, text))

    run(program)
    assert watched.hazards == []


def test_a_team_that_is_reset_while_another_runs_it(watched: Watched) -> None:
    async def program(client: Client) -> None:
        team = pair(client)

        async def work() -> None:
            await team.reset()
            await said(team, "hello")

        await asyncio.gather(*(in_request(work) for _ in range(3)), return_exceptions=True)

    run(program)
    assert watched.codes == {"TL201"}


def test_a_team_after_an_error(watched: Watched) -> None:
    async def program(client: Client) -> None:
        team = pair(client)
        await failing(team, "first")
        await team.reset()
        await failing(team, "second")

    run(program, Rule(when="first", fault=Fault("server_error")), Rule(say="fine"))
    assert watched.codes == {"TL207"}


def test_a_fresh_team_with_the_state_of_one_that_failed(watched: Watched) -> None:
    async def program(client: Client) -> None:
        team = pair(client)
        await failing(team, "first")
        fresh = pair(client)
        await fresh.load_state(await team.save_state())
        await said(fresh, "second")

    run(program, Rule(when="first", fault=Fault("server_error")), Rule(say="fine"))
    assert watched.hazards == []


def test_one_agent_in_two_teams(watched: Watched) -> None:
    async def program(client: Client) -> None:
        editor = assistant(client, "editor")
        desks = [
            RoundRobinGroupChat([assistant(client, name), editor], max_turns=2) for name in ("sport", "politics")
        ]
        for desk in desks:
            await said(desk, "a report")

    run(program)
    hazard = watched.hazard("TL205")
    assert hazard["object"] == "AssistantAgent 'editor'"
    assert hazard["place"]["file"] == __file__
    assert watched.codes == {"TL205"}


def test_the_place_of_a_shared_participant_is_the_handlers(watched: Watched) -> None:
    """A participant runs in a task of its own, on a loop that a line of the program started: not the place."""

    async def program(client: Client) -> None:
        writer = assistant(client, "writer")

        async def handler() -> str:
            return await said(RoundRobinGroupChat([writer, assistant(client, "critic")], max_turns=2), "hello")

        await asyncio.gather(*(in_request(handler) for _ in range(2)))

    run(program)
    hazard = watched.hazard("TL201")
    assert hazard["object"] == "AssistantAgent 'writer'"
    assert hazard["place"]["function"] == "said"
    for stack in hazard["stacks"][:2]:
        functions = [frame["function"] for frame in stack["frames"]]
        assert "said" in functions
        assert "run" not in functions


def test_a_team_made_anew_in_the_place_of_another(watched: Watched) -> None:
    async def program(client: Client) -> None:
        agents: list[Any] = [assistant(client, "writer"), assistant(client, "critic")]
        team = RoundRobinGroupChat(agents, max_turns=2)
        await said(team, "first")
        team = RoundRobinGroupChat(agents, termination_condition=MaxMessageTermination(3))
        await said(team, "second")

    run(program)
    assert watched.hazards == []


def test_two_teams_at_once_with_one_termination_condition(watched: Watched) -> None:
    async def program(client: Client) -> None:
        stop = MaxMessageTermination(3)
        other = TextMentionTermination("DONE")
        teams = [
            RoundRobinGroupChat([assistant(client, "writer")], termination_condition=condition)
            for condition in (stop, stop | other)
        ]
        await asyncio.gather(*(said(team, "hello") for team in teams))

    run(program)
    assert watched.codes == {"TL203"}


def test_teams_of_every_kind(watched: Watched) -> None:
    async def program(client: Client) -> None:
        inner = pair(client)
        society = SocietyOfMindAgent("society", pair(client), client)
        await said(RoundRobinGroupChat([society, assistant(client, "last")], max_turns=2), "hello")
        await said(RoundRobinGroupChat([inner, assistant(client, "last")], max_turns=2), "hello")
        chosen = SelectorGroupChat(
            [assistant(client, "one"), assistant(client, "two")],
            client,
            max_turns=3,
            selector_func=lambda _: "one",
        )
        await said(chosen, "hello")
        await said(chosen, "and again")
        swarm = Swarm([assistant(client, "alice", handoffs=["bob"]), assistant(client, "bob")], max_turns=2)
        await said(swarm, "hello")
        first, left, right, last = (assistant(client, name) for name in ("first", "left", "right", "last"))
        filtered = MessageFilterAgent(
            "filtered",
            wrapped_agent=right,
            filter=MessageFilterConfig(per_source=[PerSourceFilter(source="first", position="last", count=1)]),
        )
        graph = DiGraphBuilder()
        for agent in (first, left, filtered, last):
            graph.add_node(agent)
        graph.add_edge(first, left).add_edge(first, filtered).add_edge(left, last).add_edge(filtered, last)
        await said(GraphFlow(graph.get_participants(), graph.build()), "hello")

    run(program)
    assert watched.hazards == []


def test_a_team_in_a_runtime_that_others_started(watched: Watched) -> None:
    async def program(client: Client) -> None:
        runtime = SingleThreadedAgentRuntime()
        runtime.start()
        teams = [pair(client, runtime=runtime) for _ in range(3)]
        await asyncio.gather(*(in_request(lambda team=team: said(team, "hello")) for team in teams))
        await runtime.stop_when_idle()

    run(program)
    assert watched.hazards == []


def calling(tool: str, **arguments: Any) -> Rule:
    return Rule(when_offered=tool, call=ToolCall(tool, arguments), say="done")


def test_an_agent_and_a_team_as_tools(watched: Watched) -> None:
    async def program(client: Client) -> None:
        expert = AgentTool(assistant(client, "expert"))
        desk = TeamTool(pair(client), "desk", "Asks the desk.")
        main = assistant(client, "main", tools=[expert, desk], max_tool_iterations=3)
        await said(main, "hello")

    run(program, calling("expert", task="What?"), Rule(say="fine"))
    assert watched.hazards == []


def test_one_agent_as_a_tool_twice_at_once(watched: Watched) -> None:
    async def program(client: Client) -> None:
        await said(assistant(client, "main", tools=[AgentTool(assistant(client, "expert"))]), "hello")

    twice = [ToolCall("expert", {"task": "one"}), ToolCall("expert", {"task": "two"})]
    run(program, Rule(when_offered="expert", call=[twice], say="done"), Rule(say="fine", latency=0.05))
    assert watched.codes == {"TL204"}


def test_a_tool_that_runs_its_own_agent(watched: Watched) -> None:
    async def program(client: Client) -> None:
        async def ask_again(question: str) -> str:
            return await failing(agent, question) or ""

        agent = assistant(client, tools=[ask_again])
        await said(agent, "hello")

    run(
        program,
        Rule(when="hello", when_offered="ask_again", call=ToolCall("ask_again", {"question": "why"})),
        Rule(say="so"),
    )
    hazard = watched.hazard("TL402")
    assert hazard["measures"] == {"depth": 1}
    assert watched.codes == {"TL402"}


def test_a_tool_that_runs_its_own_team(watched: Watched) -> None:
    async def program(client: Client) -> None:
        async def ask_the_team(question: str) -> str:
            return await failing(team, question) or ""

        team = RoundRobinGroupChat([assistant(client, "lead", tools=[ask_the_team])], max_turns=1)
        await said(team, "hello")

    run(program, calling("ask_the_team", question="why"))
    assert watched.codes == {"TL402"}


def test_a_tool_that_makes_its_like_again_and_again(watched: Watched) -> None:
    left = 4

    async def program(client: Client) -> None:
        def make() -> AssistantAgent:
            async def delegate(question: str) -> str:
                nonlocal left
                left -= 1
                return await said(make(), question) if left else "enough"

            return assistant(client, tools=[delegate])

        await said(make(), "hello")

    run(program, calling("delegate", question="why"))
    hazard = watched.hazard("TL402")
    assert hazard["measures"]["depth"] == 2
    assert watched.codes == {"TL402"}


def test_a_stream_of_a_team_that_is_left(watched: Watched) -> None:
    async def program(client: Client) -> None:
        async for message in pair(client, turns=5).run_stream(task="hello"):
            if getattr(message, "source", "") == "writer":
                break
        await asyncio.sleep(0.3)

    run(program, Rule(say="my view", latency=0.03))
    hazard = watched.hazard("TL502")
    assert hazard["place"]["file"] == __file__
    assert watched.codes == {"TL502"}


def test_a_stream_of_an_agent_that_is_left_in_the_middle(watched: Watched) -> None:
    async def program(client: Client) -> None:
        async def look_up() -> str:
            await asyncio.sleep(0.2)
            return "found"

        async for message in assistant(client, tools=[look_up]).run_stream(task="hello"):
            if type(message).__name__ == "ToolCallRequestEvent":
                break

    run(program, calling("look_up"))
    assert watched.codes == {"TL502"}


@pytest.mark.parametrize("until", ["TaskResult", "TextMessage"])
def test_a_stream_that_is_left_after_its_last_word(watched: Watched, until: str) -> None:
    async def program(client: Client) -> None:
        agent = assistant(client)
        async for message in agent.run_stream(task="hello"):
            if type(message).__name__ == until and getattr(message, "source", "support") == "support":
                break
        await said(agent, "and then?")

    run(program)
    assert watched.hazards == []


def test_a_wait_for_a_team_that_ends_late(watched: Watched) -> None:
    async def program(client: Client) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pair(client, turns=6).run(task="hello"), 0.05)

    run(program, Rule(say="step", latency=0.03))
    assert watched.codes == {"TL503"}


def test_a_team_that_is_stopped_with_its_token(watched: Watched) -> None:
    async def program(client: Client) -> None:
        token = CancellationToken()
        team = asyncio.create_task(pair(client, turns=6).run(task="hello", cancellation_token=token))
        done, _ = await asyncio.wait({team}, timeout=0.05)
        assert not done
        token.cancel()
        await asyncio.wait({team}, timeout=1)
        team.cancel()

    run(program, Rule(say="step", latency=0.2))
    assert watched.hazards == []


def test_a_wait_for_an_agent(watched: Watched) -> None:
    async def program(client: Client) -> None:
        async def slow() -> str:
            await asyncio.sleep(0.3)
            return "late"

        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(assistant(client, tools=[slow]).run(task="hello"), 0.15)
        await said(assistant(client), "hello")

    run(program, calling("slow"), Rule(say="fine"))
    assert watched.hazards == []


def test_a_run_that_nobody_waits_for(watched: Watched) -> None:
    async def program(client: Client) -> None:
        async def notes() -> None:
            await said(assistant(client, "scribe"), "take notes")

        async def handler() -> None:
            asyncio.create_task(notes())  # noqa: RUF006
            await said(assistant(client), "hello")

        await in_request(handler)

    run(program, Rule(when="notes", say="noted", latency=5), Rule(say="fine"))
    hazard = watched.hazard("TL501")
    assert hazard["object"] == "AssistantAgent 'scribe'"
    assert watched.codes == {"TL501"}


def test_a_run_that_is_cut_off_when_the_loop_closes(watched: Watched) -> None:
    async def program(client: Client) -> None:
        asyncio.create_task(failing(assistant(client, "scribe"), "take notes"))  # noqa: RUF006
        await said(assistant(client), "hello")

    run(program, Rule(when="notes", say="noted", latency=5), Rule(say="fine"))
    assert watched.codes == {"TL501"}


def test_runs_in_the_background_that_are_held_and_awaited(watched: Watched) -> None:
    background: set[asyncio.Task[Any]] = set()

    async def program(client: Client) -> None:
        async def handler() -> None:
            task = asyncio.create_task(said(assistant(client, "scribe"), "take notes"))
            background.add(task)
            task.add_done_callback(background.discard)

        await asyncio.gather(*(in_request(handler) for _ in range(3)))
        await asyncio.gather(*background)

    run(program)
    assert watched.hazards == []


def test_a_batch_with_gather_and_a_task_group(watched: Watched) -> None:
    async def program(client: Client) -> None:
        limit = asyncio.Semaphore(3)

        async def one(text: str) -> str:
            async with limit:
                return await said(assistant(client), text)

        async def handler() -> None:
            await asyncio.gather(*(one(f"row {number}") for number in range(5)))
            async with asyncio.TaskGroup() as group:
                for number in range(5):
                    group.create_task(one(f"row {number}"))

        await in_request(handler)

    run(program)
    assert watched.hazards == []


def test_a_task_group_that_outlives_the_request(watched: Watched) -> None:
    async def program(client: Client) -> None:
        async with asyncio.TaskGroup() as background:

            async def handler() -> None:
                background.create_task(said(assistant(client, "scribe"), "take notes"))

            await in_request(handler)
            await said(assistant(client), "hello")

    run(program)
    assert watched.hazards == []


def test_requests_of_one_runner(watched: Watched) -> None:
    """A runner keeps the context of its first run for all later ones."""

    async def ask(base_url: str) -> None:
        async with model(base_url) as client:
            await said(assistant(client), "hello")

    with PracticeProvider.in_thread([Rule(say="fine")]) as provider, asyncio.Runner() as runner:
        for _ in range(2):
            with requests.within(Request("celery", "task")):
                runner.run(ask(provider.base_url))
    assert watched.hazards == []
