"""A worker on a real engine with real agentchat agents: how turns end, and how the worker does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken
from openai import AsyncOpenAI

from turnlane import App
from turnlane.runtime.agents.agentchat import AgentchatAdapter
from turnlane.runtime.app import AppError
from turnlane.runtime.conversation import Conversation, NewTurn, Turn, new_id
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.telemetry.events import add_sink
from turnlane.worker.worker import TurnWorker

pytestmark = pytest.mark.anyio

PATIENCE = 10.0
"""Seconds after which a test that waits has failed."""


class Scripted(BaseChatAgent):
    """An agent that does what its function does, and counts its messages as its state."""

    def __init__(self, act: Callable[[str], Any]) -> None:
        super().__init__("scripted", "does what a test says")
        self._act = act
        self._heard: list[Any] = []

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        text = messages[-1].to_text()
        self._heard.append(text)
        said = self._act(text)
        if asyncio.iscoroutine(said):
            said = await said
        return Response(chat_message=TextMessage(content=f"{len(self._heard)}: {said}", source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        self._heard.clear()

    async def save_state(self) -> Mapping[str, Any]:
        return {"heard": self._heard}

    async def load_state(self, state: Mapping[str, Any]) -> None:
        self._heard = list(state["heard"])


class Served:
    """A worker with its engine; `say` is one turn."""

    def __init__(self, app: App, folder: Path, **settings: Any) -> None:
        self.engine = EmbeddedEngine(folder)
        self.worker = TurnWorker(self.engine, app, [AgentchatAdapter()], **settings)

    async def __aenter__(self) -> Served:
        await self.engine.open()
        await self.worker.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.worker.close()
        await self.engine.close()

    async def send(self, text: str, conversation: str | None = None) -> Turn:
        item = {"type": "message", "id": new_id("msg"), "role": "user", "content": text}
        made = Conversation(new_id("conv")) if conversation is None else None
        new = NewTurn(
            id=new_id("resp"),
            conversation=made.id if made else str(conversation),
            agent="scripted",
            input=[item],
            create_conversation=made,
        )
        return (await self.engine.accept(new)).turn

    async def say(self, text: str, conversation: str | None = None) -> Turn:
        return await self.ended(await self.send(text, conversation))

    async def ended(self, turn: Turn) -> Turn:
        ended = await self.engine.wait(turn.id, timeout=PATIENCE)
        assert ended is not None
        assert ended.ended, f"still {ended.status} after {PATIENCE} s"
        return ended


def app_of(act: Callable[[str], Any], **settings: Any) -> App:
    app = App()
    app.add(lambda: Scripted(act), name="scripted", **settings)
    return app


def text_of(turn: Turn) -> str:
    return str(turn.output[-1]["text"])


async def test_a_conversation_remembers_between_fresh_agents(tmp_path: Path) -> None:
    async with Served(app_of(str.upper), tmp_path) as served:
        first = await served.say("one")
        second = await served.say("two", first.conversation)
    assert (text_of(first), text_of(second)) == ("1: ONE", "2: TWO")


async def test_a_failed_turn_names_the_error_and_leaves_the_state(tmp_path: Path) -> None:
    def act(text: str) -> str:
        if text == "bad":
            raise LookupError("no such thing as postgres://u:secret@h/db")
        return text

    async with Served(app_of(act), tmp_path) as served:
        first = await served.say("one")
        bad = await served.say("bad", first.conversation)
        third = await served.say("three", first.conversation)
    assert bad.status == "failed"
    assert bad.failure is not None
    assert (bad.failure.type, bad.failure.kind, bad.failure.agent) == ("LookupError", "agent", "scripted")
    assert "secret" not in bad.failure.message
    assert bad.failure.private, "the text of a user's exception is for operators"
    assert "in act" in (bad.failure.stack or "")
    assert text_of(third) == "2: three"


async def test_a_deadline_ends_a_turn_and_leaves_the_state(tmp_path: Path) -> None:
    async def act(text: str) -> str:
        if text == "hang":
            await asyncio.Event().wait()
        return text

    async with Served(app_of(act, deadline=0.2), tmp_path) as served:
        hung = await served.say("hang")
        after = await served.say("next", hung.conversation)
    assert hung.failure is not None
    assert (hung.status, hung.failure.code, hung.failure.hazard) == ("failed", "deadline_exceeded", "TL306")
    assert text_of(after) == "1: next"


async def test_a_cancelled_turn_ends_also_when_it_will_not(tmp_path: Path) -> None:
    running = asyncio.Event()
    let_go = asyncio.Event()

    async def act(text: str) -> str:
        running.set()
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue  # the worst kind of code
        return text

    async with Served(app_of(act), tmp_path) as served:
        turn = await served.send("stubborn")
        await asyncio.wait_for(running.wait(), PATIENCE)
        await served.engine.cancel(turn.id)
        ended = await served.ended(turn)
        let_go.set()
    assert ended.status == "cancelled"


async def test_what_is_running_at_the_end_runs_again_at_the_next_start(tmp_path: Path) -> None:
    running = asyncio.Event()

    async def hang(text: str) -> str:
        running.set()
        await asyncio.Event().wait()
        return text

    async with Served(app_of(hang), tmp_path) as served:
        turn = await served.send("survive")
        await asyncio.wait_for(running.wait(), PATIENCE)
        assert await served.worker.drain(grace=0) == 1
    async with Served(app_of(str.upper), tmp_path) as served:
        ended = await served.ended(turn)
    assert (ended.status, ended.attempt, text_of(ended)) == ("completed", 2, "1: SURVIVE")


async def test_a_drain_waits_for_what_runs(tmp_path: Path) -> None:
    running, finish = asyncio.Event(), asyncio.Event()

    async def act(text: str) -> str:
        running.set()
        await finish.wait()
        return text

    async with Served(app_of(act), tmp_path) as served:
        turn = await served.send("slow")
        await asyncio.wait_for(running.wait(), PATIENCE)
        drain = asyncio.create_task(served.worker.drain(grace=PATIENCE))
        finish.set()
        assert await drain == 0
        assert (await served.ended(turn)).status == "completed"


async def test_a_state_that_is_not_json_fails_the_turn_with_a_reason(tmp_path: Path) -> None:
    app = App()

    def build() -> Scripted:
        agent = Scripted(str.upper)
        agent._heard.append(object())
        return agent

    app.add(build, name="scripted")
    async with Served(app, tmp_path) as served:
        turn = await served.say("hello")
    assert turn.failure is not None
    assert turn.failure.kind == "state"
    assert "save_state" in turn.failure.message


async def test_something_that_is_no_agent_is_refused_at_the_start(tmp_path: Path) -> None:
    app = App()
    app.add(lambda: 42, name="scripted")
    served = Served(app, tmp_path)
    await served.engine.open()
    with pytest.raises(AppError, match="returned int, which is no agent or team"):
        await served.worker.start()
    await served.engine.close()


async def test_a_missing_key_tells_of_practice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    app = App()
    app.add(lambda: AsyncOpenAI(), name="scripted")
    served = Served(app, tmp_path)
    await served.engine.open()
    with pytest.raises(AppError, match=r"OPENAI_API_KEY.*; or try it without a key: --practice$"):
        await served.worker.start()
    await served.engine.close()


async def test_an_agent_made_once_for_all_is_refused_at_the_start(tmp_path: Path) -> None:
    shared = Scripted(str.upper)
    app = App()
    app.add(lambda: shared, name="scripted")
    served = Served(app, tmp_path)
    await served.engine.open()
    with pytest.raises(AppError, match="TL201"):
        await served.worker.start()
    await served.engine.close()


async def test_resources_are_made_once_and_closed_at_the_end(tmp_path: Path) -> None:
    moves: list[str] = []

    @asynccontextmanager
    async def resources() -> AsyncIterator[dict[str, str]]:
        moves.append("opened")
        yield {"greeting": "hi"}
        moves.append("closed")

    app = App(resources=resources)
    app.add(lambda greeting: Scripted(lambda text: f"{greeting} {text}"), name="scripted")
    async with Served(app, tmp_path) as served:
        assert text_of(await served.say("Ann")) == "1: hi Ann"
        assert text_of(await served.say("Bob")) == "1: hi Bob"
        assert moves == ["opened"]
    assert moves == ["opened", "closed"]


async def test_an_agents_bound_holds_and_others_wait(tmp_path: Path) -> None:
    most = running = 0

    async def act(text: str) -> str:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return text

    async with Served(app_of(act, max_running=2), tmp_path) as served:
        turns = [await served.send(str(n)) for n in range(10)]
        assert [(await served.ended(turn)).status for turn in turns] == ["completed"] * 10
    assert most <= 2


async def test_a_hundred_conversations_overlap_and_one_does_not(tmp_path: Path) -> None:
    together = asyncio.Event()
    running: dict[str, int] = {}
    overlaps: list[str] = []

    async def act(text: str) -> str:
        conversation = text.partition(" ")[0]
        running[conversation] = running.get(conversation, 0) + 1
        if running[conversation] > 1:
            overlaps.append(conversation)
        if len(running) == 100:
            together.set()
        await together.wait()
        running[conversation] -= 1
        return text

    async with Served(app_of(act), tmp_path) as served:
        firsts = [await served.send(f"{n} first") for n in range(100)]
        seconds = [await served.send(f"{n} second", first.conversation) for n, first in enumerate(firsts)]
        for turn in (*firsts, *seconds):
            assert (await served.ended(turn)).status == "completed"
    assert overlaps == []


async def test_every_turn_is_told_once_with_its_names(tmp_path: Path) -> None:
    told: list[tuple[str, Mapping[str, Any]]] = []
    remove = add_sink(lambda name, fields: told.append((name, fields)))
    try:
        async with Served(app_of(str.upper), tmp_path) as served:
            turn = await served.say("hello")
    finally:
        remove()
    ended = [fields for name, fields in told if name == "turn.ended" and fields["turn"] == turn.id]
    assert len(ended) == 1
    assert (ended[0]["agent"], ended[0]["status"], ended[0]["attempt"]) == ("scripted", "completed", 1)
    assert ended[0]["conversation"] == turn.conversation


async def test_the_text_of_a_failing_factory_is_private_and_ours_is_not(tmp_path: Path) -> None:
    built = 0

    def factory() -> Scripted | None:
        nonlocal built
        built += 1
        if built == 3:
            raise LookupError("the database is at 10.0.0.7")
        return Scripted(str.upper) if built < 3 else None

    app = App()
    app.add(factory, name="scripted")
    async with Served(app, tmp_path) as served:
        raised = await served.say("one")
        nothing = await served.say("two")
    assert raised.failure is not None
    assert raised.failure.private
    assert nothing.failure is not None
    assert (nothing.failure.code, nothing.failure.private) == ("not_an_agent", False)
    assert nothing.failure.message == "the factory of agent 'scripted' returned nothing: is a `return` missing?"


async def test_a_factory_without_return_is_told_at_the_start(tmp_path: Path) -> None:
    app = App()
    app.add(lambda: None, name="support")
    with pytest.raises(AppError, match="the factory of agent 'support' returned nothing: is a `return` missing"):
        async with Served(app, tmp_path):
            pass


async def test_an_agent_that_a_team_can_t_make_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class BadManager(RoundRobinGroupChat):
        def _create_group_chat_manager_factory(self, **options: Any) -> Any:
            def make() -> Any:
                raise LookupError("no manager today")

            return make

    app = App()
    app.add(lambda: BadManager([Scripted(str.upper)], max_turns=1), name="scripted")
    told: list[str] = []
    remove = add_sink(lambda name, fields: told.append(name))
    try:
        async with Served(app, tmp_path) as served:
            turn = await served.say("one")
    finally:
        remove()
    assert turn.failure is not None
    assert "no manager today" in turn.failure.message
    assert told.count("turn.failed") == 1
    assert not [record for record in caplog.records if record.name.startswith("autogen")]


@pytest.mark.parametrize("asked", [False, True])
async def test_what_is_said_is_told_only_when_asked(tmp_path: Path, asked: bool) -> None:
    told: list[Mapping[str, Any]] = []
    remove = add_sink(lambda name, fields: told.append(fields))
    try:
        async with Served(app_of(str.upper), tmp_path, log_content=asked) as served:
            await served.say("a private word")
    finally:
        remove()
    assert ("a private word" in str([fields.get("input") for fields in told])) is asked
    assert ("A PRIVATE WORD" in str([fields.get("output") for fields in told])) is asked
    assert asked or "private" not in str(told).lower()
