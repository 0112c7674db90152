"""A stop ends a run at once, wherever it is, and leaves nothing behind (TL404, TL503)."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent, SocietyOfMindAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
)
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import CancellationToken

from turnlane.practice import Answer, Fault, ToolCall
from turnlane.runtime.agent import TurnStopped

from .scripts import magentic

pytestmark = pytest.mark.anyio

AT_ONCE = 1.0


@pytest.fixture
def agent(client: Any) -> Any:
    def make(name: str, **options: Any) -> AssistantAgent:
        return AssistantAgent(name, client(), system_message=name, description=f"the {name}", **options)

    return make


@pytest.fixture(autouse=True)
def nothing_is_left_in_the_air(caplog: pytest.LogCaptureFixture) -> Any:
    """No exception that nobody looked at, no coroutine that nobody awaited."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
        gc.collect()
    never = [r.getMessage() for r in caplog.records if r.name == "asyncio"]
    assert never == []
    assert [str(w.message) for w in seen if "never awaited" in str(w.message)] == []


@asynccontextmanager
async def no_tasks_left(allowed: int = 0) -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    for _ in range(50):  # tasks that were cancelled need turns of the loop to end, and no time
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() - before if not task.done()]
    names = [(task.get_coro().__qualname__, str(task.get_stack(limit=1))) for task in left]
    assert len(left) <= allowed, names


async def stopped_at_once(attempt: Any) -> None:
    began = time.monotonic()
    attempt.stop()
    ended = await attempt.ended(within=AT_ONCE)
    assert time.monotonic() - began < AT_ONCE
    assert isinstance(ended.error, TurnStopped), repr(ended.error)
    assert ended.run.failure is None, ended.run.failure


async def stop_during_a_model_call(talk: Any, provider: Any, build: Any, after: int = 1) -> None:
    """Stop when request number `after` hangs; then the next turn, from the old state, works."""
    answers = provider.script
    conversation = talk(build)
    hanging = {"now": True}
    seen = {"requests": 0}

    def script(request: Any) -> Any:
        seen["requests"] += 1
        if hanging["now"] and seen["requests"] >= after:
            return Fault("hang")
        return answers._answer(request)

    provider.use(script)
    async with no_tasks_left():
        attempt = conversation.begin("red")
        await provider.wait_for(after)
        await stopped_at_once(attempt)
        asked = provider.received
        del attempt
    assert provider.received == asked
    assert conversation.state is None
    hanging["now"] = False
    ended = await conversation.say("blue")
    assert ended.answer
    assert provider.received > asked


