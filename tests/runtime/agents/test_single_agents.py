"""One agent, alone: AssistantAgent with what it can be given, and users' own classes."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import pytest
from autogen_agentchat.agents import (
    AssistantAgent,
    BaseChatAgent,
    MessageFilterAgent,
    MessageFilterConfig,
    PerSourceFilter,
    SocietyOfMindAgent,
)
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, StructuredMessage, TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import CancellationToken
from autogen_core.memory import ListMemory, MemoryContent
from autogen_core.models import UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel

from turnlane.practice import Answer, Rule, ToolCall
from turnlane.runtime.agents.agentchat import AgentchatAdapter
from turnlane.testing.turns import Talk

pytestmark = pytest.mark.anyio


def orders(order: str) -> str:
    """Look an order up."""
    if order == "1":
        raise KeyError(order)
    return f"order {order} is packed"


class TestAssistantAgent:
    async def test_a_plain_agent_answers_and_remembers(self, talk, client, provider):
        conversation = talk(lambda: AssistantAgent("support", client()))
        first = await conversation.say("my word is xylophone")
        assert first.said == [("support", "heard: my word is xylophone")]
        assert [item["phase"] for item in first.output] == ["final_answer"]
        second = await conversation.say("what is it?")
        assert second.answer == "heard: what is it?"
        assert [m["content"] for m in provider.requests[1].body["messages"]] == [
            "You are a helpful AI assistant. Solve tasks using your tools. Reply with TERMINATE when the task has "
            "been completed.",
            "my word is xylophone",
            "heard: my word is xylophone",
            "what is it?",
        ]

    async def test_usage_is_counted(self, talk, client):
        ended = await talk(lambda: AssistantAgent("support", client())).say("hello")
        assert ended.usage.model_calls == 1
        assert ended.usage.input_tokens > 0
        assert ended.usage.output_tokens > 0
        [call] = ended.data("model.call")
        assert call["agent"] == "support"
        assert call["model"] == "gpt-4o-mini"
        assert call["finish_reason"] == "stop"

    async def test_tools_show_as_items_in_their_order(self, talk, client, provider):
        provider.use([Rule(call=ToolCall("orders", {"order": "7"}), say="It is packed.")])
        agent = lambda: AssistantAgent("support", client(), tools=[orders], reflect_on_tool_use=True)  # noqa: E731
        conversation = talk(agent)
        ended = await conversation.say("where is order 7?")
        assert [item["type"] for item in ended.output] == ["tool", "message"]
        tool = ended.output[0]
        assert (tool["agent"], tool["name"], json.loads(tool["arguments"])) == (
            "support",
            "orders",
            {"order": "7"},
        )
        assert (tool["output"], tool["error"]) == ("order 7 is packed", None)
        assert ended.answer == "It is packed."
        kinds = [event.kind for event in ended.events if event.kind != "model.call"]
        assert kinds == ["tool.call", "tool.result", "message"]
        assert ended.usage.model_calls == 2
        await conversation.say("thanks")
        assert "order 7 is packed" in provider.requests[-1].text

    async def test_without_reflection_the_summary_is_the_answer(self, talk, client, provider):
        provider.use([Rule(call=ToolCall("orders", {"order": "7"}), say="unused")])
        ended = await talk(lambda: AssistantAgent("support", client(), tools=[orders])).say("order 7?")
        assert ended.answer == "order 7 is packed"
        assert ended.usage.model_calls == 1

    async def test_tool_iterations_go_on_until_the_model_speaks(self, talk, client, provider):
        steps = [[ToolCall("orders", {"order": "2"})], [ToolCall("orders", {"order": "3"})]]
        provider.use([Rule(call=steps, say="both packed")])
        agent = lambda: AssistantAgent("support", client(), tools=[orders], max_tool_iterations=5)  # noqa: E731
        ended = await talk(agent).say("orders 2 and 3?")
        assert [item["type"] for item in ended.output] == ["tool", "tool", "message"]
        assert [item["output"] for item in ended.items("tool")] == ["order 2 is packed", "order 3 is packed"]
        assert ended.answer == "both packed"
        assert ended.usage.model_calls == 3

    async def test_two_calls_at_once_are_two_items(self, talk, client, provider):
        provider.use(
            [Rule(call=[[ToolCall("orders", {"order": "2"}), ToolCall("orders", {"order": "3"})]], say="x")]
        )
        agent = lambda: AssistantAgent("support", client(), tools=[orders], reflect_on_tool_use=True)  # noqa: E731
        ended = await talk(agent).say("orders 2 and 3?")
        assert [item["output"] for item in ended.items("tool")] == ["order 2 is packed", "order 3 is packed"]

    async def test_structured_output(self, talk, client, provider):
        class Mood(BaseModel):
            mood: str
            score: int

        provider.use([Rule(say='{"mood": "calm", "score": 3}')])
        conversation = talk(lambda: AssistantAgent("reader", client(), output_content_type=Mood))
        ended = await conversation.say("how do I sound?")
        [message] = ended.items("message")
        assert message["structured"] == {"mood": "calm", "score": 3}
        assert json.loads(message["text"]) == {"mood": "calm", "score": 3}
        await conversation.say("and now?")
        assert "calm" in provider.requests[-1].text

    async def test_structured_output_in_a_team(self, talk, client, provider):
        class Mood(BaseModel):
            mood: str

        provider.use([Rule(say='{"mood": "calm"}')])
        conversation = talk(
            lambda: RoundRobinGroupChat(
                [AssistantAgent("reader", client(), output_content_type=Mood)],
                max_turns=1,
                custom_message_types=[StructuredMessage[Mood]],
            )
        )
        await conversation.say("how do I sound?")
        ended = await conversation.say("and now?")
        assert ended.items("message")[0]["structured"] == {"mood": "calm"}

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    async def test_a_structured_answer_of_another_shape_is_the_provider_s_error(
        self, talk, client, provider, stream
    ):
        class Mood(BaseModel):
            mood: str
            score: int

        provider.use([Rule(say='{"mood": "calm"}')])
        ended = await talk(
            lambda: AssistantAgent("reader", client(), output_content_type=Mood, model_client_stream=stream)
        ).fail("how do I sound?")
        failure = ended.failure
        assert (failure.kind, failure.code, failure.hazard) == ("provider", "answer_malformed", "TL307")
        assert failure.agent == "reader"
        assert failure.message.startswith("the model's answer is no Mood: score: Field required")
        assert not failure.private

    async def test_also_where_the_framework_finds_it(self, talk, client, provider):
        """After a tool, or with a client that checks nothing, it is the agent itself that reads the answer."""

        class Mood(BaseModel):
            mood: str

        class Trusting(OpenAIChatCompletionClient):
            async def create(self, *args: Any, **options: Any) -> Any:
                return await super().create(*args, **{**options, "json_output": None})

        provider.use(lambda request: "I feel calm")
        ended = await talk(
            lambda: AssistantAgent(
                "reader",
                Trusting(model="gpt-4o-mini", base_url=provider.base_url, api_key="practice"),
                output_content_type=Mood,
            )
        ).fail("how do I sound?")
        failure = ended.failure
        assert (failure.kind, failure.code, failure.hazard) == ("provider", "answer_malformed", "TL307")
        assert failure.message.startswith("the model's answer is no Mood: Invalid JSON")

    async def test_structured_output_warns_of_nothing(self, client, provider):
        class Mood(BaseModel):
            mood: str

        provider.use([Rule(say='{"mood": "calm"}')])
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            adapter = AgentchatAdapter()
            talk = Talk(adapter, lambda: AssistantAgent("reader", client(), output_content_type=Mood))
            await talk.say("how do I sound?")
            await adapter.close()
            warnings.warn("Pydantic serializer warnings:\n  of another kind [field_name='x']", stacklevel=1)
        assert [str(warning.message) for warning in told] == [
            "Pydantic serializer warnings:\n  of another kind [field_name='x']"
        ]

    async def test_deltas_arrive_in_order_under_the_message_s_item(self, talk, client, provider):
        provider.use([Rule(say="one two three four")])
        ended = await talk(lambda: AssistantAgent("support", client(), model_client_stream=True)).say("count")
        deltas = ended.data("text.delta")
        assert len(deltas) > 1
        assert "".join(delta["text"] for delta in deltas) == "one two three four"
        [message] = ended.items("message")
        assert {delta["item"] for delta in deltas} == {message["item"]}
        kinds = [event.kind for event in ended.events]
        assert kinds.index("message") > max(i for i, kind in enumerate(kinds) if kind == "text.delta")
        assert ended.usage.output_tokens > 0

    @pytest.mark.parametrize("stream", [False, True])
    async def test_reasoning_is_an_item_of_its_own(self, talk, client, provider, stream):
        provider.use([Rule(reasoning="let me think hard", say="42")])
        ended = await talk(lambda: AssistantAgent("thinker", client(), model_client_stream=stream)).say("?")
        assert [item["type"] for item in ended.output] == ["reasoning", "message"]
        assert ended.items("reasoning")[0]["text"] == "let me think hard"
        assert ended.answer == "42"
        if stream:
            assert "".join(d["text"] for d in ended.data("reasoning.delta")) == "let me think hard"
            assert {d["item"] for d in ended.data("reasoning.delta")} == {ended.items("reasoning")[0]["item"]}
            assert "".join(d["text"] for d in ended.data("text.delta")) == "42"

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    async def test_text_beside_a_tool_call_is_a_message(self, talk, client, provider, stream):
        first = Answer("I look it up.", tool_calls=[ToolCall("orders", {"order": "7"})], reasoning="an order")
        provider.use(lambda request: "packed" if request.tool_results else first)
        ended = await talk(
            lambda: AssistantAgent(
                "ann", client(), tools=[orders], reflect_on_tool_use=True, model_client_stream=stream
            )
        ).say("order 7?")
        assert ended.said == [("ann", "I look it up."), ("ann", "packed")]
        assert [item["phase"] for item in ended.items("message")] == ["commentary", "final_answer"]
        # Beside a tool call, the framework passes reasoning on in a stream only.
        assert [item["text"] for item in ended.items("reasoning")] == (["an order"] if stream else [])

    async def test_reasoning_inside_the_text_beside_a_tool_call_stays_reasoning(self, talk, client, provider):
        text = "<think>an order, so the tool</think>I look it up."
        first = Answer(text, tool_calls=[ToolCall("orders", {"order": "7"})])
        provider.use(lambda request: "packed" if request.tool_results else first)
        ended = await talk(lambda: AssistantAgent("ann", client(), tools=[orders], reflect_on_tool_use=True)).say(
            "order 7?"
        )
        assert [item["type"] for item in ended.output] == ["reasoning", "message", "tool", "message"]
        assert ended.items("reasoning")[0]["text"] == "an order, so the tool"
        assert ended.said[0] == ("ann", "I look it up.")

    async def test_reasoning_of_a_streamed_reflection_keeps_its_item(self, talk, client, provider):
        provider.use([Rule(call=ToolCall("orders", {"order": "7"}), reasoning="thinking it over", say="packed")])
        agent = lambda: AssistantAgent(  # noqa: E731
            "support", client(), tools=[orders], reflect_on_tool_use=True, model_client_stream=True
        )
        ended = await talk(agent).say("order 7?")
        assert [item["type"] for item in ended.output] == ["reasoning", "tool", "reasoning", "message"]
        shown = [(d["item"], d["text"]) for d in ended.data("reasoning")]
        assert shown == [(item["item"], "thinking it over") for item in ended.items("reasoning")]
        assert {d["item"] for d in ended.data("reasoning.delta")} == {
            item["item"] for item in ended.items("reasoning")
        }

    async def test_text_beside_a_streamed_tool_call_stays_a_message(self, talk, client, provider):
        def script(request):
            if request.tool_results:
                return "done"
            return Answer(text="I will look", tool_calls=[ToolCall("orders", {"order": "7"})])

        provider.use(script)
        agent = lambda: AssistantAgent(  # noqa: E731
            "support", client(), tools=[orders], reflect_on_tool_use=True, model_client_stream=True
        )
        ended = await talk(agent).say("order 7?")
        assert [(item["type"], item.get("phase")) for item in ended.output] == [
            ("message", "commentary"),
            ("tool", None),
            ("message", "final_answer"),
        ]
        items = {d["item"] for d in ended.data("text.delta")}
        assert items == {item["item"] for item in ended.items("message")}

    async def test_memory_reaches_the_prompt_and_shows_as_a_note(self, talk, client, provider):
        memory = ListMemory("facts")
        await memory.add(MemoryContent(content="the shop closes at six", mime_type="text/plain"))
        conversation = talk(lambda: AssistantAgent("support", client(), memory=[memory]))
        ended = await conversation.say("when do you close?")
        assert "closes at six" in provider.requests[0].text
        assert [note["type"] for note in ended.data("note")] == ["MemoryQueryEvent"]
        await conversation.say("and today?")

    async def test_items_said_before_reach_the_prompt_but_are_not_answered(self, talk, client, provider):
        from turnlane.testing.turns import user_message

        earlier = [user_message("be terse", role="developer"), user_message("my name is Ada")]
        earlier.append(user_message("hello Ada", role="assistant"))
        ended = await talk(lambda: AssistantAgent("support", client())).say("who am I?", items=earlier)
        roles = [(m["role"], m["content"]) for m in provider.requests[0].body["messages"]][1:]
        assert roles == [
            ("system", "be terse"),
            ("user", "my name is Ada"),
            ("assistant", "hello Ada"),
            ("user", "who am I?"),
        ]
        assert ended.said == [("support", "heard: who am I?")]

    async def test_an_image_survives_the_state(self, talk, client, provider):
        dot = (
            "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
            "AABJRU5ErkJggg=="
        )
        content = [{"type": "input_text", "text": "what is it?"}, {"type": "input_image", "image_url": dot}]
        conversation = talk(lambda: AssistantAgent("painter", client()))
        await conversation.say([{"type": "message", "id": "msg_1", "role": "user", "content": content}])
        await conversation.say("sure?")
        parts = [m["content"] for m in provider.requests[1].body["messages"] if isinstance(m["content"], list)]
        assert [part["type"] for part in parts[0]] == ["text", "image_url"]


class Keeper(BaseChatAgent):
    """A user's own class: state of its own, and a model client under a name of its own."""

    def __init__(self, brain: Any) -> None:
        super().__init__("keeper", "keeps what it hears")
        self.grey_matter = brain
        self.heard: list[str] = []

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    def brain(self) -> Any:
        return self.grey_matter

    async def on_messages(self, messages: Sequence[BaseChatMessage], token: CancellationToken) -> Response:
        self.heard += [message.to_text() for message in messages]
        result = await self.brain().create([UserMessage(content=" ".join(self.heard), source="user")])
        return Response(chat_message=TextMessage(content=str(result.content), source=self.name))

    async def on_reset(self, token: CancellationToken) -> None:
        self.heard.clear()

    async def save_state(self) -> Mapping[str, Any]:
        return {"heard": self.heard}

    async def load_state(self, state: Mapping[str, Any]) -> None:
        self.heard = list(state["heard"])


