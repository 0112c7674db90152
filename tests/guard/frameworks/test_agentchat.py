"""Agents of current AutoGen: what runs that meet in them, fail in them or leave something in them show."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_core import CancellationToken
from autogen_core.memory import ListMemory, MemoryContent
from autogen_core.model_context import BufferedChatCompletionContext
from autogen_ext.models.openai import OpenAIChatCompletionClient
from tests.guard.conftest import Watched
from tests.guard.frameworks.agentchat_programs import assistant, failing, in_request, run, said

from turnlane.guard import HazardError, install, requests, uninstall
from turnlane.guard.requests import Request
from turnlane.practice import Fault, Rule, ToolCall

Client = OpenAIChatCompletionClient


@pytest.fixture
def guard_settings() -> dict[str, Any]:
    """A machine that is busy with other tests holds the loop: that is another test's subject."""
    return {"threshold": 60.0}


class Echo(BaseChatAgent):
    """A user's own agent that keeps its history itself."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "Repeats.")
        self.history: list[str] = []

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        await asyncio.sleep(0.01)
        self.history += [message.to_text() for message in messages]
        return Response(chat_message=TextMessage(content=" ".join(self.history), source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        self.history.clear()


def test_two_requests_in_one_agent_at_once(watched: Watched) -> None:
    async def program(client: Client) -> None:
        agent = assistant(client)
        await asyncio.gather(*(in_request(lambda: said(agent, "hello"), user_id=user) for user in ("ann", "bob")))

    run(program)
    hazard = watched.hazard("TL201")
    assert hazard["object"] == "AssistantAgent 'support'"
    assert len(hazard["requests"]) == 2
    assert hazard["place"]["file"].endswith("agentchat_programs.py")
    assert hazard["place"]["function"] == "said"
    assert len(hazard["stacks"]) == 3
    assert watched.codes == {"TL201"}


def test_two_runs_without_requests_in_one_agent_at_once(watched: Watched) -> None:
    async def program(client: Client) -> None:
        agent = assistant(client)
        await asyncio.gather(*(said(agent, f"hello {number}") for number in range(3)))

    run(program)
    assert watched.codes == {"TL204"}


def test_one_request_after_the_other_in_one_agent(watched: Watched) -> None:
    async def program(client: Client) -> None:
        agent = assistant(client)
        await in_request(lambda: said(agent, "one"))
        await in_request(lambda: said(agent, "two"))

    run(program)
    assert watched.codes == {"TL201"}


def test_an_agent_of_the_users_own_that_keeps_its_history(watched: Watched) -> None:
    async def program(client: Client) -> None:
        agent = Echo("echo")
        await in_request(lambda: said(agent, "one"))
        await in_request(lambda: said(agent, "two"))

    run(program)
    assert watched.codes == {"TL201"}


@pytest.mark.parametrize("way", ["on_reset", "clear", "load_state"])
def test_an_agent_whose_state_is_replaced_between_requests(watched: Watched, way: str) -> None:
    async def program(client: Client) -> None:
        agent = assistant(client)
        empty = await assistant(client).save_state()
        for text in ("one", "two"):
            if way == "on_reset":
                await agent.on_reset(CancellationToken())
            elif way == "clear":
                await agent.model_context.clear()
            else:
                await agent.load_state(empty)
            await in_request(lambda text=text: said(agent, text))

    run(program)
    assert watched.hazards == []


def test_an_agent_for_each_conversation_behind_a_lock(watched: Watched) -> None:
    async def program(client: Client) -> None:
        agents = {name: assistant(client) for name in ("a", "b")}
        locks = {name: asyncio.Lock() for name in agents}

        async def turn(name: str, number: int) -> None:
            async def work() -> None:
                async with locks[name]:
                    await said(agents[name], f"message {number}")

            await in_request(work, conversation_id=name)

        await asyncio.gather(*(turn(name, number) for name in agents for number in range(3)))

    run(program)
    assert watched.hazards == []


def test_agents_kept_by_a_key_that_no_field_names(watched: Watched) -> None:
    kept: dict[str, AssistantAgent] = {}

    async def program(client: Client) -> None:
        async def work(who: str) -> None:
            if who not in kept:
                kept[who] = assistant(client)
            await said(kept[who], "hello")

        for who in ("ann", "bob", "ann", "bob"):
            await in_request(lambda who=who: work(who))

    run(program)
    assert watched.hazards == []
    kept.clear()


@pytest.mark.parametrize(
    ("key", "together", "codes"),
    [
        pytest.param("zoe", False, set(), id="the first of many, a turn after the other"),
        pytest.param("default", False, {"TL201"}, id="everybody's"),
        pytest.param("zoe", True, {"TL201"}, id="several at once who name the same"),
    ],
)
def test_the_only_agent_that_is_kept(watched: Watched, key: str, together: bool, codes: set[str]) -> None:
    kept: dict[str, AssistantAgent] = {}

    async def program(client: Client) -> None:
        async def work() -> None:
            with requests.within(Request("asgi", "POST /players/zoe/chat")):
                if key not in kept:
                    kept[key] = assistant(client)
                await said(kept[key], "hello")

        if together:
            await asyncio.gather(work(), work())
        else:
            await work()
            await work()

    run(program)
    assert watched.codes == codes
    kept.clear()


def test_an_agent_after_an_error(watched: Watched) -> None:
    async def program(client: Client) -> None:
        agent = assistant(client)
        await failing(agent, "first")
        await failing(agent, "second")

    run(program, Rule(when="first", fault=Fault("server_error")), Rule(say="fine"))
    assert watched.codes == {"TL207"}
    assert watched.hazard("TL207")["measures"] == {"open_calls": 0}


def test_an_agent_that_was_stopped_in_a_tool(watched: Watched) -> None:
    async def program(client: Client) -> None:
        async def report(month: str) -> str:
            """Makes a report."""
            await asyncio.sleep(5)
            return month

        agent = assistant(client, tools=[report])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(agent.run(task="first"), 1)
        await failing(agent, "second")

    run(program, Rule(when="first", call=ToolCall("report", {"month": "May"})), Rule(say="fine"))
    assert watched.hazard("TL207")["measures"] == {"open_calls": 1}


def test_an_agent_after_an_error_that_came_before_its_work(watched: Watched) -> None:
    async def program(client: Client) -> None:
        agent = assistant(client)
        with pytest.raises(ValueError, match="empty"):
            await agent.run(task=[])
        await said(agent, "hello")

    run(program)
    assert watched.hazards == []


def test_an_agent_after_a_time_out(watched: Watched) -> None:
    async def program(client: Client) -> None:
        agent = assistant(client)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(agent.run(task="slow"), 0.1)
        await failing(agent, "fast")

    run(program, Rule(when="slow", say="late", latency=5), Rule(say="fine"))
    assert watched.codes == {"TL207"}


def test_the_same_text_again_on_the_same_agent(watched: Watched) -> None:
    async def program(client: Client) -> None:
        agent = assistant(client)
        for _ in range(3):
            await failing(agent, "pay invoice 7")

    run(program, Rule(fault=Fault("server_error")))
    assert watched.codes == {"TL304"}
    assert watched.hazard("TL304")["measures"]["attempt"] == 2


def test_the_same_text_again_on_a_fresh_agent_after_an_error_that_stays(watched: Watched) -> None:
    async def program(client: Client) -> None:
        for _ in range(3):
            await failing(assistant(client), "pay invoice 7")

    run(program, Rule(fault=Fault("unauthorized")))
    assert watched.codes == {"TL304"}


class OneByOne(Echo):
    """Lets its runs wait for each other."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.lock = asyncio.Lock()

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        async with self.lock:
            return await super().on_messages(messages, cancellation_token)