class TestDuringAModelCall:
    async def test_of_one_agent(self, talk, agent, provider):
        await stop_during_a_model_call(talk, provider, lambda: agent("ann"))

    async def test_of_a_streaming_agent(self, talk, agent, provider):
        await stop_during_a_model_call(talk, provider, lambda: agent("ann", model_client_stream=True))

    async def test_in_the_middle_of_a_stream(self, talk, agent, provider):
        provider.use(lambda request: Answer(text="one two three", fault=Fault("stall_stream", after_chunks=1)))
        conversation = talk(lambda: agent("ann", model_client_stream=True))
        async with no_tasks_left():
            attempt = conversation.begin("red")
            await until(attempt, lambda now: any(event.kind == "text.delta" for event in now.events))
            shown = len(attempt.events)
            await stopped_at_once(attempt)
            assert len(attempt.events) == shown
            del attempt

    async def test_while_a_piece_of_a_stream_is_shown(self, talk, agent, provider):
        """The provider learns at once that nobody reads on: what it says after a stop is paid for by nobody."""
        provider.use(lambda request: Answer(text="word " * 200, tokens_per_second=100))
        conversation = talk(lambda: agent("ann", model_client_stream=True))
        attempt = conversation.begin("red")
        show = attempt.run.publish

        def show_and_stop(event: Any) -> None:
            show(event)
            if event.kind == "text.delta":
                attempt.stop()

        attempt.run.publish = show_and_stop
        await attempt.ended(within=AT_ONCE)
        await until(attempt, lambda _: provider.requests[-1].disconnected, within=AT_ONCE)

    async def test_in_the_middle_of_a_stream_of_a_team(self, talk, agent, provider):
        provider.use(lambda request: Answer(text="one two three", fault=Fault("stall_stream", after_chunks=1)))
        conversation = talk(lambda: RoundRobinGroupChat([agent("ann", model_client_stream=True)], max_turns=1))
        async with no_tasks_left():
            attempt = conversation.begin("red")
            await until(attempt, lambda now: any(event.kind == "text.delta" for event in now.events))
            await stopped_at_once(attempt)
            del attempt

    @pytest.mark.parametrize("after", [1, 2])
    async def test_in_a_round_robin(self, talk, agent, provider, after):
        build = lambda: RoundRobinGroupChat([agent("ann"), agent("bob")], max_turns=3)  # noqa: E731
        await stop_during_a_model_call(talk, provider, build, after)

    @pytest.mark.parametrize("after", [1, 2, 3])
    async def test_in_a_selector(self, talk, agent, client, provider, after):
        provider.use(lambda request: "bob" if "pick one" in request.system + request.user_message else "hello")
        prompt = "{roles} {history} pick one of {participants}"
        build = lambda: SelectorGroupChat(  # noqa: E731
            [agent("ann"), agent("bob"), agent("cid")], model_client=client(), selector_prompt=prompt, max_turns=2
        )
        await stop_during_a_model_call(talk, provider, build, after)

    @pytest.mark.parametrize("after", [1, 2, 3, 4])
    async def test_in_magentic_one(self, talk, agent, client, provider, after):
        provider.use(magentic)
        build = lambda: MagenticOneGroupChat([agent("worker")], model_client=client())  # noqa: E731
        await stop_during_a_model_call(talk, provider, build, after)

    @pytest.mark.parametrize("after", [1, 2])
    async def test_in_a_nested_team(self, talk, agent, provider, after):
        def build():
            inner = RoundRobinGroupChat([agent("ann"), agent("bob")], max_turns=2, name="inner")
            return RoundRobinGroupChat([inner, agent("cid")], max_turns=2)

        await stop_during_a_model_call(talk, provider, build, after)

    async def test_in_a_society_of_mind(self, talk, agent, client, provider):
        def build():
            inner = RoundRobinGroupChat([agent("ann")], max_turns=1)
            return SocietyOfMindAgent("society", team=inner, model_client=client())

        await stop_during_a_model_call(talk, provider, build)

    async def test_in_an_agent_that_is_a_tool(self, talk, agent, provider):
        def script(request):
            if request.tools and not request.tool_results:
                return Answer(tool_calls=[ToolCall("poet", {"task": "x"})])
            return "a poem"

        provider.use(script)
        build = lambda: agent("boss", tools=[AgentTool(agent("poet"))], reflect_on_tool_use=True)  # noqa: E731
        await stop_during_a_model_call(talk, provider, build, 2)

    async def test_in_a_tool_of_a_team_that_is_a_tool(self, talk, agent, provider):
        """The inner team's stream waits for its runtime, which waits for messages that nobody takes any more."""
        stuck = asyncio.Event()

        async def act() -> str:
            """Do something."""
            stuck.set()
            await asyncio.Event().wait()
            return "never"

        def build():
            crew = RoundRobinGroupChat([agent("ann"), agent("bob", tools=[act])], max_turns=2)
            return agent("boss", tools=[TeamTool(crew, name="crew", description="works")])

        def script(request):
            if request.tools:
                return Answer(
                    tool_calls=[ToolCall(request.tools[0], {"task": "x"} if request.tools == ("crew",) else {})]
                )
            return "hello"

        provider.use(script)
        before = asyncio.all_tasks()
        attempt = talk(build).begin("red")
        await stuck.wait()
        await stopped_at_once(attempt)
        left = asyncio.all_tasks() - before
        _, pending = await asyncio.wait(left, timeout=5) if left else (left, left)
        assert [task.get_coro().__qualname__ for task in pending] == []

    async def test_in_parallel_branches(self, talk, agent, provider):
        def build():
            start, left, right = agent("start"), agent("left"), agent("right")
            builder = DiGraphBuilder()
            builder.add_node(start).add_node(left).add_node(right)
            builder.add_edge(start, left).add_edge(start, right)
            return GraphFlow(builder.get_participants(), builder.build())

        await stop_during_a_model_call(talk, provider, build, 3)

    async def test_while_it_waits_for_a_retry(self, talk, agent, provider):
        provider.use(lambda request: Fault("rate_limit", retry_after=60))
        async with no_tasks_left():
            attempt = talk(lambda: RoundRobinGroupChat([agent("ann")], max_turns=1)).begin("red")
            await until(attempt, lambda now: now.run.usage.retries == 1)
            await stopped_at_once(attempt)
            assert provider.received == 1
            del attempt

    async def test_control_the_bare_team_makes_all_its_calls(self, agent, provider):
        """TL503: `wait_for` returns late or not at all, and the calls are made."""
        release = threading.Event()

        async def script(request: Any) -> str:
            await asyncio.get_running_loop().run_in_executor(None, release.wait, 5)
            return "hello"

        provider.use(script)
        team = RoundRobinGroupChat([agent("ann"), agent("bob")], max_turns=3)
        run = asyncio.ensure_future(asyncio.wait_for(team.run(task="red"), 0.05))
        done, _ = await asyncio.wait({run}, timeout=0.5)
        assert not done, "the bare team now stops; the adapter's way may be simplified"
        release.set()
        await asyncio.wait({run}, timeout=5)
        run.exception()
        assert provider.received == 3


