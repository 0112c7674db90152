"""A message to a busy conversation, by every strategy, through the official client on a real server and engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion
from openai.types.conversations import ConversationItem
from openai.types.responses import Response
from pydantic import TypeAdapter

from turnlane.runtime.app import AgentSettings
from turnlane.runtime.conversation import Turn
from turnlane.server.request_shapes import TurnlaneOptions
from turnlane.telemetry.events import add_sink
from turnlane.telemetry.prometheus import Metrics

pytestmark = pytest.mark.anyio

ITEM: TypeAdapter[Any] = TypeAdapter(ConversationItem)


def check(response: Response) -> Any:
    """The client builds loosely; this is the strict check. What it gives back has our extra fields, too."""
    return Response.model_validate(response.model_dump(mode="json"))


class Talk:
    """One conversation with the agent `talks`, which says "half an " and goes on when it may."""

    def __init__(self, served: Any) -> None:
        self.served = served
        self.client = served.openai()
        self.conversation: str | None = None

    async def say(self, text: str, **options: Any) -> Any:
        """Send a message; what is no parameter of OpenAI's is one of ours."""
        ours = {name: options.pop(name) for name in ("when_busy", "debounce") if name in options}
        if ours:
            options["extra_body"] = {"turnlane": ours}
        if self.conversation is not None:
            options["conversation"] = self.conversation
        return await self.client.responses.create(model="talks", input=text, **options)

    async def begin(self, text: str = "one") -> Any:
        """A turn that runs and has said half of its answer."""
        begun = await self.say(text, background=True)
        self.conversation = begun.conversation.id
        await self.talking(text)
        return begun

    async def talking(self, text: str) -> None:
        await self.served.signals.wait(f"talking {text}")

    def may_end(self, *texts: str) -> None:
        for text in texts:
            self.served.signals.set(f"go {text}")

    async def ended(self, response: Any) -> Any:
        turn = await self.served.engine.wait(response.id, timeout=10)
        assert turn is not None
        assert turn.ended, turn.status
        return check(await self.client.responses.retrieve(response.id))

    async def turn(self, response: Any) -> Turn:
        turn = await self.served.engine.turn(response.id)
        assert turn is not None
        return turn

    async def until(self, done: Callable[[list[Turn]], bool]) -> None:
        """Until the conversation's turns, the newest first, are as wanted."""
        async with asyncio.timeout(10):
            while not done(await self.served.engine.turns(conversation=self.conversation)):
                await asyncio.sleep(0.001)

    async def items(self) -> list[Any]:
        """Type, text, status of the item and of the turn, oldest first."""
        page = await self.client.conversations.items.list(self.conversation, order="asc")
        shown = [item.model_dump(mode="json") for item in page.data]
        for item in shown:
            ITEM.validate_python(item)
        return [(item["content"][0]["text"], item["status"], item["turn_status"]) for item in shown]

    def carried(self) -> list[str]:
        """The texts that the agent of the last claim has to be told of interrupted turns."""
        claim = self.served.worker.claims[-1]
        return [part["text"] for item in claim.items for part in item["content"]]


@pytest.fixture
def talk(served: Any) -> Talk:
    return Talk(served)


# --- interrupt ---


async def test_an_interrupted_turn_keeps_what_it_said_and_the_next_agent_is_told(talk: Talk) -> None:
    first = await talk.begin()
    waiting = asyncio.create_task(talk.say("two"))
    talk.may_end("three")
    await talk.until(lambda turns: len(turns) == 2)
    third = check(await talk.say("three", when_busy="interrupt"))
    assert (third.output_text, third.turn_status, third.joined) == ("half an answer", "completed", False)

    stopped = await talk.ended(first)
    assert (stopped.status, stopped.turn_status, stopped.output_text) == ("incomplete", "interrupted", "half an ")
    assert (stopped.incomplete_details.reason, stopped.error) == (None, None)
    assert stopped.output[0].status == "incomplete"

    second = check(await waiting)
    assert (second.status, second.turn_status, second.output) == ("incomplete", "interrupted", [])

    assert talk.carried() == ["one", "half an ", "two"]
    assert await talk.items() == [
        ("one", "completed", "interrupted"),
        ("half an ", "incomplete", "interrupted"),
        ("two", "completed", "interrupted"),
        ("three", "completed", "completed"),
        ("half an answer", "completed", "completed"),
    ]