def test_an_agent_whose_runs_wait_for_each_other(watched: Watched) -> None:
    async def program(_: Client) -> None:
        agent = OneByOne("support")
        await asyncio.gather(*(in_request(lambda: said(agent, "hello"), chat_id="7") for _ in range(3)))

    run(program)
    assert watched.codes == set()


def test_an_agent_whose_runs_wait_for_those_of_other_users(watched: Watched) -> None:
    async def program(_: Client) -> None:
        agent = OneByOne("support")
        await asyncio.gather(*(in_request(lambda: said(agent, "hello"), user_id=user) for user in ("ann", "bob")))

    run(program)
    assert watched.codes == {"TL201"}


class Stopped(Exception):
    """What a server says of work that it has stopped."""


class Stoppable(Echo):
    """Ends with an error of the program's own when it is cancelled, as many frameworks want it."""

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        task = asyncio.current_task()
        assert task is not None
        if self.name == "first":
            task.cancel()
        try:
            return await super().on_messages(messages, cancellation_token)
        except asyncio.CancelledError:
            task.uncancel()
            raise Stopped from None


def test_what_was_stopped_is_done_later(watched: Watched) -> None:
    async def program(_: Client) -> None:
        said_first, said_then = [await failing(Stoppable(name), "pay invoice 7") for name in ("first", "second")]
        assert (said_first, said_then) == ("Stopped", "pay invoice 7")

    run(program)
    assert watched.codes == set()