async def until(attempt: Any, condition: Any, within: float = 5.0) -> None:
    """Wait for something in a run that has no event of its own to wait for."""
    async with asyncio.timeout(within):
        while not condition(attempt):
            await asyncio.sleep(0.005)


class Sleeper(BaseChatAgent):
    def __init__(self, asleep: asyncio.Event) -> None:
        super().__init__("sleeper", "sleeps")
        self._asleep = asleep

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(self, messages: Sequence[BaseChatMessage], token: CancellationToken) -> Response:
        self._asleep.set()
        await asyncio.sleep(3600)
        raise AssertionError("woke up")

    async def on_reset(self, token: CancellationToken) -> None:
        pass


class Canceller(Sleeper):
    async def on_messages(self, messages: Sequence[BaseChatMessage], token: CancellationToken) -> Response:
        raise asyncio.CancelledError


class TestDuringOtherThings:
    @pytest.mark.parametrize("team", [False, True], ids=["alone", "in a team"])
    async def test_a_custom_agent_that_sleeps(self, talk, team):
        asleep = asyncio.Event()

        def build():
            sleeper = Sleeper(asleep)
            return RoundRobinGroupChat([sleeper], max_turns=1) if team else sleeper

        async with no_tasks_left():
            attempt = talk(build).begin("red")
            await asyncio.wait_for(asleep.wait(), 5)
            await stopped_at_once(attempt)
            del attempt

    @pytest.mark.parametrize("team", [False, True], ids=["alone", "in a team"])
    async def test_an_agent_that_cancels_itself_is_an_error_and_no_hang(self, talk, team):
        def build():
            agent = Canceller(asyncio.Event())
            return RoundRobinGroupChat([agent], max_turns=1) if team else agent

        async with no_tasks_left():
            ended = await talk(build).fail("red")
            assert ended.failure.type == "CancelledError"
            assert ended.failure.agent == "sleeper"
            del ended

    async def test_an_async_factory(self, talk, agent):
        building = asyncio.Event()

        async def build():
            building.set()
            await asyncio.sleep(3600)

        async with no_tasks_left():
            attempt = talk(build).begin("red")
            await asyncio.wait_for(building.wait(), 5)
            await stopped_at_once(attempt)
            del attempt

    async def test_a_run_that_is_stopped_before_it_starts(self, talk, agent, provider):
        attempt = talk(lambda: RoundRobinGroupChat([agent("ann")], max_turns=1)).begin("red")
        attempt.stop()
        await attempt.ended(within=AT_ONCE)
        assert provider.received == 0


@pytest.fixture
def calls_the_tool(provider: Any) -> None:
    def script(request: Any) -> Any:
        if request.tools and not request.tool_results:
            return Answer(tool_calls=[ToolCall(request.tools[0])])
        return "done"

    provider.use(script)


