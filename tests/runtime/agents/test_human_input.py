"""A human in the run: the turn ends asking, the answer is the next turn, and nothing is done twice (TL504)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.base import Handoff
from autogen_agentchat.conditions import HandoffTermination, MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_agentchat.tools import TeamTool

from turnlane.practice import Answer, ToolCall
from turnlane.runtime.agents.agentchat import AgentchatAdapter
from turnlane.testing.turns import Talk, user_message

from .scripts import by_name, magentic

pytestmark = pytest.mark.anyio


class NoStdin:
    """Fails the test when anybody reads the keyboard."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("stdin was read")


@pytest.fixture(autouse=True)
def no_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", NoStdin())


@pytest.fixture
def agent(client: Any) -> Callable[..., AssistantAgent]:
    def make(name: str, **options: Any) -> AssistantAgent:
        options = {"system_message": name, "description": f"the {name}", **options}
        return AssistantAgent(name, client(), **options)

    return make


def human(name: str = "human") -> UserProxyAgent:
    return UserProxyAgent(name, description="a person")


class TestUserProxy:
    async def test_in_a_round_robin(self, talk, agent, provider):
        provider.use(by_name)
        conversation = talk(lambda: RoundRobinGroupChat([agent("ann"), human(), agent("bob")], max_turns=3))
        first = await conversation.say("red")
        assert [item["type"] for item in first.output] == ["message", "input.required"]
        assert (first.question["agent"], first.question["reason"]) == ("human", "user_proxy")
        assert first.question["prompt"]
        assert [event.kind for event in first.events][-1] == "input.required"
        second = await conversation.say("green")
        assert [who for who, _ in second.said] == ["bob"]
        assert [data["agent"] for data in second.data("message")] == ["bob"]
        assert provider.received == 2, "ann was asked again"
        assert second.usage.model_calls == 1
        assert [m["content"] for m in provider.requests[1].body["messages"][1:]] == [
            "red",
            first.answer,
            "green",
        ]
        third = await conversation.say("blue")
        assert [who for who, _ in third.said] == ["ann"]
        assert third.question is not None
        assert "green" in provider.requests[2].text

    async def test_also_after_a_restart_and_with_another_adapter(self, adapter, agent, provider):
        provider.use(by_name)

        def build():
            return RoundRobinGroupChat([agent("ann"), human(), agent("bob")], max_turns=3)

        before = Talk(adapter, build)
        await before.say("red")
        after = Talk(AgentchatAdapter(), build, state=json.dumps(json.loads(before.state)))
        ended = await after.say("green")
        assert [who for who, _ in ended.said] == ["bob"]
        assert provider.received == 2

    async def test_several_questions_in_one_run(self, talk, agent, provider):
        provider.use(by_name)
        conversation = talk(
            lambda: RoundRobinGroupChat(
                [agent("ann"), human()], termination_condition=TextMentionTermination("enough", sources=["human"])
            )
        )
        first = await conversation.say("red")
        second = await conversation.say("green")
        third = await conversation.say("blue")
        for ended in (first, second, third):
            assert [item["type"] for item in ended.output] == ["message", "input.required"]
        assert provider.received == 3
        texts = [m["content"] for m in provider.requests[2].body["messages"][1:]]
        assert texts == ["red", first.answer, "green", second.answer, "blue"]
        last = await conversation.say("enough")
        assert last.question is None
        assert provider.received == 3
        # The state now holds the whole run, and is an ordinary one again.
        assert json.loads(conversation.state)["data"]["agent"] is not None
        await conversation.say("more")
        assert "enough" in provider.requests[3].text

    async def test_in_a_selector(self, talk, agent, client, provider):
        picks = iter(["ann", "human", "bob"])

        def script(request):
            return next(picks) if "pick one" in request.system + request.user_message else by_name(request)

        provider.use(script)
        conversation = talk(
            lambda: SelectorGroupChat(
                [agent("ann"), human(), agent("bob")],
                model_client=client(),
                selector_prompt="{roles} {history} pick one of {participants}",
                max_turns=3,
            )
        )
        first = await conversation.say("red")
        assert first.question["agent"] == "human"
        assert provider.received == 3
        second = await conversation.say("green")
        assert [who for who, _ in second.said] == ["bob"]
        assert provider.received == 5
        assert "green" in provider.requests[-1].text

    async def test_in_a_swarm(self, talk, agent, provider):
        def script(request):
            if request.tools and "green" not in request.user_message:
                return Answer(tool_calls=[ToolCall("transfer_to_human")])
            return by_name(request)

        provider.use(script)
        conversation = talk(
            lambda: Swarm(
                [agent("ann", handoffs=["human"]), human()], termination_condition=MaxMessageTermination(4)
            )
        )
        first = await conversation.say("red")
        assert first.question["agent"] == "human"
        assert "ann" in first.question["prompt"]
        second = await conversation.say("green")
        assert [who for who, _ in second.said] == ["ann"]
        assert "green" in second.answer
        assert provider.received == 2

    async def test_in_a_nested_team(self, talk, agent, provider):
        provider.use(by_name)

        def build():
            inner = RoundRobinGroupChat([agent("ann"), human()], max_turns=2, name="inner")
            return RoundRobinGroupChat([agent("eve"), inner, agent("bob")], max_turns=3)

        conversation = talk(build)
        first = await conversation.say("red")
        assert [who for who, _ in first.said] == ["eve", "ann"]
        assert first.question["agent"] == "human"
        second = await conversation.say("green")
        assert [who for who, _ in second.said] == ["bob"]
        assert provider.received == 3
        assert "green" in provider.requests[-1].text

    async def test_in_a_team_that_is_a_tool(self, talk, agent, client, provider):
        def script(request):
            if request.tools and not request.tool_results and "boss" in request.system:
                return Answer(tool_calls=[ToolCall("crew", {"task": request.user_message})])
            return by_name(request)

        provider.use(script)

        def build():
            crew = RoundRobinGroupChat([agent("ann"), human()], max_turns=2)
            tool = TeamTool(crew, name="crew", description="works")
            return agent("boss", tools=[tool], reflect_on_tool_use=True)

        conversation = talk(build)
        first = await conversation.say("red")
        assert first.question is not None
        assert provider.received == 2
        second = await conversation.say("green")
        assert [who for who, _ in second.said] == ["boss"]
        assert second.question is None
        assert provider.received == 3
        assert "green" in provider.requests[-1].text

    async def test_in_magentic_one(self, talk, client, provider):
        provider.use(lambda request: magentic(request, speaker="human"))
        conversation = talk(
            lambda: MagenticOneGroupChat([AssistantAgent("worker", client()), human()], model_client=client())
        )
        first = await conversation.say("dig")
        assert first.question["agent"] == "human"
        asked = provider.received
        second = await conversation.say("I have worked")
        assert second.answer == "the final answer"
        assert provider.received == asked + 2  # a new progress ledger, and the final answer
        assert "I have worked" in provider.requests[-1].text

    async def test_beside_a_parallel_branch(self, talk, agent, provider):
        provider.use(by_name)

        def build():
            start, left, person, join = agent("start"), agent("left"), human(), agent("join")
            builder = DiGraphBuilder()
            for node in (start, left, person, join):
                builder.add_node(node)
            builder.add_edge(start, left).add_edge(start, person).add_edge(left, join).add_edge(person, join)
            return GraphFlow(builder.get_participants(), builder.build())

        conversation = talk(build)
        first = await conversation.say("red")
        assert first.question["agent"] == "human"
        second = await conversation.say("green")
        assert second.said[-1][0] == "join"
        assert "green" in provider.requests[-1].text
        assert [r.body["messages"][0]["content"] for r in provider.requests].count("start") == 1

    async def test_tools_of_before_the_question_are_not_run_again(self, talk, agent, provider):
        paid: list[str] = []

        def pay(invoice: str) -> str:
            """Pay an invoice."""
            paid.append(invoice)
            return f"paid {invoice}"

        def script(request):
            if "ann" in request.system and request.tools and not request.tool_results:
                return Answer(tool_calls=[ToolCall("pay", {"invoice": "7"})])
            return by_name(request)

        provider.use(script)
        conversation = talk(
            lambda: RoundRobinGroupChat(
                [agent("ann", tools=[pay], reflect_on_tool_use=True), human(), agent("bob")], max_turns=3
            )
        )
        first = await conversation.say("pay invoice 7")
        assert [item["type"] for item in first.output] == ["tool", "message", "input.required"]
        second = await conversation.say("yes, that was right")
        assert [item["type"] for item in second.output] == ["message"]
        assert paid == ["7"]
        assert provider.received == 3

    async def test_an_answer_by_the_id_of_the_call(self, talk, agent, provider):
        provider.use(by_name)
        conversation = talk(lambda: RoundRobinGroupChat([human(), agent("bob")], max_turns=2))
        first = await conversation.say("red")
        reply = {
            "type": "function_call_output",
            "id": "msg_1",
            "call_id": first.question["call"],
            "output": "green",
        }
        ended = await conversation.say([reply])
        assert "green" in ended.answer

    async def test_an_own_input_function_is_not_called(self, talk, agent, provider):
        def ask(prompt: str) -> str:
            raise AssertionError("the terminal was asked")

        provider.use(by_name)
        ended = await talk(
            lambda: RoundRobinGroupChat([UserProxyAgent("human", input_func=ask)], max_turns=1)
        ).say("x")
        assert ended.question is not None

    async def test_alone(self, talk):
        conversation = talk(human)
        first = await conversation.say("red")
        assert first.question["agent"] == "human"
        second = await conversation.say("green")
        assert second.question is None

    async def test_a_question_leaves_no_failure_behind(self, talk, agent, provider):
        ended = await talk(lambda: RoundRobinGroupChat([human()], max_turns=1)).say("red")
        assert ended.run.failure is None


