"""A tool that calls back into its own run gets a typed error at once, and recursion ends (TL402)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat

from turnlane.practice import Answer, ToolCall
from turnlane.runtime.agent import TooManyModelCalls
from turnlane.runtime.tool_threads import ToolThreads

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def always_calls(provider: Any) -> None:
    """The model calls the tool whenever there is a user's message, and repeats what it heard of it."""

    def script(request: Any) -> Any:
        if request.tool_results or not request.tools:
            return f"heard {request.tool_results[-1].text if request.tool_results else 'nothing'}"
        return Answer(tool_calls=[ToolCall(request.tools[0])])

    provider.use(script)


class TestTheSameObject:
    @pytest.mark.parametrize("how", ["run", "run_stream", "on_messages"])
    async def test_a_tool_that_runs_its_own_agent(self, talk, client, provider, how):
        def build():
            async def again() -> str:
                """Run the agent that calls this."""
                if how == "run":
                    return str(await agent.run(task="again"))
                if how == "on_messages":
                    return str(await agent.on_messages([], None))
                return str([message async for message in agent.run_stream(task="again")])

            agent = AssistantAgent("support", client(), tools=[again], reflect_on_tool_use=True)
            return agent

        conversation = talk(build)
        ended = await conversation.say("go")
        error = ended.items("tool")[0]["error"]
        assert (error["type"], error["hazard"]) == ("ReentrantRun", "TL402")
        assert "'support'" in error["message"]
        assert provider.received == 2
        assert ended.run.failure is None
        await conversation.say("and now?")

    async def test_a_tool_that_runs_its_own_team(self, talk, client, provider):
        def build():
            async def again() -> str:
                """Run the team that calls this."""
                return str(await team.run(task="again"))

            agent = AssistantAgent("support", client(), tools=[again], reflect_on_tool_use=True)
            team = RoundRobinGroupChat([agent], max_turns=1)
            return team

        ended = await talk(build).say("go")
        assert ended.items("tool")[0]["error"]["type"] == "ReentrantRun"
        assert provider.received == 2

    async def test_an_agent_may_run_twice_one_after_the_other(self, talk, client, provider):
        """A team round, or a custom agent that asks another twice, is no reentrancy."""
        from .test_single_agents import Keeper

        class Twice(Keeper):
            async def on_messages(self, messages: Any, token: Any) -> Any:
                first = await self.grey_matter.on_messages(messages, token)
                return await self.grey_matter.on_messages([first.chat_message], token)

        provider.use(lambda request: f"heard {request.user_message}")
        ended = await talk(lambda: Twice(AssistantAgent("inner", client()))).say("red")
        assert ended.answer == "heard heard red"
        assert ended.usage.model_calls == 2

    async def test_control_the_bare_agent_is_poisoned(self, client, provider):
        async def again() -> str:
            """Run the agent that calls this."""
            return str(await agent.run(task="again"))

        agent = AssistantAgent("support", client(), tools=[again], reflect_on_tool_use=True)
        with pytest.raises(Exception, match="tool_call"):
            await asyncio.wait_for(agent.run(task="go"), 10)
        with pytest.raises(Exception, match="tool_call"):
            await agent.run(task="hello?")


