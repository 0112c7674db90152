"""`/v1/responses` through the official client, every answer checked against its types."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response

from .engines import another

pytestmark = pytest.mark.anyio


def check(response: Response) -> Response:
    """The client builds loosely; this is the strict check."""
    return Response.model_validate(response.model_dump(mode="json"))


async def test_a_plain_response_waits_for_the_answer(client: AsyncOpenAI) -> None:
    response = check(await client.responses.create(model="echo", input="hello"))
    assert response.status == "completed"
    assert response.output_text == "you said: hello"
    assert response.model == "echo"
    assert response.conversation is not None
    assert response.conversation.id.startswith("conv_")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.total_tokens) == (11, 18)
    assert response.id.startswith("resp_")


async def test_every_kind_of_output_has_its_item(client: AsyncOpenAI) -> None:
    response = check(await client.responses.create(model="everything", input="where is order 7?"))
    assert [item.type for item in response.output] == [
        "reasoning",
        "message",
        "mcp_call",
        "mcp_call",
        "message",
    ]
    _, first, looked, refused, last = [item.model_dump() for item in response.output]
    assert (first["phase"], last["phase"]) == ("commentary", "final_answer")
    assert (first["agent"], last["agent"]) == ("everything", "billing")
    assert last["structured"] == {"state": "shipped"}
    assert (looked["name"], looked["output"], looked["server_label"]) == ("lookup", "shipped", "everything")
    assert refused["error"]["hazard"] == "TL401"


async def test_the_stream_folds_to_what_is_retrieved(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model="everything", input="where?", stream=True)
    events = [event async for event in stream]
    final = events[-1]
    assert final.type == "response.completed"
    done = [event.item for event in events if event.type == "response.output_item.done"]
    retrieved = check(await client.responses.retrieve(final.response.id))
    assert final.response == retrieved
    assert [item.model_dump() for item in done] == [item.model_dump() for item in retrieved.output]
    assert [event.sequence_number for event in events] == list(range(len(events)))


async def test_text_arrives_as_deltas(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model="stream", input="count", stream=True)
    deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    assert deltas == ["one ", "two ", "three"]


async def test_the_stream_helper_of_the_client_works(client: AsyncOpenAI) -> None:
    async with client.responses.stream(model="stream", input="count") as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    assert final.output_text == "one two three"


async def test_a_stream_can_be_resumed_after_any_event(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model="everything", input="where?", stream=True)
    whole = [event async for event in stream]
    response_id = whole[-1].response.id  # type: ignore[union-attr]
    for seen in (0, 4, len(whole) - 2):
        again = await client.responses.retrieve(response_id, stream=True, starting_after=seen)
        assert [event async for event in again] == whole[seen + 1 :]


async def test_background_answers_at_once_and_can_be_streamed_later(served: Any) -> None:
    client = served.openai()
    begun = check(await client.responses.create(model="waits", input="x", background=True))
    assert begun.status in ("queued", "in_progress")
    assert begun.background is True
    stream = await client.responses.retrieve(begun.id, stream=True)
    events = []
    async for event in stream:
        events.append(event.type)
        if event.type == "response.output_text.delta":
            served.signals.set("go")
    assert events[0] == "response.created"
    assert events[-1] == "response.completed"
    assert (await client.responses.retrieve(begun.id)).output_text == "waited"


async def test_background_and_stream_shows_the_id_before_the_turn_starts(serve: Any) -> None:
    served = await serve(attach=False)
    client = served.openai()
    stream = await client.responses.create(model="echo", input="x", background=True, stream=True)
    first = await anext(aiter(stream))
    assert first.type == "response.created"
    assert first.response.status == "queued"
    await served.engine.attach(served.worker)
    rest = [event.type async for event in stream]
    assert rest[-1] == "response.completed"


async def test_a_conversation_goes_on_by_id_or_by_previous_response(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="echo", input="one")
    assert first.conversation is not None
    conversation = first.conversation.id
    second = await client.responses.create(model="echo", input="two", previous_response_id=first.id)
    third = await client.responses.create(model="echo", input="three", conversation=conversation)
    fourth = await client.responses.create(model="echo", input="four", conversation={"id": conversation})
    assert [r.conversation.id for r in (second, third, fourth) if r.conversation] == [conversation] * 3
    assert second.previous_response_id == first.id


async def test_going_on_from_an_older_response_is_refused_because_it_would_branch(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="echo", input="one")
    await client.responses.create(model="echo", input="two", previous_response_id=first.id)
    with pytest.raises(openai.ConflictError, match="can't be branched") as caught:
        await client.responses.create(model="echo", input="other", previous_response_id=first.id)
    assert caught.value.code == "not_latest_response"


async def test_conversation_and_previous_response_exclude_each_other(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="not both"):
        await client.responses.create(
            model="echo", input="x", conversation="conv_1", previous_response_id="resp_1"
        )


async def test_input_may_be_messages_with_parts_and_images(served: Any) -> None:
    image = "data:image/png;base64,AAAA"
    content = [
        {"type": "input_text", "text": "what is"},
        {"type": "input_image", "image_url": image, "detail": "low"},
    ]
    await served.openai().responses.create(model="echo", input=[{"role": "user", "content": content}])
    (item,) = served.worker.claims[-1].turn.input
    assert item["content"] == content
    assert item["role"] == "user"


async def test_earlier_messages_in_the_input_become_history(served: Any) -> None:
    said = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "bye"},
    ]
    response = await served.openai().responses.create(model="echo", input=said)
    assert response.output_text == "you said: bye"
    claim = served.worker.claims[-1]
    assert [item["role"] for item in claim.items] == ["user", "assistant"]
    assert claim.items[1]["content"] == [{"type": "output_text", "text": "hello"}]


async def test_input_items_of_a_response_can_be_read(client: AsyncOpenAI) -> None:
    given = [{"role": "user", "content": f"m{n}"} for n in range(3)]
    response = await client.responses.create(model="echo", input=given)  # type: ignore[arg-type]
    page = await client.responses.input_items.list(response.id, order="asc", limit=2)
    assert page.has_more
    assert [item.content[0].text async for item in page] == ["m0", "m1", "m2"]  # type: ignore[union-attr]


async def test_a_question_ends_the_turn_and_a_call_output_answers_it(client: AsyncOpenAI) -> None:
    asked = check(await client.responses.create(model="asks", input="delete it"))
    (call,) = asked.output
    assert call.type == "function_call"
    assert call.name == "request_user_input"
    assert asked.model_dump()["input_required"]["prompt"] == "Are you sure?"
    answer = {"type": "function_call_output", "call_id": call.call_id, "output": "I am"}
    done = await client.responses.create(model="asks", input=[answer], previous_response_id=asked.id)  # type: ignore[list-item]
    assert done.output_text == "thanks for: I am"


async def test_a_question_can_be_answered_by_plain_text(client: AsyncOpenAI) -> None:
    asked = await client.responses.create(model="asks", input="delete it")
    done = await client.responses.create(model="asks", input="yes", previous_response_id=asked.id)
    assert done.output_text == "thanks for: yes"


async def test_an_answer_to_no_question_is_refused(client: AsyncOpenAI) -> None:
    answer = {"type": "function_call_output", "call_id": "call_x", "output": "yes"}
    with pytest.raises(openai.BadRequestError, match="no question with call_id"):
        await client.responses.create(model="asks", input=[answer])  # type: ignore[list-item]


async def test_an_incomplete_answer_is_marked(client: AsyncOpenAI) -> None:
    response = check(await client.responses.create(model="cut", input="x"))
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output[0].status == "incomplete"  # type: ignore[union-attr]
    stream = await client.responses.create(model="cut", input="x", stream=True)
    assert [event.type async for event in stream][-1] == "response.incomplete"


@pytest.mark.parametrize(
    ("kind", "status"),
    [("provider", 502), ("deadline", 504), ("agent", 500), ("tool", 500), ("state", 500), ("attempts", 500)],
)
async def test_a_failed_turn_answers_by_whose_fault_it_was(client: AsyncOpenAI, kind: str, status: int) -> None:
    with pytest.raises(openai.APIStatusError, match="the tool lookup failed") as caught:
        await client.responses.create(model="fails", input=f"{kind} some_code")
    error = caught.value
    assert error.status_code == status
    assert error.code == "some_code"
    assert error.type == f"{kind}_error"
    assert error.response.headers["x-should-retry"] == "false"
    body: Any = error.body
    assert body["hazard"] == "TL401"
    assert body["hazard_url"].endswith("/hazards/TL401")
    assert (body["agent"], body["tool"], body["error_type"]) == ("support", "lookup", "KeyError")
    assert body["request_id"] == error.request_id
    assert "secret" not in error.response.text
    failed = check(await client.responses.retrieve(body["response_id"]))
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.message == "the tool lookup failed"
    assert failed.error.model_dump()["failure_code"] == "some_code"


async def test_a_failed_stream_ends_with_response_failed(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model="fails", input="tool", stream=True)
    last = [event async for event in stream][-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert "secret" not in last.model_dump_json()


async def test_cancel_ends_a_running_response_for_everybody(served: Any) -> None:
    client = served.openai()
    plain = asyncio.create_task(client.responses.create(model="waits", input="x"))
    await served.signals.wait("waiting")
    turn_id = served.worker.claims[-1].turn.id
    stream = await client.responses.retrieve(turn_id, stream=True)
    await client.responses.cancel(turn_id)
    last = [event async for event in stream][-1]
    assert last.type == "response.failed"
    assert last.response.status == "cancelled"
    with pytest.raises(openai.ConflictError) as caught:
        await plain
    assert caught.value.type == "cancelled_error"
    assert check(await client.responses.retrieve(turn_id)).status == "cancelled"
    again = await client.responses.cancel(turn_id)
    assert again.status == "cancelled"


async def test_deleting_one_response_is_not_possible_and_says_so(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model="echo", input="x")
    with pytest.raises(openai.APIStatusError) as caught:
        await client.responses.delete(response.id)
    assert caught.value.status_code == 405
    assert caught.value.response.headers["allow"] == "GET, HEAD"


async def test_the_same_idempotency_key_gives_the_same_response(served: Any) -> None:
    client = served.openai()
    headers = {"Idempotency-Key": "once"}
    first = await client.responses.create(model="echo", input="x", extra_headers=headers)
    again = await client.responses.create(model="echo", input="x", extra_headers=headers)
    assert again == first
    assert len(served.worker.claims) == 1
    with pytest.raises(openai.ConflictError, match="used before with another body"):
        await client.responses.create(model="echo", input="y", extra_headers=headers)


async def test_a_repeated_request_finds_its_turn_although_it_is_no_longer_the_latest(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="echo", input="one")
    options: Any = {
        "model": "echo",
        "input": "two",
        "previous_response_id": first.id,
        "extra_headers": {"Idempotency-Key": "k2"},
    }
    second = await client.responses.create(**options)
    assert await client.responses.create(**options) == second


async def test_when_busy_reject_answers_409_and_enqueue_waits(served: Any) -> None:
    client = served.openai()
    first = await client.responses.create(model="waits", input="x", background=True)
    await served.signals.wait("waiting")
    conversation = first.conversation.id
    with pytest.raises(openai.ConflictError) as caught:
        await client.responses.create(
            model="waits",
            input="y",
            conversation=conversation,
            extra_body={"turnlane": {"when_busy": "reject"}},
        )
    assert caught.value.code == "conversation_busy"
    assert caught.value.response.headers["x-should-retry"] == "false"
    queued = await client.responses.create(model="waits", input="y", conversation=conversation, background=True)
    assert queued.status == "queued"
    served.signals.set("go")
    stream = await client.responses.retrieve(queued.id, stream=True)
    assert [event.type async for event in stream][-1] == "response.completed"


async def test_the_agents_own_when_busy_setting_is_the_default(serve: Any) -> None:
    from turnlane.runtime.app import AgentSettings

    served = await serve(agent_settings={"waits": AgentSettings(when_busy="reject")})
    client = served.openai()
    first = await client.responses.create(model="waits", input="x", background=True)
    await served.signals.wait("waiting")
    with pytest.raises(openai.ConflictError):
        await client.responses.create(model="waits", input="y", conversation=first.conversation.id)


async def test_a_full_lane_answers_429_with_retry_after(serve: Any) -> None:
    from turnlane.runtime.limits import Bounds

    served = await serve(bounds=Bounds(lane=1))
    client = served.openai()
    first = await client.responses.create(model="waits", input="x", background=True)
    await served.signals.wait("waiting")
    options: Any = {
        "model": "waits",
        "input": "y",
        "conversation": first.conversation.id,
        "background": True,
    }
    await client.responses.create(**options)
    with pytest.raises(openai.RateLimitError) as caught:
        await client.responses.create(**options)
    assert caught.value.code == "lane_full"
    assert int(caught.value.response.headers["retry-after"]) >= 1


async def test_a_draining_server_answers_503_with_retry_after(served: Any) -> None:
    served.intake.draining = True
    with pytest.raises(openai.InternalServerError) as caught:
        await served.openai().responses.create(model="echo", input="x")
    assert caught.value.status_code == 503
    assert caught.value.code == "draining"
    assert int(caught.value.response.headers["retry-after"]) >= 1


async def test_a_response_that_waits_while_the_server_stops_is_kept_and_not_repeated(serve: Any) -> None:
    served = await serve(attach=False)
    client = served.openai(max_retries=2)
    plain = asyncio.create_task(client.responses.create(model="echo", input="x"))
    while not (await served.engine.stats()).queued:
        await asyncio.sleep(0)
    (turn,) = await served.engine.turns()
    await served.engine.close()
    with pytest.raises(openai.InternalServerError) as caught:
        await plain
    assert caught.value.code == "server_stopped"
    assert caught.value.body["response_id"] == turn.id  # type: ignore[index]
    reopened = another(served.engine)
    await reopened.open()
    assert [kept.id for kept in await reopened.turns()] == [turn.id]
    await reopened.close()


async def test_a_tool_that_calls_its_own_conversation_gets_a_typed_error_at_once(serve: Any) -> None:
    from turnlane.runtime.agent import Run

    served = await serve()
    client = served.openai()
    seen: list[Exception] = []

    async def calls_itself(act: Any) -> None:
        run = Run(act.claim, act.agent, lambda event: None, boundary=None)  # type: ignore[arg-type]
        served.intake.active.add(run)
        try:
            with run.in_foreign_code():
                await client.responses.create(
                    model="echo", input="again", conversation=act.claim.turn.conversation
                )
        except openai.APIStatusError as error:
            seen.append(error)
        finally:
            served.intake.active.remove(run)
        await act.say("done")

    served.worker.scripts = {**served.worker.scripts, "echo": calls_itself}
    await client.responses.create(model="echo", input="x")
    (error,) = seen
    assert isinstance(error, openai.ConflictError)
    assert error.code == "reentrant_run"
    assert error.body["hazard"] == "TL402"  # type: ignore[index]


async def test_the_other_agent_of_a_conversation_is_refused(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="echo", input="x")
    with pytest.raises(openai.BadRequestError, match="belongs to agent 'echo'"):
        await client.responses.create(model="stream", input="x", previous_response_id=first.id)


async def test_metadata_comes_back(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model="echo", input="x", metadata={"ticket": "7"})
    assert (await client.responses.retrieve(response.id)).metadata == {"ticket": "7"}


async def test_notes_are_streamed_when_asked_for(served: Any) -> None:
    client = served.openai(_strict_response_validation=False)  # as the client is by default
    stream = await client.responses.create(
        model="everything", input="x", stream=True, extra_body={"turnlane": {"notes": True}}
    )
    kinds = [event.model_dump()["kind"] async for event in stream if event.type == "turnlane.note"]
    assert kinds == ["handoff", "model.call"]


async def test_the_request_id_is_sent_back_and_kept(client: AsyncOpenAI) -> None:
    raw = await client.responses.with_raw_response.create(
        model="echo", input="x", extra_headers={"x-request-id": "trace-1"}
    )
    assert raw.headers["x-request-id"] == "trace-1"
    assert raw.parse().model_dump()["request_id"] == "trace-1"
    odd = await client.responses.with_raw_response.create(
        model="echo", input="x", extra_headers={"x-request-id": "a b;c"}
    )
    assert odd.headers["x-request-id"].startswith("req_")


async def test_models_are_the_agents(client: AsyncOpenAI) -> None:
    listed = [model.id async for model in await client.models.list()]
    assert "echo" in listed
    assert (await client.models.retrieve("echo")).owned_by == "turnlane"
    with pytest.raises(openai.NotFoundError, match="there are: "):
        await client.models.retrieve("nobody")
    with pytest.raises(openai.NotFoundError) as caught:
        await client.responses.create(model="nobody", input="x")
    assert caught.value.code == "model_not_found"
