"""What may be shared by turns, and what is refused (TL201, TL203, TL205)."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import lru_cache
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_agentchat.tools import AgentTool
from autogen_core.model_context import BufferedChatCompletionContext
from autogen_core.models import ChatCompletionClient, CreateResult, ModelFamily, ModelInfo, RequestUsage
from autogen_core.tools import FunctionTool, StaticWorkbench, ToolResult, ToolSchema, Workbench

from turnlane.practice import Answer, ToolCall
from turnlane.runtime.agent import SharedObject

pytestmark = pytest.mark.anyio


async def refused(talk: Any, factory: Callable[[], Any]) -> SharedObject:
    conversation = talk(factory)
    await conversation.say("red")
    kept = conversation.state
    ended = await conversation.fail("blue")
    assert isinstance(ended.error, SharedObject)
    assert ended.failure.hazard == ended.error.hazard
    assert conversation.state == kept
    return ended.error


class TestRefused:
    async def test_the_same_agent_twice(self, talk, client):
        agent = AssistantAgent("support", client())
        error = await refused(talk, lambda: agent)
        assert error.hazard == "TL201"
        assert "AssistantAgent 'support'" in str(error)
        assert "inside the factory" in str(error)

    async def test_the_same_team_twice(self, talk, client):
        team = RoundRobinGroupChat([AssistantAgent("support", client())], max_turns=1)
        assert (await refused(talk, lambda: team)).hazard == "TL201"

    async def test_the_same_participant_in_fresh_teams(self, talk, client):
        agent = AssistantAgent("support", client())
        assert (await refused(talk, lambda: RoundRobinGroupChat([agent], max_turns=1))).hazard == "TL201"

    async def test_the_same_agent_as_a_tool_of_fresh_agents(self, talk, client):
        tool = AgentTool(AssistantAgent("poet", client()))
        assert (await refused(talk, lambda: AssistantAgent("boss", client(), tools=[tool]))).hazard == "TL201"

    async def test_the_same_model_context(self, talk, client):
        context = BufferedChatCompletionContext(10)
        error = await refused(talk, lambda: AssistantAgent("support", client(), model_context=context))
        assert error.hazard == "TL203"
        assert "BufferedChatCompletionContext" in str(error)

    async def test_a_context_that_is_a_default_argument(self, talk, client):
        def build(context: Any = BufferedChatCompletionContext(10)) -> Any:  # noqa: B008 - the mistake itself
            return AssistantAgent("support", client(), model_context=context)

        assert (await refused(talk, build)).hazard == "TL203"

    @pytest.mark.parametrize("combined", [False, True], ids=["plain", "inside of another"])
    async def test_the_same_termination_condition(self, talk, client, combined):
        shared = TextMentionTermination("DONE")

        def build():
            condition = (shared | MaxMessageTermination(2)) if combined else shared
            return RoundRobinGroupChat(
                [AssistantAgent("support", client())], termination_condition=condition, max_turns=1
            )

        error = await refused(talk, build)
        assert error.hazard == "TL203"
        assert "TextMentionTermination" in str(error)

    async def test_one_agent_in_two_teams(self, talk, client):
        def build():
            agent = AssistantAgent("support", client())
            inner = RoundRobinGroupChat([agent], max_turns=1, name="inner")
            return RoundRobinGroupChat([inner, agent], max_turns=2)

        ended = await talk(build).fail("red")
        assert isinstance(ended.error, SharedObject)
        assert ended.error.hazard == "TL205"
        assert "'support'" in str(ended.error)

    async def test_control_the_bare_framework_takes_a_shared_agent_without_a_word(self, client, provider):
        agent = AssistantAgent("support", client())
        await agent.run(task="the user of the first turn says xylophone")
        await agent.run(task="I am somebody else")
        assert "xylophone" in provider.requests[1].text


class Closing(ChatCompletionClient):
    """A model client of another package, with something to close."""

    component_type = "model"

    def __init__(self) -> None:
        self.closed: list[bool] = []

    async def create(self, messages: Any, **options: Any) -> CreateResult:
        assert not self.closed, "used after it was closed"
        usage = RequestUsage(prompt_tokens=1, completion_tokens=1)
        return CreateResult(finish_reason="stop", content="hello", usage=usage, cached=False)

    async def create_stream(self, messages: Any, **options: Any) -> AsyncGenerator[str | CreateResult, None]:
        yield await self.create(messages)

    async def close(self) -> None:
        self.closed.append(True)

    def actual_usage(self) -> RequestUsage:
        return RequestUsage(prompt_tokens=0, completion_tokens=0)

    total_usage = actual_usage

    def count_tokens(self, messages: Any, **options: Any) -> int:
        return 1

    remaining_tokens = count_tokens

    @property
    def capabilities(self) -> Any:
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        return ModelInfo(
            vision=False,
            function_calling=True,
            json_output=True,
            family=ModelFamily.UNKNOWN,
            structured_output=True,
        )


class OpenWorkbench(Workbench):
    """A workbench of another kind, with something to stop."""

    component_type = "workbench"

    def __init__(self) -> None:
        self.stopped: list[bool] = []

    async def list_tools(self) -> list[ToolSchema]:
        return []

    async def call_tool(self, name: str, arguments: Any = None, *rest: Any, **options: Any) -> ToolResult:
        raise AssertionError("there is none")

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped.append(True)

    async def reset(self) -> None: ...

    async def save_state(self) -> Mapping[str, Any]:
        return {}

    async def load_state(self, state: Mapping[str, Any]) -> None: ...


class TestShared:
    async def test_a_client_tools_and_a_workbench_of_the_process_are_fine(self, talk, client, provider):
        def look(order: str) -> str:
            """Look."""
            return f"order {order}"

        shared_client, tool = client(), FunctionTool(look, "looks")
        bench = StaticWorkbench([tool])

        def script(request):
            if request.tools and not request.tool_results:
                return Answer(tool_calls=[ToolCall("look", {"order": "7"})])
            return "ok"

        provider.use(script)
        for build in (
            lambda: AssistantAgent("a", shared_client, tools=[tool], reflect_on_tool_use=True),
            lambda: AssistantAgent("a", shared_client, workbench=bench, reflect_on_tool_use=True),
        ):
            conversation = talk(build)
            for _ in range(3):
                ended = await conversation.say("order 7?")
                assert ended.items("tool")[0]["output"] == "order 7"
                assert ended.usage.model_calls == 2

    @pytest.mark.parametrize("kept_in", ["module", "cache", "dict"])
    async def test_a_shared_client_of_another_package_is_never_closed(self, talk, kept_in):
        shared = Closing()
        registry = {"main": shared}

        @lru_cache
        def cached() -> Closing:
            return shared

        get = {"module": lambda: shared, "cache": cached, "dict": lambda: registry["main"]}[kept_in]
        conversation = talk(lambda: AssistantAgent("support", get()))
        for _ in range(3):
            await conversation.say("red")
            gc.collect()
        assert shared.closed == []
        assert registry == {"main": shared}

    async def test_a_shared_workbench_is_not_stopped(self, talk):
        bench = OpenWorkbench()
        conversation = talk(lambda: AssistantAgent("support", Closing(), workbench=bench))
        await conversation.say("red")
        await conversation.say("blue")
        assert bench.stopped == []

    async def test_fresh_ones_are_closed_with_their_turn(self, talk):
        stops: list[list[bool]] = []

        def build():
            model, bench = Closing(), OpenWorkbench()
            stops.extend([model.closed, bench.stopped])
            return AssistantAgent("support", model, workbench=bench)

        conversation = talk(build)
        await conversation.say("red")
        assert stops == [[True], [True]]
        await conversation.say("blue")
        assert stops == [[True], [True], [True], [True]]

    async def test_fresh_ones_of_a_failed_turn_are_closed_once_the_error_is_dropped(self, talk):
        closed: list[list[bool]] = []

        class Failing(Closing):
            async def create(self, messages: Any, **options: Any) -> CreateResult:
                raise ValueError("no")

        def build():
            model = Failing()
            closed.append(model.closed)
            return AssistantAgent("support", model)

        await talk(build).fail("red")
        gc.collect()
        import anyio

        with anyio.fail_after(5):
            while closed != [[True]]:
                await anyio.sleep(0.005)

    async def test_a_list_or_dict_that_others_use_too_is_left_as_it_is(self, talk, client):
        from .test_single_agents import DictKeeper, ListKeeper

        one = client()
        registry, row = {"main": {"now": one}}, [one]
        for build in (lambda: DictKeeper(registry), lambda: ListKeeper(row)):
            conversation = talk(build)
            for _ in range(2):
                assert (await conversation.say("red")).usage.model_calls == 1
        assert registry == {"main": {"now": one}}
        assert row == [one]

    async def test_two_teams_in_one_turn_may_share_a_client(self, talk, client, provider):
        def build():
            one = client()
            inner = RoundRobinGroupChat([AssistantAgent("ann", one)], max_turns=1, name="inner")
            return RoundRobinGroupChat([inner, AssistantAgent("bob", one)], max_turns=2)

        assert (await talk(build).say("red")).usage.model_calls == 2

    async def test_a_built_agent_that_never_ran_is_discarded(self, adapter, talk):
        from turnlane.testing.turns import Talk

        models: list[Closing] = []
        attempt = Talk(adapter, lambda: None).begin("x")
        await attempt.ended()

        def build():
            models.append(Closing())
            return AssistantAgent("support", models[-1])

        prepared = adapter.prepare(build(), attempt.run)
        closed = models.pop().closed
        await prepared.discard()
        assert closed == [True]