class TestHandoffToAUser:
    async def test_of_one_agent_alone(self, talk, client, provider):
        def script(request):
            if request.user_message == "red":
                return Answer(tool_calls=[ToolCall("transfer_to_user")])
            return by_name(request)

        provider.use(script)
        conversation = talk(
            lambda: AssistantAgent(
                "ann", client(), handoffs=[Handoff(target="user", message="what colour?")], system_message="ann"
            )
        )
        first = await conversation.say("red")
        assert [item["type"] for item in first.output] == ["tool", "message", "input.required"]
        assert (first.question["reason"], first.question["prompt"]) == ("handoff", "what colour?")
        assert first.answer == "what colour?"
        second = await conversation.say("green")
        assert second.question is None
        assert second.answer == "ann saw red .. green"

    async def test_of_a_swarm_goes_on_with_plain_text(self, talk, agent, provider):
        def script(request):
            offered = request.tools
            if "transfer_to_expert" in offered and request.user_message == "red":
                return Answer(tool_calls=[ToolCall("transfer_to_expert")])
            if "transfer_to_user" in offered and "colour is" not in request.user_message:
                return Answer(tool_calls=[ToolCall("transfer_to_user")])
            return by_name(request)

        provider.use(script)
        conversation = talk(
            lambda: Swarm(
                [agent("desk", handoffs=["expert"]), agent("expert", handoffs=["user", "desk"])],
                termination_condition=HandoffTermination("user") | MaxMessageTermination(8),
            )
        )
        first = await conversation.say("red")
        assert (first.question["agent"], first.question["reason"]) == ("expert", "handoff")
        second = await conversation.say("the colour is green")
        assert second.question is None
        assert second.said[0][0] == "expert"
        assert "green" in second.answer

    async def test_an_answered_handoff_is_not_answered_twice(self, talk, agent, provider):
        """The turn after the answer goes to whoever speaks then, not back to the one who once asked."""

        def script(request):
            if request.system == "desk":
                if request.user_message == "red":
                    return Answer(tool_calls=[ToolCall("transfer_to_user")])
                if request.tools and request.user_message == "green":
                    return Answer(tool_calls=[ToolCall("transfer_to_expert")])
            return by_name(request)

        provider.use(script)
        conversation = talk(
            lambda: Swarm(
                [agent("desk", handoffs=["user", "expert"]), agent("expert")],
                termination_condition=HandoffTermination("user") | TextMentionTermination("expert saw"),
            )
        )
        assert (await conversation.say("red")).question is not None
        assert (await conversation.say("green")).said[-1][0] == "expert"
        third = await conversation.say("blue")
        assert [who for who, _ in third.said] == ["expert"]

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    @pytest.mark.parametrize("alone", [False, True], ids=["swarm", "alone"])
    async def test_the_text_beside_the_handoff_is_the_question(self, talk, agent, provider, stream, alone):
        def script(request):
            if "order 7" not in request.user_message:
                return Answer("Which order is it?", tool_calls=[ToolCall("transfer_to_user")])
            return by_name(request)

        provider.use(script)

        def build():
            desk = agent("desk", handoffs=["user"], model_client_stream=stream)
            ends = HandoffTermination("user") | MaxMessageTermination(8)
            return desk if alone else Swarm([desk], termination_condition=ends)

        conversation = talk(build)
        first = await conversation.say("I want my money back")
        assert [item["type"] for item in first.output] == ["message", "tool", "input.required"]
        assert first.said == [("desk", "Which order is it?")]
        assert first.output[0]["phase"] == "final_answer"
        assert first.question["prompt"] == "Which order is it?"
        assert not first.data("reasoning")
        assert [d["text"] for d in first.data("message")] == ["Which order is it?"]
        second = await conversation.say("order 7")
        assert second.question is None
        assert "order 7" in second.answer

    async def test_a_handoff_s_own_message_is_the_question(self, talk, client, provider):
        provider.use(lambda request: Answer("One moment.", tool_calls=[ToolCall("transfer_to_user")]))
        handoff = Handoff(target="user", message="what colour?")
        ended = await talk(lambda: AssistantAgent("ann", client(), handoffs=[handoff])).say("red")
        assert ended.question["prompt"] == "what colour?"
        assert ended.said == [("ann", "One moment."), ("ann", "what colour?")]