def test_a_fresh_agent_after_an_error_that_may_be_gone(watched: Watched) -> None:
    async def program(client: Client) -> None:
        for _ in range(2):
            await failing(assistant(client), "pay invoice 7")

    run(program, Rule(fault=Fault("server_error")))
    assert watched.hazards == []


def test_agents_with_one_context(watched: Watched) -> None:
    async def program(client: Client) -> None:
        context = BufferedChatCompletionContext(buffer_size=10)
        agents = [assistant(client, name, model_context=context) for name in ("one", "two")]
        await asyncio.gather(*(said(agent, "hello") for agent in agents))

    run(program)
    assert watched.codes == {"TL203"}


def test_fresh_agents_with_one_context_one_after_the_other(watched: Watched) -> None:
    async def program(client: Client) -> None:
        context = BufferedChatCompletionContext(buffer_size=10)
        for _ in range(2):
            await in_request(lambda: said(assistant(client, model_context=context), "hello"))

    run(program)
    assert watched.codes == {"TL203"}


def test_a_memory_that_requests_write_to(watched: Watched) -> None:
    async def program(client: Client) -> None:
        memory = ListMemory()

        async def work() -> None:
            await said(assistant(client, memory=[memory]), "hello")
            await memory.add(MemoryContent(content="My name is Ann.", mime_type="text/plain"))

        await in_request(work)
        await in_request(work)

    run(program)
    assert watched.codes == {"TL203"}


def test_a_memory_of_what_all_may_know(watched: Watched) -> None:
    async def program(client: Client) -> None:
        memory = ListMemory()
        await memory.add(MemoryContent(content="We open at nine.", mime_type="text/plain"))
        users = (in_request(lambda: said(assistant(client, memory=[memory]), "hello")) for _ in range(4))
        await asyncio.gather(*users)

    run(program)
    assert watched.hazards == []


@pytest.mark.parametrize("part", ["memory", "context"])
def test_a_part_for_each_conversation_kept_by_a_key_of_the_programs_own(watched: Watched, part: str) -> None:
    async def program(client: Client) -> None:
        memories: dict[str, ListMemory] = {}
        contexts: dict[str, BufferedChatCompletionContext] = {}

        async def work(guest: str) -> None:
            if part == "context":
                context = contexts.setdefault(guest, BufferedChatCompletionContext(buffer_size=10))
                await said(assistant(client, model_context=context), "hello")
            else:
                memory = memories.setdefault(guest, ListMemory())
                await said(assistant(client, memory=[memory]), "hello")
                await memory.add(MemoryContent(content=f"I am {guest}.", mime_type="text/plain"))

        for guest in ("ann", "bob", "ann", "bob"):
            await in_request(lambda guest=guest: work(guest))  # type: ignore[misc]

    run(program)
    assert watched.hazards == []


@pytest.mark.parametrize("name", ["run", "load_state", "save_state"])
def test_what_is_not_awaited(watched: Watched, name: str) -> None:
    async def program(client: Client) -> None:
        agent = assistant(client)
        with pytest.warns(RuntimeWarning, match="never awaited"):
            getattr(agent, name)(**({"task": "x"} if name == "run" else {"state": {}} if "load" in name else {}))

    run(program)
    hazard = watched.hazard("TL106")
    assert f"'support'.{name}" in hazard["message"]
    assert hazard["place"]["file"] == __file__