async def test_the_stream_of_an_interrupted_turn_ends_as_incomplete(talk: Talk) -> None:
    stream = await talk.say("one", stream=True)
    events = []
    async for event in stream:
        events.append(event)
        if event.type == "response.output_text.delta":
            talk.conversation = events[0].response.conversation.id
            talk.may_end("two")
            await talk.say("two", when_busy="interrupt", background=True)
    assert events[-1].type == "response.incomplete"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    (closed,) = [event.item for event in events if event.type == "response.output_item.done"]
    assert (closed.status, closed.content[0].text) == ("incomplete", "half an ")
    retrieved = check(await talk.client.responses.retrieve(events[0].response.id))
    assert events[-1].response == retrieved
    assert closed.model_dump()["id"] == retrieved.output[0].id


async def test_an_interrupted_chat_completion_says_that_it_is_cut(talk: Talk) -> None:
    messages: Any = [{"role": "user", "content": "one"}]
    plain = asyncio.create_task(talk.client.chat.completions.create(model="talks", messages=messages))
    await talk.talking("one")
    (turn,) = await talk.served.engine.turns()
    talk.may_end("two")
    second = await talk.client.chat.completions.create(
        model="talks",
        messages=[{"role": "user", "content": "two"}],
        extra_headers={"Turnlane-Conversation": turn.conversation, "Turnlane-When-Busy": "interrupt"},
    )
    ChatCompletion.model_validate(second.model_dump(mode="json"))
    assert (second.choices[0].finish_reason, second.turn_status) == ("stop", "completed")
    first: Any = await plain
    ChatCompletion.model_validate(first.model_dump(mode="json"))
    assert (first.choices[0].finish_reason, first.turn_status) == ("length", "interrupted")
    assert first.choices[0].message.content == "half an "


