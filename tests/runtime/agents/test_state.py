"""A saved state is loaded where it belongs, or left alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken

from turnlane.practice import Answer
from turnlane.runtime.agent import StateMismatch
from turnlane.runtime.agents.agentchat.adapter import StateNotJson

pytestmark = pytest.mark.anyio


class Stateful(BaseChatAgent):
    """Saves what it is given, and tells what it is asked to load."""

    def __init__(self, state: Any, loaded: list[Any]) -> None:
        super().__init__("stateful", "has a state")
        self._state = state
        self._loaded = loaded

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(self, messages: Sequence[BaseChatMessage], token: CancellationToken) -> Response:
        return Response(chat_message=TextMessage(content="hello", source=self.name))

    async def on_reset(self, token: CancellationToken) -> None: ...

    async def save_state(self) -> Mapping[str, Any]:
        return self._state

    async def load_state(self, state: Mapping[str, Any]) -> None:
        self._loaded.append(state)


def loop_in_itself() -> dict[str, Any]:
    state: dict[str, Any] = {}
    state["me"] = state
    return state


async def mismatch(conversation: Any) -> StateMismatch:
    kept = conversation.state
    ended = await conversation.fail("blue")
    assert isinstance(ended.error, StateMismatch), repr(ended.error)
    assert (ended.failure.kind, ended.failure.code) == ("state", "state_mismatch")
    assert conversation.state == kept
    assert ended.output == ()
    return ended.error


class TestStateOfAnother:
    async def test_of_another_class(self, talk, client):
        conversation = talk(lambda: AssistantAgent("support", client()))
        await conversation.say("red")
        conversation.factory = lambda: RoundRobinGroupChat([AssistantAgent("support", client())], max_turns=1)
        error = await mismatch(conversation)
        assert "autogen_agentchat.AssistantAgent" in str(error)
        assert "autogen_agentchat.RoundRobinGroupChat(support)" in str(error)
        assert "start a new conversation" in str(error)

    async def test_of_other_participants(self, talk, client):
        def team(*names):
            return lambda: RoundRobinGroupChat([AssistantAgent(name, client()) for name in names], max_turns=1)

        conversation = talk(team("ann", "bob"))
        await conversation.say("red")
        conversation.factory = team("ann", "cid")
        assert "RoundRobinGroupChat(ann, bob)" in str(await mismatch(conversation))

    async def test_of_another_version(self, talk, client):
        conversation = talk(lambda: AssistantAgent("support", client()))
        await conversation.say("red")
        saved = json.loads(conversation.state)
        conversation.state = json.dumps({**saved, "version": "agentchat/0"})
        assert "agentchat/0" in str(await mismatch(conversation))

    @pytest.mark.parametrize(
        "damage",
        [
            {},
            None,
            [],
            "text",
            {"agent": {}},
            {"agent": {"foo": 1}},
            {"agent": []},
            {"agent": "x"},
            {"agent": {"type": "AssistantAgentState", "llm_context": {"messages": "no list"}}},
        ],
        ids=str,
    )
    async def test_damaged(self, talk, client, provider, damage):
        conversation = talk(lambda: AssistantAgent("support", client()))
        await conversation.say("red")
        conversation.state = json.dumps({**json.loads(conversation.state), "data": damage})
        await mismatch(conversation)
        assert provider.received == 1

    async def test_garbage_never_reaches_load_state(self, talk):
        loaded: list[Any] = []
        conversation = talk(lambda: Stateful({"fine": 1}, loaded))
        await conversation.say("red")
        good = json.loads(conversation.state)
        for state in (
            {**good, "kind": "x"},
            {**good, "version": "x"},
            {**good, "data": {}},
            {**good, "data": None},
        ):
            conversation.state = json.dumps(state)
            await mismatch(conversation)
        assert loaded == []
        conversation.state = json.dumps(good)
        await conversation.say("blue")
        assert loaded == [{"fine": 1}]

    async def test_control_the_bare_framework_takes_garbage_and_forgets(self, client, provider):
        agent = AssistantAgent("support", client())
        await agent.load_state({"foo": 1})
        await agent.run(task="red")
        assert provider.received == 1

    async def test_an_error_of_the_user_s_own_load_state_is_his(self, talk):
        class Picky(Stateful):
            async def load_state(self, state: Mapping[str, Any]) -> None:
                raise LookupError("not mine")

        conversation = talk(lambda: Picky({}, []))
        await conversation.say("red")
        ended = await conversation.fail("blue")
        assert isinstance(ended.error, LookupError)


class TestStateThatCannotBeKept:
    @pytest.mark.parametrize(
        "state",
        [{"a": {1, 2}}, {"a": object()}, {"a": b"bytes"}, {"a": float("nan")}, loop_in_itself()],
        ids=["set", "object", "bytes", "nan", "loop"],
    )
    @pytest.mark.parametrize("team", [False, True], ids=["alone", "in a team"])
    async def test_is_a_clear_error(self, talk, state, team):
        def build():
            agent = Stateful(state, [])
            return RoundRobinGroupChat([agent], max_turns=1) if team else agent

        conversation = talk(build)
        ended = await conversation.fail("red")
        assert isinstance(ended.error, StateNotJson), repr(ended.error)
        assert (ended.failure.kind, ended.failure.code) == ("state", "state_not_json")
        assert "save_state" in ended.failure.message
        assert conversation.state is None


class TestAfterAnError:
    @pytest.mark.parametrize("team", [False, True], ids=["alone", "in a team"])
    async def test_nothing_of_the_run_is_kept(self, talk, client, provider, team):
        """TL207: also after a provider's 500 in the middle of a team."""
        broken = {"now": True}

        def script(request):
            if broken["now"] and ("bob" in request.system or not team):
                return Answer(fault="unauthorized")
            return f"heard {request.user_message}"

        def build():
            agents = [AssistantAgent(name, client(), system_message=name) for name in ("ann", "bob")]
            return RoundRobinGroupChat(agents, max_turns=2) if team else agents[0]

        provider.use(script)
        conversation = talk(build)
        broken["now"] = False
        await conversation.say("red")
        kept, broken["now"] = conversation.state, True
        ended = await conversation.fail("the lost word xylophone")
        assert ended.failure.kind == "provider"
        assert conversation.state == kept
        broken["now"] = False
        provider.clear()
        await conversation.say("blue")
        assert provider.prompts_containing("xylophone") == []
        assert provider.prompts_containing("red")
