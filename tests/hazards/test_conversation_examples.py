"""TL2xx: each bad example shows what its page says was seen, each good one keeps conversations apart."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest


def run(scenario: Any) -> Any:
    return asyncio.run(scenario())


def test_tl201_users_of_one_agent_read_each_other(provider, examples) -> None:
    module = examples.bad("TL201")
    provider.delay = 0.05

    async def scenario() -> list[str]:
        users = [module.chat(f"I am user {number}") for number in range(5)]
        answers = await asyncio.gather(*users)
        await module.agent._model_client.close()
        return answers

    answers = run(scenario)
    assert len(answers) == 5  # nobody gets an exception
    assert (
        sum(len(texts) > 1 for texts in provider.user_texts()) >= 3
    )  # all but one or two carry other users' text


def test_tl201_with_a_tool_all_fail_and_the_agent_stays_broken(provider, examples, model, documented) -> None:
    from autogen_agentchat.agents import AssistantAgent

    async def order() -> str:
        """Look up an order."""
        await asyncio.sleep(0.02)
        return "shipped"

    async def scenario() -> list[Any]:
        async with model() as client:
            agent = AssistantAgent("support", client, tools=[order])
            provider.calls_then("order")
            provider.delay = 0.02
            users = [agent.run(task=f"I am user {number}") for number in range(5)]
            crowd = await asyncio.gather(*users, return_exceptions=True)
            (later,) = await asyncio.gather(agent.run(task="alone now"), return_exceptions=True)
            return [later, *(outcome for outcome in crowd if isinstance(outcome, BaseException))]

    later, *failed = run(scenario)
    assert documented("TL201", later)
    assert all(documented("TL201", error) for error in failed)


def test_tl201_a_team_refuses(provider, model, documented) -> None:
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.teams import RoundRobinGroupChat

    async def scenario() -> list[Any]:
        async with model() as client:
            team = RoundRobinGroupChat([AssistantAgent("support", client)], max_turns=1)
            return await asyncio.gather(team.run(task="a"), team.run(task="b"), return_exceptions=True)

    provider.delay = 0.05
    (refused,) = [outcome for outcome in run(scenario) if isinstance(outcome, Exception)]
    assert documented("TL201", refused)
    assert documented("TL204", refused)
    assert documented("TL402", refused)


def test_tl201_an_agent_per_turn_keeps_users_apart_and_remembers(provider, examples, serving) -> None:
    async def scenario() -> None:
        async with serving(examples.good("TL201")) as module:
            for turn in ("first", "second"):
                users = [module.chat(f"c{number}", f"{turn} of {number}") for number in range(5)]
                assert len(await asyncio.gather(*users)) == 5

    provider.delay = 0.02
    run(scenario)
    for texts in provider.user_texts():
        assert len({text.split()[-1] for text in texts}) == 1  # one user's text only
    assert sorted(len(texts) for texts in provider.user_texts()) == [1] * 5 + [2] * 5


def test_tl202_one_history_for_all(provider, examples, model) -> None:
    module = examples.bad("TL202")

    async def scenario() -> None:
        async with model() as client:
            await module.chat("alice: code 1234", client)
            await module.chat("bob: hello", client)

    run(scenario)
    assert provider.user_texts()[1] == ["alice: code 1234", "bob: hello"]


def test_tl202_a_history_each(provider, examples, model) -> None:
    module = examples.good("TL202")

    async def scenario() -> None:
        async with model() as client:
            await module.chat("a", "alice: code 1234", client)
            await module.chat("b", "bob: hello", client)
            await module.chat("a", "alice: again", client)

    run(scenario)
    assert provider.user_texts()[1:] == [["bob: hello"], ["alice: code 1234", "alice: again"]]


def test_tl203_one_context_and_one_counter(provider, examples, model, documented) -> None:
    module = examples.bad("TL203")

    async def scenario() -> list[Any]:
        async with model() as client:
            await module.support(client).run(task="alice: code 1234")
            await module.support(client).run(task="bob: hello")
            provider.delay = 0.05
            teams = [module.pair(client).run(task=task) for task in ("x", "y")]
            return await asyncio.gather(*teams)

    results = run(scenario)
    assert provider.user_texts()[1] == ["alice: code 1234", "bob: hello"]
    assert any(documented("TL203", result.stop_reason) for result in results)
    assert min(len(result.messages) for result in results) < 3  # ended by the other team's messages


def test_tl203_made_in_the_factory(provider, examples, model) -> None:
    module = examples.good("TL203")

    async def scenario() -> list[Any]:
        async with model() as client:
            await module.support(client).run(task="alice: code 1234")
            await module.support(client).run(task="bob: hello")
            return await asyncio.gather(*(module.pair(client).run(task=task) for task in ("x", "y")))

    results = run(scenario)
    assert provider.user_texts()[1] == ["bob: hello"]
    assert [len(result.messages) for result in results] == [3, 3]


@pytest.mark.parametrize(("kind", "most"), [("bad", 3), ("good", 1)])
def test_tl204_questions_in_one_request(provider, examples, model, kind: str, most: int) -> None:
    module = getattr(examples, kind)("TL204")
    provider.delay = 0.05

    async def scenario() -> list[str]:
        async with model() as client:
            return await module.answer_all(["a", "b", "c"], client)

    assert len(run(scenario)) == 3
    assert max(len(texts) for texts in provider.user_texts()) == most


@pytest.mark.parametrize(("kind", "leaks"), [("bad", True), ("good", False)])
def test_tl205_a_writer_in_two_teams(provider, examples, model, kind: str, leaks: bool) -> None:
    module = getattr(examples, kind)("TL205")

    async def scenario() -> None:
        async with model() as client:
            drafts, letters = module.build(client)
            await drafts.run(task="Alice's draft")
            await letters.run(task="Bob's letter")

    run(scenario)
    assert ("Alice's draft" in provider.user_texts()[2]) is leaks


def test_tl206_one_file_for_all(provider, examples, model, tmp_path) -> None:
    module = examples.bad("TL206")
    module.STATE = tmp_path / "agent_state.json"
    provider.delay = 0.03

    async def scenario() -> None:
        async with model() as client:
            await module.chat("alice: code 1234", client)
            await asyncio.gather(*(module.chat(f"user {number}", client) for number in range(5)))

    run(scenario)
    assert all("alice: code 1234" in texts for texts in provider.user_texts()[1:])
    kept = json.loads(module.STATE.read_text())["llm_context"]["messages"]
    assert len(kept) == 4  # of 12: the last one to save wins


def test_tl206_a_versioned_row_each(provider, examples, model, tmp_path) -> None:
    module = examples.good("TL206")
    store = module.Conversations(str(tmp_path / "conversations.db"))

    async def scenario() -> list[Any]:
        async with model() as client:
            await module.chat("a", "alice: code 1234", client, store)
            await module.chat("b", "bob: hello", client, store)
            await module.chat("a", "alice: again", client, store)
            provider.delay = 0.05
            twice = [module.chat("a", text, client, store) for text in ("one", "two")]
            return await asyncio.gather(*twice, return_exceptions=True)

    outcomes = run(scenario)
    assert provider.user_texts()[1:3] == [["bob: hello"], ["alice: code 1234", "alice: again"]]
    assert [type(outcome).__name__ for outcome in outcomes].count("Overtaken") == 1
    assert store.load("a")[0] == 3


async def slow() -> str:
    """Take long."""
    await asyncio.sleep(5)
    return "late"


def test_tl207_a_kept_agent_is_broken_for_good(provider, examples, model, documented) -> None:
    from autogen_agentchat.agents import AssistantAgent

    provider.calls_then("slow")

    async def scenario() -> tuple[list[str], BaseException]:
        async with model() as client:
            session = examples.bad("TL207").Session(AssistantAgent("support", client, tools=[slow]), 0.5)
            said = [await session.say(text) for text in ("first", "second", "third")]
            with pytest.raises(Exception, match="tool_call") as error:
                await session.agent.run(task="fourth")
            return said, error.value

    said, error = run(scenario)
    assert said == ["Sorry, please try again."] * 3
    assert documented("TL207", error)


def test_tl207_a_dropped_agent_does_no_harm(provider, examples, model) -> None:
    from autogen_agentchat.agents import AssistantAgent

    async def scenario() -> list[str]:
        async with model() as client:
            session = examples.good("TL207").Session(lambda: AssistantAgent("support", client, tools=[slow]), 0.5)
            said = [await session.say("hello")]
            script, provider.script = provider.script, lambda messages: provider.say(calls=(("slow", {}),))
            said.append(await session.say("too slow"))
            provider.script = script
            return [*said, await session.say("again")]

    assert run(scenario) == ["You said: hello", "Sorry, please try again.", "You said: again"]
    assert provider.user_texts()[-1] == ["hello", "again"]


def test_tl207_a_team_after_a_provider_error(provider, model, documented) -> None:
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.conditions import MaxMessageTermination
    from autogen_agentchat.teams import RoundRobinGroupChat

    async def scenario() -> list[Any]:
        async with model() as client:

            def build() -> RoundRobinGroupChat:
                agents = [AssistantAgent("support", client)]
                return RoundRobinGroupChat(agents, termination_condition=MaxMessageTermination(2))

            team = build()
            script, provider.script = provider.script, lambda messages: provider.say(status=500)
            with pytest.raises(RuntimeError, match="500"):
                await team.run(task="first")
            provider.script = script
            early = await team.run(task="second")
            await team.reset()
            stopped = await team.run(task="third")
            fresh = build()
            await fresh.load_state(await team.save_state())
            return [early, stopped, await fresh.run(task="fourth")]

    early, stopped, fresh = run(scenario)
    assert [message.to_text() for message in early.messages] == ["second"]
    assert documented("TL207", stopped.stop_reason)
    assert fresh.messages[-1].to_text() == "You said: fourth"


@pytest.mark.parametrize(("kind", "counted"), [("bad", [10, 20, 30]), ("good", [10, 10, 10])])
def test_tl208_tokens_of_parallel_turns(provider, examples, model, kind: str, counted: list[int]) -> None:
    module = getattr(examples, kind)("TL208")
    provider.delay = 0.05

    async def scenario() -> list[tuple[str, int]]:
        async with model() as client:
            return await asyncio.gather(*(module.turn(text, client) for text in "abc"))

    assert sorted(used for _, used in run(scenario)) == counted
