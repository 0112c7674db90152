"""Teams: each kind answers, remembers after its state went through JSON, and crosses the boundary everywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import (
    HandoffTermination,
    MaxMessageTermination,
    SourceMatchTermination,
    TextMentionTermination,
)
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane.practice import Answer, ToolCall

from .scripts import by_name, magentic

pytestmark = pytest.mark.anyio


class Agents:
    """Makes named agents that share a client, as factories do."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __call__(self, name: str, **options: Any) -> AssistantAgent:
        model: OpenAIChatCompletionClient = self._client()
        options = {"system_message": name, **options}
        return AssistantAgent(name, model, description=f"the {name}", **options)


@pytest.fixture
def agent(client: Any) -> Agents:
    return Agents(client)


class TestRoundRobin:
    async def test_speakers_take_turns_and_the_state_goes_on(self, talk, agent, provider):
        provider.use(by_name)
        conversation = talk(lambda: RoundRobinGroupChat([agent("ann"), agent("bob")], max_turns=3))
        first = await conversation.say("red")
        assert [who for who, _ in first.said] == ["ann", "bob", "ann"]
        assert [item["phase"] for item in first.output] == ["commentary", "commentary", "final_answer"]
        assert first.usage.model_calls == 3
        second = await conversation.say("blue")
        assert [who for who, _ in second.said] == ["bob", "ann", "bob"]
        assert "red" in second.said[0][1]

    async def test_what_the_user_says_does_not_come_back(self, talk, agent, provider):
        provider.use(by_name)
        ended = await talk(lambda: RoundRobinGroupChat([agent("ann")], max_turns=1)).say("red")
        assert [data["agent"] for data in ended.data("message")] == ["ann"]

    async def test_deltas_of_a_team_belong_to_their_speakers(self, talk, agent, provider):
        provider.use(by_name)
        team = lambda: RoundRobinGroupChat(  # noqa: E731
            [agent("ann", model_client_stream=True), agent("bob", model_client_stream=True)], max_turns=2
        )
        ended = await talk(team).say("red")
        for message in ended.items("message"):
            deltas = [d for d in ended.data("text.delta") if d["item"] == message["item"]]
            assert {d["agent"] for d in deltas} == {message["agent"]}
            assert "".join(d["text"] for d in deltas) == message["text"]

    async def test_a_mention_ends_it_on_each_turn(self, talk, agent, provider):
        provider.use(lambda request: "all DONE" if "bob" in request.system else "go on")
        conversation = talk(
            lambda: RoundRobinGroupChat(
                [agent("ann"), agent("bob")],
                termination_condition=TextMentionTermination("DONE") | MaxMessageTermination(20),
            )
        )
        assert [who for who, _ in (await conversation.say("red")).said] == ["ann", "bob"]
        assert [who for who, _ in (await conversation.say("blue")).said] == ["ann", "bob"]


class TestSelector:
    async def test_the_selector_s_client_crosses_the_boundary(self, talk, agent, client, provider):
        def script(request):
            return "bob" if "pick one" in request.system + request.user_message else by_name(request)

        provider.use(script)
        conversation = talk(
            lambda: SelectorGroupChat(
                [agent("ann"), agent("bob"), agent("cid")],
                model_client=client(),
                selector_prompt="{roles} {history} pick one of {participants}",
                allow_repeated_speaker=True,
                max_turns=1,
            )
        )
        ended = await conversation.say("red")
        assert [who for who, _ in ended.said] == ["bob"]
        assert ended.usage.model_calls == 2
        assert provider.received == 2
        again = await conversation.say("blue")
        assert "red" in again.answer
        assert again.usage.model_calls == 2

    async def test_a_streaming_selector_is_not_a_message_of_the_team(self, talk, agent, client, provider):
        provider.use(lambda request: "bob" if "pick one" in request.system + request.user_message else "hello")
        ended = await talk(
            lambda: SelectorGroupChat(
                [agent("ann"), agent("bob")],
                model_client=client(),
                selector_prompt="{roles} {history} pick one of {participants}",
                max_turns=1,
                model_client_streaming=True,
            )
        ).say("red")
        assert ended.said == [("bob", "hello")]
        assert ended.usage.model_calls == 2