async def test_an_interrupted_chat_stream_ends_as_cut(talk: Talk) -> None:
    messages: Any = [{"role": "user", "content": "one"}]
    stream = await talk.client.chat.completions.create(model="talks", messages=messages, stream=True)
    chunks = []
    async for chunk in stream:
        chunks.append(chunk)
        if chunk.choices[0].delta.content:
            talk.conversation = chunk.conversation
            talk.may_end("two")
            await talk.say("two", when_busy="interrupt", background=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "half an "
    assert (chunks[-1].choices[0].finish_reason, chunks[-1].turn_status) == ("length", "interrupted")


# --- rollback ---


async def test_a_rolled_back_turn_is_in_the_history_and_no_agent_sees_it(talk: Talk) -> None:
    plain = asyncio.create_task(talk.say("one"))
    await talk.talking("one")
    (turn,) = await talk.served.engine.turns()
    talk.conversation = turn.conversation
    talk.may_end("two")
    second = check(await talk.say("two", when_busy="rollback"))
    assert second.output_text == "half an answer"
    with pytest.raises(openai.ConflictError) as caught:
        await plain
    assert (caught.value.code, caught.value.response.headers["x-should-retry"]) == ("rolled_back", "false")
    first = check(await talk.client.responses.retrieve(turn.id))
    assert (first.status, first.turn_status, first.error.failure_code) == ("cancelled", "cancelled", "rolled_back")
    assert talk.carried() == []
    assert [(text, status) for text, _, status in await talk.items()] == [
        ("one", "cancelled"),
        ("two", "completed"),
        ("half an answer", "completed"),
    ]


@pytest.mark.parametrize(("when_busy", "status"), [("interrupt", "interrupted"), ("rollback", "cancelled")])
async def test_turns_that_end_while_they_wait_are_told_like_all_others(
    talk: Talk, when_busy: str, status: str
) -> None:
    told: list[Any] = []
    metrics = Metrics()
    await talk.begin()
    second, third = [await talk.say(text, background=True) for text in ("two", "three")]
    removes = [add_sink(lambda name, fields: told.append((name, dict(fields)))), add_sink(metrics)]
    try:
        await talk.client.responses.cancel(third.id)
        await talk.say("four", when_busy=when_busy, background=True)
        await talk.ended(second)
    finally:
        for remove in removes:
            remove()
    ends = {fields["turn"]: fields for name, fields in told if name == "turn.ended"}
    assert {turn: fields["status"] for turn, fields in ends.items()} == {second.id: status, third.id: "cancelled"}
    assert ends[second.id]["request_id"] == second.request_id
    counted = metrics.registry.get_sample_value("turnlane_turns_total", {"agent": "talks", "status": status})
    assert counted == (1 if status == "interrupted" else 2)


# --- merge ---


async def test_merged_messages_are_one_turn_for_all_who_sent_them(talk: Talk) -> None:
    await talk.begin()
    second = await talk.say("two", when_busy="merge", background=True)
    assert (second.joined, second.status) == (False, "queued")
    third = check(await talk.say("three", when_busy="merge", background=True))
    assert (third.id, third.joined, third.status) == (second.id, True, "queued")
    plain = asyncio.create_task(talk.say("four", when_busy="merge"))
    await talk.until(lambda turns: "four" in str(turns[0].input))
    stream = await talk.say("five", when_busy="merge", stream=True)
    assert stream.response.headers["turnlane-joined"] == "true"
    together = "two three four five"
    talk.may_end("one", together)
    events = [event async for event in stream]
    assert events[0].type == "response.created"
    assert (events[-1].type, events[-1].response.id) == ("response.completed", second.id)
    fourth = check(await plain)
    assert (fourth.id, fourth.joined, fourth.output_text) == (second.id, True, "half an answer")
    page = await talk.client.responses.input_items.list(second.id, order="asc")
    assert [item.content[0].text for item in page.data] == ["two", "three", "four", "five"]
    assert len(talk.served.worker.claims) == 2


async def test_a_joined_message_sent_again_is_the_same_turn(talk: Talk) -> None:
    await talk.begin()
    second = await talk.say("two", background=True)
    key = {"Idempotency-Key": "k-1"}
    joined = [await talk.say("three", when_busy="merge", background=True, extra_headers=key) for _ in range(2)]
    assert [response.id for response in joined] == [second.id, second.id]
    assert [part["content"][0]["text"] for part in (await talk.turn(second)).input] == ["two", "three"]
    with pytest.raises(openai.ConflictError) as caught:
        await talk.say("another", when_busy="merge", background=True, extra_headers=key)
    assert caught.value.code == "idempotency_mismatch"
    talk.may_end("one", "two three")
    await talk.ended(second)
    late = await talk.say("three", when_busy="merge", background=True, extra_headers=key)
    assert (late.id, late.status) == (second.id, "completed")


async def test_every_item_of_a_joined_turn_can_be_read_by_its_id(talk: Talk) -> None:
    await talk.begin()
    await talk.say("two", background=True)
    await talk.say("three", when_busy="merge", background=True)
    page = await talk.client.conversations.items.list(talk.conversation, order="asc")
    assert [item.content[0].text for item in page.data] == ["one", "two", "three"]
    for number, item in enumerate(page.data):
        found = await talk.client.conversations.items.retrieve(item.id, conversation_id=talk.conversation)
        assert found == item
        behind = await talk.client.conversations.items.list(talk.conversation, order="asc", after=item.id)
        assert behind.data == page.data[number + 1 :]


async def test_a_joined_chat_completion_says_so(talk: Talk) -> None:
    await talk.begin()
    second = await talk.say("two", background=True)
    headers = {"Turnlane-Conversation": talk.conversation, "Turnlane-When-Busy": "merge"}
    plain = asyncio.create_task(
        talk.client.chat.completions.with_raw_response.create(
            model="talks", messages=[{"role": "user", "content": "three"}], extra_headers=headers
        )
    )
    await talk.until(lambda turns: "three" in str(turns[0].input))
    talk.may_end("one", "two three")
    raw = await plain
    assert raw.headers["turnlane-joined"] == "true"
    completion: Any = raw.parse()
    assert (completion.joined, completion.response_id) == (True, second.id)


# --- debounce ---


async def test_a_debounced_turn_waits_for_further_messages(talk: Talk) -> None:
    first = await talk.say("one", when_busy="debounce", debounce=3600, background=True)
    talk.conversation = first.conversation.id
    waits = (await talk.turn(first)).not_before
    assert waits is not None
    assert waits == pytest.approx(time.time() + 3600, abs=60)
    second = await talk.say("two", when_busy="debounce", debounce=0.05, background=True)
    assert (second.id, second.joined, second.status) == (first.id, True, "queued")


async def test_a_debounced_turn_starts_by_itself(talk: Talk) -> None:
    talk.may_end("one")
    answered = check(await talk.say("one", when_busy="debounce", debounce=0.05))
    assert answered.output_text == "half an answer"
    turn = await talk.turn(answered)
    assert turn.started_at is not None
    assert turn.started_at - turn.created_at >= 0.05


async def test_the_agents_own_debounce_is_the_default(serve: Any) -> None:
    settings = AgentSettings(when_busy="debounce", debounce=1800)
    served = await serve(agent_settings={"echo": settings})
    client = served.openai()
    begun = await client.responses.create(model="echo", input="x", background=True)
    turn = await served.engine.turn(begun.id)
    assert turn.not_before == pytest.approx(time.time() + 1800, abs=60)
    at_once: dict[str, Any] = {"turnlane": {"when_busy": "enqueue"}}
    other = await client.responses.create(model="echo", input="x", extra_body=at_once)
    assert other.status == "completed"


async def test_headers_say_it_for_clients_that_send_no_fields_of_ours(served: Any) -> None:
    headers = {"Turnlane-When-Busy": "debounce", "Turnlane-Debounce": "900"}
    begun = await served.openai().responses.create(model="echo", input="x", background=True, extra_headers=headers)
    turn = await served.engine.turn(begun.id)
    assert turn.not_before == pytest.approx(time.time() + 900, abs=60)


# --- what is refused ---


@pytest.mark.parametrize(
    ("turnlane", "headers", "param", "says"),
    [
        ({"when_busy": "barge in"}, {}, "turnlane.when_busy", "'interrupt'"),
        ({"when_busy": "debounce", "debounce": 0}, {}, "turnlane.debounce", "greater than 0"),
        ({"when_busy": "debounce", "debounce": 3601}, {}, "turnlane.debounce", "3600"),
        ({"when_busy": "debounce", "debounce": "2"}, {}, "turnlane.debounce", "number"),
        ({"when_busy": "merge", "debounce": 2}, {}, "turnlane.debounce", "when_busy is 'merge'"),
        ({"debounce": 2}, {}, "turnlane.debounce", "when_busy is 'enqueue'"),
        ({}, {"Turnlane-When-Busy": "barge in"}, "Turnlane-When-Busy", "'interrupt'"),
        ({}, {"Turnlane-When-Busy": "debounce", "Turnlane-Debounce": "nan"}, "Turnlane-Debounce", "finite"),
        ({}, {"Turnlane-When-Busy": "debounce", "Turnlane-Debounce": "soon"}, "Turnlane-Debounce", "number"),
        ({"when_busy": "merge"}, {"Turnlane-When-Busy": "enqueue"}, "turnlane.when_busy", "send one of them"),
    ],
)
async def test_a_wrong_strategy_is_named_with_its_place(
    served: Any, turnlane: dict[str, Any], headers: dict[str, str], param: str, says: str
) -> None:
    for path, body in (
        ("/v1/responses", {"input": "x"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
    ):
        answer = await served.http().post(
            path, json={"model": "echo", "turnlane": turnlane, **body}, headers=headers
        )
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["param"] == param
        assert says in error["message"]


def test_the_wait_has_the_bounds_of_the_agents_setting() -> None:
    ours = TurnlaneOptions.model_json_schema()["properties"]["debounce"]["anyOf"][0]
    theirs = AgentSettings.model_json_schema()["properties"]["debounce"]
    bounds = ("exclusiveMinimum", "maximum")
    assert {name: ours[name] for name in bounds} == {name: theirs[name] for name in bounds}