def with_tool(agent: Any, tool: Any, *, team: bool) -> Any:
    one = agent("ann", tools=[tool], reflect_on_tool_use=True)
    return RoundRobinGroupChat([one], max_turns=1) if team else one


@pytest.mark.usefixtures("calls_the_tool")
@pytest.mark.parametrize("team", [False, True], ids=["alone", "in a team"])
class TestDuringATool:
    async def test_an_async_tool(self, talk, agent, provider, team):
        inside, cancelled = asyncio.Event(), asyncio.Event()

        async def wait() -> str:
            """Wait."""
            inside.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled.set()
                raise
            return "woke up"

        conversation = talk(lambda: with_tool(agent, wait, team=team))
        async with no_tasks_left():
            attempt = conversation.begin("red")
            await asyncio.wait_for(inside.wait(), 5)
            await stopped_at_once(attempt)
            del attempt
        assert cancelled.is_set()
        assert provider.received == 1

    async def test_a_tool_that_ignores_cancellation(self, talk, agent, provider, team):
        inside, let_go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def stubborn() -> str:
            """Go on whatever happens."""
            inside.set()
            while not let_go.is_set():
                try:
                    await let_go.wait()
                except asyncio.CancelledError:
                    continue
            ended.set()
            return "done all the same"

        conversation = talk(lambda: with_tool(agent, stubborn, team=team))
        async with no_tasks_left(allowed=1):
            attempt = conversation.begin("red")
            await asyncio.wait_for(inside.wait(), 5)
            await stopped_at_once(attempt)
            shown = len(attempt.events)
        let_go.set()
        await asyncio.wait_for(ended.wait(), 5)
        assert len(attempt.events) == shown
        assert provider.received == 1
        await conversation.say("blue")

    async def test_a_sync_tool_in_a_thread(self, talk, agent, provider, team):
        loop = asyncio.get_running_loop()
        inside, let_go = asyncio.Event(), threading.Event()

        def slow() -> str:
            """Block a thread."""
            loop.call_soon_threadsafe(inside.set)
            let_go.wait(10)
            return "done"

        async with no_tasks_left():
            attempt = talk(lambda: with_tool(agent, slow, team=team)).begin("red")
            await asyncio.wait_for(inside.wait(), 5)
            await stopped_at_once(attempt)
            del attempt
        let_go.set()
        assert provider.received == 1

    async def test_a_tool_that_cancels_itself_is_an_error_for_the_model(self, talk, agent, provider, team):
        async def suicidal() -> str:
            """Cancel itself."""
            raise asyncio.CancelledError

        async with no_tasks_left():
            ended = await talk(lambda: with_tool(agent, suicidal, team=team)).say("red")
            assert ended.items("tool")[0]["error"]["type"] == "CancelledError"
            assert ended.answer == "done"
            del ended

    async def test_control_the_bare_framework_hangs_when_a_tool_cancels_itself(self, agent, team):
        async def suicidal() -> str:
            """Cancel itself."""
            raise asyncio.CancelledError

        def bare() -> bool:
            """Whether it hangs; in a loop of its own, which takes the wreckage with it."""

            async def run() -> bool:
                asyncio.get_running_loop().set_exception_handler(lambda *_: None)
                task = asyncio.ensure_future(with_tool(agent, suicidal, team=team).run(task="red"))
                done, _ = await asyncio.wait({task}, timeout=0.5)
                return not done

            return asyncio.run(run())

        assert await asyncio.to_thread(bare), "the bare framework now ends; the guard may be simplified"


async def test_a_provider_error_in_a_parallel_branch_leaves_nothing_running(talk, agent, provider):
    def script(request):
        if request.system == "left":
            return Fault("unauthorized")
        return Fault("hang") if request.system == "right" else "go"

    def build():
        start, left, right = agent("start"), agent("left"), agent("right")
        builder = DiGraphBuilder()
        builder.add_node(start).add_node(left).add_node(right)
        builder.add_edge(start, left).add_edge(start, right)
        return GraphFlow(builder.get_participants(), builder.build())

    provider.use(script)
    async with no_tasks_left():
        ended = await talk(build).fail("red")
        assert (ended.failure.agent, ended.failure.code) == ("left", "invalid_api_key")
        del ended