class TestSwarm:
    async def test_handoffs_are_events_and_the_last_speaker_goes_on(self, talk, agent, provider):
        def script(request):
            if request.system == "desk" and request.tools:
                return Answer(tool_calls=[ToolCall("transfer_to_expert")])
            return by_name(request)

        provider.use(script)
        conversation = talk(
            lambda: Swarm(
                [agent("desk", handoffs=["expert"]), agent("expert")],
                termination_condition=SourceMatchTermination(["expert"]),
            )
        )
        first = await conversation.say("red")
        assert [(h["agent"], h["target"]) for h in first.data("handoff")] == [("desk", "expert")]
        assert [who for who, _ in first.said] == ["expert"]
        assert first.question is None
        second = await conversation.say("blue")
        assert [who for who, _ in second.said] == ["expert"]
        assert "red" in second.answer
        assert second.usage.model_calls == 1


class TestGraphFlow:
    def build(self, agent, *, names, edges):
        builder = DiGraphBuilder()
        nodes = {name: agent(name) for name in names}
        for node in nodes.values():
            builder.add_node(node)
        for source, target, *condition in edges:
            builder.add_edge(nodes[source], nodes[target], *condition)
        return builder

    async def test_in_sequence(self, talk, agent, provider):
        provider.use(by_name)

        def team():
            builder = self.build(agent, names=["ann", "bob"], edges=[("ann", "bob")])
            return GraphFlow(builder.get_participants(), builder.build())

        conversation = talk(team)
        assert [who for who, _ in (await conversation.say("red")).said] == ["ann", "bob"]
        second = await conversation.say("blue")
        assert [who for who, _ in second.said] == ["ann", "bob"]
        assert "red" in second.said[0][1]

    async def test_in_parallel(self, talk, agent, provider):
        provider.use(by_name)

        def team():
            edges = [("start", "left"), ("start", "right"), ("left", "join"), ("right", "join")]
            builder = self.build(agent, names=["start", "left", "right", "join"], edges=edges)
            return GraphFlow(builder.get_participants(), builder.build())

        conversation = talk(team)
        first = await conversation.say("red")
        assert sorted(who for who, _ in first.said) == ["join", "left", "right", "start"]
        assert first.said[-1][0] == "join"
        assert {call["agent"] for call in first.data("model.call")} == {"start", "left", "right", "join"}
        second = await conversation.say("blue")
        assert "red" in second.said[0][1]

    async def test_a_loop_with_conditions(self, talk, agent, provider):
        def script(request):
            if request.system != "critic":
                return "a draft" if request.system == "writer" else "done"
            drafts = sum("draft" in text for text in request.user_messages)
            return "APPROVE" if drafts % 2 == 0 else "REVISE"

        provider.use(script)

        def team():
            builder = DiGraphBuilder()
            writer, critic, done = agent("writer"), agent("critic"), agent("done")
            builder.add_node(writer).add_node(critic).add_node(done)
            builder.add_edge(writer, critic)
            builder.add_edge(critic, writer, condition=lambda m: "REVISE" in m.to_model_text())
            builder.add_edge(critic, done, condition=lambda m: "APPROVE" in m.to_model_text())
            builder.set_entry_point(writer)
            return GraphFlow(
                builder.get_participants(), builder.build(), termination_condition=MaxMessageTermination(20)
            )

        conversation = talk(team)
        first = await conversation.say("red")
        assert [who for who, _ in first.said][:5] == ["writer", "critic", "writer", "critic", "done"]
        second = await conversation.say("blue")
        assert [who for who, _ in second.said][:5] == ["writer", "critic", "writer", "critic", "done"]