def test_a_coroutine_that_is_closed(watched: Watched) -> None:
    async def program(client: Client) -> None:
        assistant(client).run(task="never mind").close()

    run(program)
    assert watched.hazards == []


def test_a_stream_that_is_not_iterated(watched: Watched) -> None:
    async def program(client: Client) -> None:
        assistant(client).run_stream(task="hello")

    run(program)
    assert watched.codes == {"TL106"}


def test_a_cut_answer(watched: Watched) -> None:
    async def program(client: Client) -> None:
        await said(assistant(client), "How do I change the filter?")

    run(program, Rule(say="Step 1: unplug the", finish_reason="length"))
    hazard = watched.hazard("TL307")
    assert "unplug the" in hazard["message"]
    assert watched.codes == {"TL307"}


class CompleteAnswers(OpenAIChatCompletionClient):
    """The right form: looks at the reason."""

    async def create(self, *args: Any, **options: Any) -> Any:
        result = await super().create(*args, **options)
        if result.finish_reason not in {"stop", "function_calls"}:
            raise ValueError("incomplete")
        return result


class MarkedAnswers(OpenAIChatCompletionClient):
    """Lets the answer pass, and tells the program."""

    cut: ClassVar[list[str]] = []

    async def create(self, *args: Any, **options: Any) -> Any:
        result = await super().create(*args, **options)
        if result.finish_reason == "length":
            self.cut.append(str(result.content))
        return result


def test_a_cut_answer_that_the_client_marks(watched: Watched) -> None:
    async def program(client: Client) -> None:
        marking = MarkedAnswers(
            model="gpt-4o-mini-2024-07-18", api_key="practice", base_url=str(client._client.base_url)
        )
        await said(assistant(marking), "How do I change the filter?")
        await marking.close()
        assert marking.cut == ["Step 1: unplug the"]

    run(program, Rule(say="Step 1: unplug the", finish_reason="length"))
    assert watched.codes == set()


def test_a_cut_answer_that_the_client_refuses(watched: Watched) -> None:
    async def program(client: Client) -> None:
        checked = CompleteAnswers(
            model="gpt-4o-mini-2024-07-18", base_url=str(client._client.base_url), api_key="x", max_retries=0
        )
        assert await failing(assistant(checked), "How?") == "ValueError"
        await checked.close()

    run(program, Rule(say="Step 1: unplug the", finish_reason="length"))
    assert watched.hazards == []


def test_a_hundred_users_with_an_agent_each(watched: Watched) -> None:
    async def program(client: Client) -> None:
        states: dict[str, Any] = {}

        async def turn(user: str, text: str) -> None:
            async def work() -> None:
                agent = assistant(client)
                if user in states:
                    await agent.load_state(states[user])
                await said(agent, text)
                states[user] = await agent.save_state()

            await in_request(work, user_id=user)

        for text in ("one", "two"):
            await asyncio.gather(*(turn(f"user-{number}", text) for number in range(50)))

    run(program)
    assert watched.hazards == []


def test_strict_raises_where_the_second_run_begins() -> None:
    async def program(client: Client) -> list[Any]:
        agent = assistant(client)
        return await asyncio.gather(said(agent, "one"), said(agent, "two"), return_exceptions=True)

    install(strict=True, output="/dev/null", summary=False)
    try:
        first, second = run(program)
    finally:
        uninstall()
    assert first == "I see."
    assert isinstance(second, HazardError)
    assert second.code == "TL204"


def test_signatures_and_kinds_stay_as_they_were(watched: Watched) -> None:
    uninstall()
    before = inspect.signature(AssistantAgent), inspect.signature(Echo), inspect.signature(AssistantAgent.run)
    install(output=str(watched.path), summary=False)
    after = inspect.signature(AssistantAgent), inspect.signature(Echo), inspect.signature(AssistantAgent.run)
    assert after == before
    assert asyncio.iscoroutinefunction(AssistantAgent.run)


def test_no_patch_is_left_behind(watched: Watched) -> None:
    assert hasattr(AssistantAgent.run, "__wrapped__")
    uninstall()
    assert not hasattr(AssistantAgent.run, "__wrapped__")
    assert not hasattr(OpenAIChatCompletionClient.create, "__wrapped__")
    assert isinstance(Echo("echo"), BaseChatAgent)