class ListKeeper(Keeper):
    def brain(self) -> Any:
        return self.grey_matter[0]


class DictKeeper(Keeper):
    def brain(self) -> Any:
        return self.grey_matter["main"]["now"]


class Streamer(Keeper):
    async def on_messages_stream(
        self, messages: Sequence[BaseChatMessage], token: CancellationToken
    ) -> AsyncGenerator[BaseAgentEvent | BaseChatMessage | Response, None]:
        yield TextMessage(content="one moment", source=self.name)
        yield await self.on_messages(messages, token)


class TestOwnClasses:
    @pytest.mark.parametrize(
        ("kind", "wrap"),
        [
            (Keeper, lambda brain: brain),
            (ListKeeper, lambda brain: [brain]),
            (ListKeeper, lambda brain: (brain,)),
            (DictKeeper, lambda brain: {"main": {"now": brain}}),
            (Streamer, lambda brain: brain),
        ],
        ids=["attribute", "list", "tuple", "dict", "stream"],
    )
    async def test_own_state_and_a_client_wherever_it_is_kept(self, talk, client, provider, kind, wrap):
        conversation = talk(lambda: kind(wrap(client())))
        ended = await conversation.say("red")
        assert ended.usage.model_calls == 1, "the call did not cross the boundary"
        assert ended.data("model.call")[0]["agent"] == "keeper"
        ended = await conversation.say("blue")
        assert ended.answer == "heard: red blue"
        assert json.loads(conversation.state)["data"]["agent"] == {"heard": ["red", "blue"]}

    async def test_what_a_stream_says_before_its_answer_is_commentary(self, talk, client):
        ended = await talk(lambda: Streamer(client())).say("red")
        assert [(item["text"], item["phase"]) for item in ended.output] == [
            ("one moment", "commentary"),
            ("heard: red", "final_answer"),
        ]

    async def test_in_a_team(self, talk, client, provider):
        conversation = talk(lambda: RoundRobinGroupChat([Keeper(client())], max_turns=1))
        await conversation.say("red")
        ended = await conversation.say("blue")
        assert ended.answer == "heard: red blue"
        assert ended.usage.model_calls == 1


