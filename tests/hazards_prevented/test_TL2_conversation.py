"""TL2xx: who owns the conversation."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.model_context import BufferedChatCompletionContext

from turnlane.practice import Answer, Fault, PracticeRequest, Rule, Script, ToolCall
from turnlane.runtime.app import AppError

pytestmark = pytest.mark.anyio

USERS = 20
SECRETS = [f"secret{number:03d}" for number in range(USERS)]


def slow_echo() -> Script:
    return Script([Rule(say="you said {user_message}")], latency=0.05)


def calls(tool: str, **rule: Any) -> Script:
    return Script(
        [Rule(when_result_of=tool, say="it is: {tool_result}"), Rule(call=[[ToolCall(tool)]], say="done", **rule)]
    )


def failures(results: list[Any]) -> list[BaseException]:
    return [result for result in results if isinstance(result, BaseException)]


async def order() -> str:
    """Look up the order."""
    await asyncio.sleep(0.02)
    return "shipped"


async def test_TL201_shared_agent(provider, model, serve, text_of, secrets_in):
    provider.use(slow_echo())
    shared = AssistantAgent("support", model())
    async with asyncio.timeout(20):
        results = await asyncio.gather(*(shared.run(task=word) for word in SECRETS), return_exceptions=True)
    leaks = [request for request in provider.requests if len(secrets_in(request)) > 1]
    assert not failures(results), "the hazard is silent"
    assert len(leaks) > 0

    provider.clear()

    def support() -> AssistantAgent:
        return AssistantAgent("support", model())

    async with serve(support) as served:
        answers = await asyncio.gather(*(served.ask(word) for word in SECRETS))
    assert [len(secrets_in(request)) for request in provider.requests] == [1] * USERS
    assert [text_of(answer) for answer in answers] == [f"you said {word}" for word in SECRETS]


async def test_TL201_shared_agent_with_a_tool(provider, model, serve, text_of):
    provider.use(calls("order"))
    shared = AssistantAgent("support", model(), tools=[order], reflect_on_tool_use=True)
    async with asyncio.timeout(20):
        results = await asyncio.gather(*(shared.run(task=word) for word in SECRETS), return_exceptions=True)
        alone = await asyncio.gather(shared.run(task="alone"), shared.run(task="again"), return_exceptions=True)
    assert len(failures(results)) >= USERS / 2
    assert all("tool_calls" in str(error) for error in failures(results))
    assert len(failures(alone)) == 2, "poisoned for good"

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), tools=[order], reflect_on_tool_use=True)

    async with serve(support) as served:
        answers = await asyncio.gather(*(served.ask(word) for word in SECRETS))
    assert [text_of(answer) for answer in answers] == ["it is: shipped"] * USERS


async def test_TL201_shared_team(provider, model, serve, text_of):
    provider.use(slow_echo())

    def pair() -> RoundRobinGroupChat:
        return RoundRobinGroupChat([AssistantAgent("one", model()), AssistantAgent("two", model())], max_turns=2)

    shared = pair()
    async with asyncio.timeout(20):
        results = await asyncio.gather(*(shared.run(task=word) for word in SECRETS[:5]), return_exceptions=True)
    assert ["already running" in str(error) for error in failures(results)] == [True] * 4

    async with serve(pair) as served:
        answers = await asyncio.gather(*(served.ask(word) for word in SECRETS[:5]))
    for answer, word in zip(answers, SECRETS, strict=False):
        assert word in text_of(answer)


async def test_TL201_a_shared_agent_is_not_served(provider, model, serve):
    shared = AssistantAgent("support", model())

    def support() -> AssistantAgent:
        return shared

    with pytest.raises(AppError, match="TL201"):
        async with serve(support):
            pass


async def test_TL202_shared_history(provider, model, serve):
    provider.use(slow_echo())
    history: list[TextMessage] = []

    async def handle(text: str) -> None:
        history.append(TextMessage(content=text, source="user"))
        await AssistantAgent("support", model()).run(task=history)

    async with asyncio.timeout(20):
        await handle("alice: secret001")
        await handle("bob: secret002")
    assert "secret001" in provider.requests[1].text

    provider.clear()

    def support() -> AssistantAgent:
        return AssistantAgent("support", model())

    async with serve(support) as served:
        alice, bob = await served.conversation(), await served.conversation()
        for text in ("first", "second"):
            await served.ask(f"alice {text} secret001", conversation=alice)
            await served.ask(f"bob {text} secret002", conversation=bob)
    seen = [("secret001" in request.text, "secret002" in request.text) for request in provider.requests]
    assert seen == [(True, False), (False, True)] * 2
    assert "alice first" in provider.requests[2].text, "his own history is there"


async def test_TL203_shared_context(provider, model, serve, text_of):
    provider.use(slow_echo())

    def leaky(context: Any = BufferedChatCompletionContext(10)) -> AssistantAgent:  # noqa: B008 - the hazard
        return AssistantAgent("support", model(), model_context=context)

    async with asyncio.timeout(20):
        await leaky().run(task="secret001")
        await leaky().run(task="secret002")
    assert "secret001" in provider.requests[1].text

    with pytest.raises(AppError, match="TL203"):
        async with serve(leaky):
            pass

    provider.clear()

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), model_context=BufferedChatCompletionContext(10))

    async with serve(support) as served:
        await served.ask("secret001")
        await served.ask("secret002")
    assert "secret001" not in provider.requests[1].text


def roles(request: Any) -> list[str]:
    return [message["role"] for message in request.body["messages"]]


async def test_TL204_overlapping_runs(provider, model, serve, text_of):
    provider.use(slow_echo())
    agent = AssistantAgent("support", model(), system_message=None)
    async with asyncio.timeout(20):
        await asyncio.gather(*(agent.run(task=f"message {n}") for n in range(5)))
    assert provider.peak_running > 1
    assert any(roles(request)[-2:] == ["user", "user"] for request in provider.requests), "sent before the answer"

    provider.clear()

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), system_message=None)

    async with serve(support) as served:
        conversation = await served.conversation()
        answers = await asyncio.gather(*(served.ask(f"message {n}", conversation=conversation) for n in range(5)))
    assert provider.peak_running == 1
    assert [roles(request) for request in provider.requests] == [
        ["user", "assistant"] * n + ["user"] for n in range(5)
    ]
    assert [text_of(answer) for answer in answers] == [f"you said message {n}" for n in range(5)]


async def test_TL205_agent_in_two_teams(provider, model, serve):
    provider.use(slow_echo())
    expert = AssistantAgent("expert", model())
    async with asyncio.timeout(20):
        await RoundRobinGroupChat([expert], max_turns=1).run(task="secret001")
        await RoundRobinGroupChat([expert], max_turns=1).run(task="secret002")
    assert "secret001" in provider.requests[1].text

    def company() -> RoundRobinGroupChat:
        expert = AssistantAgent("expert", model())
        teams: list[Any] = [RoundRobinGroupChat([expert], name=name, max_turns=1) for name in ("red", "blue")]
        return RoundRobinGroupChat(teams, max_turns=2)

    with pytest.raises(AppError, match="TL205"):
        async with serve(company):
            pass


async def test_TL206_unkeyed_state_file(provider, model, serve, tmp_path, secrets_in):
    provider.use(slow_echo())
    file = tmp_path / "agent_state.json"

    async def handle(text: str) -> None:
        agent = AssistantAgent("support", model())
        if file.exists():
            await agent.load_state(json.loads(file.read_text()))
        await agent.run(task=text)
        file.write_text(json.dumps(await agent.save_state()))

    async with asyncio.timeout(20):
        for turn in range(2):
            await asyncio.gather(*(handle(f"turn {turn} of {word}") for word in SECRETS[:10]))
    kept = json.loads(file.read_text())["llm_context"]["messages"]
    assert len(kept) < 40, "messages are lost"
    assert any(len(secrets_in(request)) > 1 for request in provider.requests), "and reach other users"

    provider.clear()

    def support() -> AssistantAgent:
        return AssistantAgent("support", model())

    async with serve(support) as served:
        homes = {word: await served.conversation() for word in SECRETS[:10]}
        for turn in range(2):
            await asyncio.gather(
                *(served.ask(f"turn {turn} of {word}", conversation=home) for word, home in homes.items())
            )
        for home in homes.values():
            state = await served.server.engine.state(home)
            assert state is not None
            assert json.dumps(state).count("you said turn") == 2
    assert {len(secrets_in(request)) for request in provider.requests} == {1}
    assert sum("turn 0" in r.text and "turn 1" in r.text for r in provider.requests) == 10


async def test_TL207_poisoned_agent(provider, model, serve, text_of):
    provider.use(calls("slow"))
    reached = asyncio.Event()

    async def slow() -> str:
        """Take long."""
        reached.set()
        await asyncio.sleep(30 if len(provider.requests) == 1 else 0)
        return "fine"

    kept = AssistantAgent("support", model(max_retries=0), tools=[slow], reflect_on_tool_use=True)
    async with asyncio.timeout(20):
        run = asyncio.create_task(kept.run(task="one"))
        await reached.wait()
        run.cancel()
        await asyncio.wait({run})
        later = await asyncio.gather(kept.run(task="two"), return_exceptions=True)
        later += await asyncio.gather(kept.run(task="three"), return_exceptions=True)
    assert ["tool_calls" in str(error) for error in failures(later)] == [True, True], "400 for ever"

    provider.clear()
    reached.clear()

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), tools=[slow], reflect_on_tool_use=True)

    async with serve(support) as served:
        conversation = await served.conversation()
        first = await served.ask("one", conversation=conversation, background=True)
        await reached.wait()
        await served.http.post(f"/v1/responses/{first['id']}/cancel")
        assert (await served.ended(first["id"]))["status"] == "cancelled"
        assert text_of(await served.ask("two", conversation=conversation)) == "it is: fine"


async def test_TL207_poisoned_team(provider, model, serve, text_of):
    provider.use(slow_echo())

    def team() -> RoundRobinGroupChat:
        two = [AssistantAgent(name, model(max_retries=0)) for name in ("one", "two")]
        return RoundRobinGroupChat(list(two), max_turns=2)

    kept = team()
    provider.faults.add(Fault("unauthorized", first=1))
    async with asyncio.timeout(20):
        with pytest.raises(RuntimeError, match="AuthenticationError"):
            await kept.run(task="first")
        results = [await kept.run(task=text) for text in ("second", "third")]
    assert [result.stop_reason for result in results] == ["The group chat is stopped."] * 2
    assert {len(result.messages) for result in results} != {3}, "ended early, and nobody got an exception"

    provider.clear()
    provider.faults.clear()
    provider.faults.add(Fault("unauthorized", first=1))

    async with serve(team) as served:
        conversation = await served.conversation()
        assert (await served.fail("first", conversation=conversation))["code"] == "invalid_api_key"
        second = await served.ask("second", conversation=conversation)
    assert [item["agent"] for item in second["output"]] == ["one", "two"]
    assert "first" not in provider.requests[1].text, "the failed turn left nothing behind"


async def test_TL208_shared_callbacks(provider, model, serve):
    async def answer(request: PracticeRequest) -> Answer:
        return Answer("same words", latency=0.05)

    provider.use(answer)
    client = model()

    async def turn() -> tuple[int, int]:
        before = client.total_usage().prompt_tokens
        result = await AssistantAgent("support", client).run(task="same words")
        usage = result.messages[-1].models_usage
        assert usage is not None
        return client.total_usage().prompt_tokens - before, usage.prompt_tokens

    async with asyncio.timeout(20):
        counted = await asyncio.gather(*(turn() for _ in range(3)))
    true = counted[0][1]
    assert sum(mine for mine, _ in counted) > 3 * true, "everybody pays for the others"

    def support() -> AssistantAgent:
        return AssistantAgent("support", client)

    async with serve(support) as served:
        answers = await asyncio.gather(*(served.ask("same words") for _ in range(3)))
    assert [answer["usage"]["input_tokens"] for answer in answers] == [true] * 3