class TestItemsAddedWhileAQuestionWaits:
    """Nothing that users add is dropped: the agent reads it before its next input."""

    async def test_they_come_with_the_turn_after_the_answer(self, talk, agent, provider):
        provider.use(by_name)
        conversation = talk(lambda: RoundRobinGroupChat([agent("ann"), human(), agent("bob")], max_turns=3))
        await conversation.say("red")
        await conversation.say("green", items=[user_message("I moved to Paris")])
        assert not provider.prompts_containing("Paris")
        await conversation.say("blue", items=[user_message("and it rains")])
        heard = [m["content"] for m in provider.requests[-1].body["messages"]]
        assert heard[-3:] == ["I moved to Paris", "and it rains", "blue"]
        await conversation.say("white")
        assert str(provider.requests[-1].body).count("Paris") == 1

    async def test_also_through_several_questions(self, talk, agent, provider):
        provider.use(by_name)
        conversation = talk(
            lambda: RoundRobinGroupChat(
                [agent("ann"), human()], termination_condition=TextMentionTermination("enough", sources=["human"])
            )
        )
        await conversation.say("red")
        await conversation.say("green", items=[user_message("first fact")])
        await conversation.say("enough", items=[user_message("second fact")])
        await conversation.say("blue")
        heard = [m["content"] for m in provider.requests[-1].body["messages"]]
        assert heard[-3:] == ["first fact", "second fact", "blue"]

    async def test_of_an_agent_that_asks_no_human_any_more(self, talk, client, agent, provider):
        provider.use(by_name)
        conversation = talk(lambda: RoundRobinGroupChat([human(), agent("bob")], max_turns=2))
        await conversation.say("red")
        conversation.factory = lambda: RoundRobinGroupChat([agent("human"), agent("bob")], max_turns=2)
        await conversation.say("green", items=[user_message("I moved to Paris")])
        heard = [m["content"] for m in provider.requests[0].body["messages"]]
        assert heard[1:] == ["red", "I moved to Paris", "green"]

    async def test_of_a_swarm_that_handed_over_to_a_user(self, talk, agent, provider):
        def script(request):
            if request.user_message == "red":
                return Answer(tool_calls=[ToolCall("transfer_to_user")])
            return by_name(request)

        provider.use(script)
        conversation = talk(
            lambda: Swarm(
                [agent("desk", handoffs=["user"])],
                termination_condition=HandoffTermination("user") | TextMentionTermination("desk saw"),
            )
        )
        await conversation.say("red")
        developer = user_message("be terse", role="developer")
        await conversation.say([developer, user_message("green")], items=[user_message("I moved to Paris")])
        heard = [m["content"] for m in provider.requests[-1].body["messages"] if m["role"] == "user"]
        assert heard[-3:] == ["I moved to Paris", "be terse", "green"]