class TestMagenticOne:
    async def test_it_plans_works_and_answers_on_each_turn(self, talk, agent, client, provider):
        provider.use(magentic)
        conversation = talk(lambda: MagenticOneGroupChat([agent("worker")], model_client=client()))
        first = await conversation.say("dig a hole")
        assert first.answer == "the final answer"
        assert "worker" in [who for who, _ in first.said]
        assert first.usage.model_calls == provider.received
        assert "dig a hole" not in [text for _, text in first.said]
        # It begins anew with each task, by its own design: facts and plan are of the task at hand.
        second = await conversation.say("fill it")
        assert second.answer == "the final answer"
        assert provider.prompts_containing("fill it")


class TestNestedTeams:
    async def test_a_team_in_a_team(self, talk, agent, provider):
        provider.use(by_name)

        def team():
            inner = RoundRobinGroupChat(
                [agent("ann"), agent("bob")], max_turns=2, name="inner", description="the inner team"
            )
            return RoundRobinGroupChat([inner, agent("cid")], max_turns=2)

        conversation = talk(team)
        first = await conversation.say("red")
        assert [who for who, _ in first.said] == ["ann", "bob", "cid"]
        assert first.usage.model_calls == 3
        second = await conversation.say("blue")
        assert [who for who, _ in second.said] == ["ann", "bob", "cid"]
        assert all("red" in text for _, text in second.said)
        assert "inner: autogen_agentchat.RoundRobinGroupChat(ann, bob)" in json.loads(conversation.state)["kind"]

    async def test_a_provider_error_in_an_inner_team_is_told_with_its_agent(self, talk, agent, provider):
        provider.use(lambda request: Answer(fault="unauthorized") if "bob" in request.system else "fine")

        def team():
            inner = RoundRobinGroupChat([agent("ann"), agent("bob")], max_turns=2, name="inner")
            return RoundRobinGroupChat([inner], max_turns=1)

        ended = await talk(team).fail("red")
        assert (ended.failure.kind, ended.failure.agent) == ("provider", "bob")
        assert ended.failure.code == "invalid_api_key"


async def test_a_handoff_termination_that_names_a_member_is_no_question(talk, agent, provider):
    provider.use(lambda request: Answer(tool_calls=[ToolCall("transfer_to_bob")]) if request.tools else "bob here")
    conversation = talk(
        lambda: Swarm(
            [agent("ann", handoffs=["bob"]), agent("bob")],
            termination_condition=HandoffTermination("bob") | MaxMessageTermination(5),
        )
    )
    ended = await conversation.say("red")
    assert ended.question is None
    assert (await conversation.say("blue")).answer == "bob here"


class TestWhyATeamStopped:
    async def test_is_a_note(self, talk, agent, provider):
        ended = await talk(lambda: RoundRobinGroupChat([agent("ann")], max_turns=1, name="crew")).say("red")
        [note] = ended.data("note")
        assert note == {"agent": "crew", "type": "stop_reason", "text": "Maximum number of turns 1 reached."}
        assert ended.said == [("ann", "heard: red")]

    async def test_is_the_answer_when_nobody_spoke(self, talk, agent, provider):
        ends = TextMentionTermination("APPROVE")
        team = lambda: RoundRobinGroupChat([agent("ann")], termination_condition=ends, name="crew")  # noqa: E731
        ended = await talk(team).say("please APPROVE")
        [message] = ended.items("message")
        assert (message["agent"], message["phase"]) == ("crew", "final_answer")
        assert message["text"] == "(ended without an answer: Text 'APPROVE' mentioned)"
        assert [d["item"] for d in ended.data("message")] == [message["item"]]
        assert provider.received == 0

    async def test_is_no_answer_when_a_human_is_asked(self, talk, agent, provider):
        provider.use(lambda request: Answer("Which one?", tool_calls=[ToolCall("transfer_to_user")]))
        ends = HandoffTermination("user")
        ended = await talk(lambda: Swarm([agent("ann", handoffs=["user"])], termination_condition=ends)).say("red")
        assert ended.said == [("ann", "Which one?")]