class TestWrappers:
    async def test_message_filter_agent_remembers(self, talk, client, provider):
        def build():
            inner = AssistantAgent("inner", client())
            rules = MessageFilterConfig(per_source=[PerSourceFilter(source="user", position="last", count=1)])
            return MessageFilterAgent(name="filtered", wrapped_agent=inner, filter=rules)

        conversation = talk(build)
        ended = await conversation.say("my word is xylophone")
        assert ended.usage.model_calls == 1
        assert ended.said == [("inner", "heard: my word is xylophone")]
        await conversation.say("what is it?")
        assert "xylophone" in provider.requests[-1].text

    async def test_society_of_mind_remembers_and_shows_its_inner_team(self, talk, client, provider):
        def build():
            inner = RoundRobinGroupChat(
                [AssistantAgent("writer", client()), AssistantAgent("critic", client())],
                termination_condition=MaxMessageTermination(3),
            )
            return SocietyOfMindAgent("society", team=inner, model_client=client())

        conversation = talk(build)
        ended = await conversation.say("my word is xylophone")
        assert [agent for agent, _ in ended.said] == ["writer", "critic", "society"]
        assert [item["phase"] for item in ended.output] == ["commentary", "commentary", "final_answer"]
        assert ended.usage.model_calls == 3
        await conversation.say("what is it?")
        assert "xylophone" in provider.requests[3].text

    async def test_an_agent_as_a_tool_shows_what_it_says_and_remembers(self, talk, client, provider):
        def script(request):
            if "boss" in request.system:
                if request.tool_results:
                    return f"the boss says: {request.tool_results[0].text}"
                if request.tools:
                    return Answer(tool_calls=[ToolCall("poet", {"task": f"about {request.user_message}"})])
            return f"poem {request.user_message}"

        provider.use(script)

        def build():
            poet = AssistantAgent("poet", client(), description="writes", system_message="a poet")
            tool = AgentTool(poet, return_value_as_last_message=True)
            return AssistantAgent(
                "boss", client(), tools=[tool], reflect_on_tool_use=True, system_message="the boss"
            )

        conversation = talk(build)
        ended = await conversation.say("the sea")
        assert ended.said == [("poet", "poem about the sea"), ("boss", "the boss says: poem about the sea")]
        assert [item["type"] for item in ended.output] == ["tool", "message", "message"]
        assert ended.usage.model_calls == 3
        assert [call["agent"] for call in ended.data("model.call")] == ["boss", "poet", "boss"]
        [commentary, final] = ended.data("message")
        assert (commentary["phase"], final["phase"]) == ("commentary", "final_answer")
        await conversation.say("the hills")
        poets = [r for r in provider.requests if "a poet" in r.text]
        assert "about the sea" in poets[1].text

    async def test_a_team_as_a_tool_shows_what_it_says(self, talk, client, provider):
        def script(request):
            if "boss" in request.system and request.tools and not request.tool_results:
                return Answer(tool_calls=[ToolCall("crew", {"task": request.user_message})])
            return f"{request.system} heard {request.user_message}"

        provider.use(script)

        def build():
            crew = RoundRobinGroupChat(
                [AssistantAgent(name, client(), system_message=name) for name in ("ann", "bob")], max_turns=2
            )
            tool = TeamTool(crew, name="crew", description="works", return_value_as_last_message=True)
            return AssistantAgent("boss", client(), tools=[tool], reflect_on_tool_use=True, system_message="boss")

        conversation = talk(build)
        ended = await conversation.say("dig")
        assert [agent for agent, _ in ended.said] == ["ann", "bob", "boss"]
        assert ended.usage.model_calls == 4
        await conversation.say("fill")
        anns = [r for r in provider.requests if r.body["messages"][0]["content"] == "ann"]
        assert "dig" in anns[1].text