class TestFreshCopies:
    """A tool makes a new agent with itself as a tool: no object is entered twice, it just never ends."""

    def build(self, client: Any, *, sync: bool) -> Any:
        def build() -> AssistantAgent:
            async def copy() -> str:
                """Run a fresh copy."""
                return str(await build().run(task="again"))

            def copy_sync() -> str:
                """Run a fresh copy in a loop of its own."""
                return asyncio.run(copy())

            tool = copy_sync if sync else copy
            return AssistantAgent("support", client(), tools=[tool], reflect_on_tool_use=True)

        return build

    @pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
    async def test_recursion_ends_at_the_bound_of_model_calls(self, talk, client, provider, sync):
        if sync:
            # As the worker does: sync tools run in threads that know their run.
            asyncio.get_running_loop().set_default_executor(ToolThreads(16))
        conversation = talk(self.build(client, sync=sync), max_model_calls=12)
        ended = await conversation.begin("go").ended(within=10)
        assert isinstance(ended.error, TooManyModelCalls)
        assert (ended.failure.hazard, ended.failure.code) == ("TL402", "too_many_model_calls")
        assert provider.received == 12
        assert conversation.state is None
        [result] = ended.data("tool.result")
        # The innermost error travels outwards through tools that are not guarded, as text.
        assert result["error"]["hazard"] in ("TL401", "TL402")

    async def test_a_short_detour_is_allowed_and_counted(self, talk, client, provider):
        def build():
            async def ask_another() -> str:
                """Ask an agent of the tool's own."""
                result = await AssistantAgent("other", client()).run(task="hello")
                return result.messages[-1].to_text()

            return AssistantAgent("support", client(), tools=[ask_another], reflect_on_tool_use=True)

        ended = await talk(build, max_model_calls=5).say("go")
        assert ended.answer == "heard heard nothing"
        assert ended.usage.model_calls == provider.received == 3

    async def test_what_is_no_model_call_is_not_counted(self, talk, client, provider):
        import openai

        def build():
            async def list_models() -> str:
                """List the models."""
                sdk = openai.AsyncOpenAI(base_url=provider.base_url, api_key="practice")
                for _ in range(10):
                    await sdk.models.list()
                return "listed"

            return AssistantAgent("support", client(), tools=[list_models], reflect_on_tool_use=True)

        ended = await talk(build, max_model_calls=2).say("go")
        assert ended.items("tool")[0]["output"] == "listed"

    async def test_a_client_that_a_tool_makes_is_silent_after_a_stop(self, talk, client, provider):
        inside, stopped, outcome = asyncio.Event(), asyncio.Event(), asyncio.Queue[BaseException | None]()

        def build():
            async def stubborn() -> str:
                """Go on after the stop, with a model call."""
                inside.set()
                while not stopped.is_set():
                    try:
                        await stopped.wait()
                    except asyncio.CancelledError:
                        continue
                try:
                    await AssistantAgent("other", client()).run(task="hello")
                except Exception as error:
                    outcome.put_nowait(error)
                else:
                    outcome.put_nowait(None)
                return ""

            return AssistantAgent("support", client(), tools=[stubborn])

        attempt = talk(build).begin("go")
        await asyncio.wait_for(inside.wait(), 5)
        attempt.stop()
        await attempt.ended(within=1)
        stopped.set()
        error = await asyncio.wait_for(outcome.get(), 5)
        assert "the turn was stopped" in str(error)
        assert provider.received == 1


async def test_a_team_without_an_end_ends_at_the_bound(talk, client, provider):
    provider.use(lambda request: "on and on")
    ended = await talk(
        lambda: RoundRobinGroupChat([AssistantAgent("ann", client()), AssistantAgent("bob", client())]),
        max_model_calls=7,
    ).fail("go")
    failure = ended.failure
    assert (failure.type, failure.kind, failure.code) == ("TooManyModelCalls", "agent", "too_many_model_calls")
    assert failure.hazard is None
    assert failure.agent in ("ann", "bob")
    for told in ("7 model calls", "max_model_calls", "termination condition", "tool that runs its own agent"):
        assert told in failure.message
    assert provider.received == 7


async def test_a_tool_that_makes_too_many_calls_of_its_own_says_so(talk, client, provider):
    def build():
        async def crew() -> str:
            """Run a team of the tool's own, without an end."""
            return str(await RoundRobinGroupChat([AssistantAgent("ann", client())]).run(task="go"))

        return AssistantAgent("support", client(), tools=[crew])

    ended = await talk(build, max_model_calls=5).say("go")
    [tool] = ended.items("tool")
    assert (tool["error"]["type"], tool["error"]["hazard"]) == ("TooManyModelCalls", "TL402")
    assert "max_model_calls" in tool["error"]["message"]
    assert provider.received == 5
