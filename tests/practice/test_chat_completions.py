"""Answers as the official client sees them."""

from __future__ import annotations

import asyncio
import json

import httpx2
import pytest

from turnlane.practice import Answer, PracticeProvider, Rule, Script, ToolCall
from turnlane.practice.app import PracticeApp
from turnlane.practice.recorder import Recorder

pytestmark = pytest.mark.anyio

HELLO = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": n, "parameters": {}}} for n in ("look_up", "refund")]


async def test_plain_answer_with_usage(openai_client):
    async with PracticeProvider([Rule(say="Hello to you")]) as provider:
        answer = await openai_client(provider).chat.completions.create(model="any", messages=HELLO)
    assert answer.choices[0].message.content == "Hello to you"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "any"
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens == 3
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 3
    assert answer._request_id.startswith("req_")


@pytest.mark.parametrize("pace", [0, 5000], ids=["at once", "paced"])
async def test_streamed_answer_is_the_same_text_in_many_chunks(openai_client, pace):
    text = "A text  with\nseveral words, ünïcode 🙂 and averyveryverylongone.\n"
    async with PracticeProvider(Script([Rule(say=text)], tokens_per_second=pace)) as provider:
        stream = await openai_client(provider).chat.completions.create(
            model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    spoken = [c.choices[0] for c in chunks if c.choices]
    assert spoken[0].delta.role == "assistant"
    assert "".join(c.delta.content or "" for c in spoken) == text
    assert len(spoken) > 8
    assert [c.finish_reason for c in spoken] == [None] * (len(spoken) - 1) + ["stop"]
    assert [c.usage is None for c in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-1].choices == []
    assert len({c.id for c in chunks}) == 1


async def test_stream_on_the_wire_ends_with_done_and_has_usage_only_when_asked(raw_client):
    async with PracticeProvider([Rule(say="Hi")]) as provider:
        url = f"{provider.base_url}/chat/completions"
        answer = await raw_client.post(url, json={"model": "m", "messages": HELLO, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all("usage" not in json.loads(event.removeprefix("data: ")) for event in events[:-2])


async def test_streamed_tool_calls_assemble(openai_client):
    calls = [ToolCall("look_up", {"id": "7", "deep": [{"n": 1}]}), ToolCall("refund", "no json")]
    async with PracticeProvider([Rule(call=[calls])]) as provider:
        stream = await openai_client(provider).chat.completions.create(
            model="m", messages=HELLO, tools=TOOLS, stream=True
        )
        chunks = [c.choices[0] async for c in stream]
    pieces = [call for c in chunks for call in c.delta.tool_calls or ()]
    named = [(p.index, p.function.name) for p in pieces if p.function.name]
    assert named == [(0, "look_up"), (1, "refund")]
    assert len({p.id for p in pieces if p.id}) == 2
    arguments = ["".join(p.function.arguments for p in pieces if p.index == i) for i in (0, 1)]
    assert json.loads(arguments[0]) == {"id": "7", "deep": [{"n": 1}]}
    assert arguments[1] == "no json"
    assert chunks[-1].finish_reason == "tool_calls"


async def test_reasoning_comes_before_the_text(openai_client):
    async with PracticeProvider([Rule(say="42", reasoning="Let me think hard.")]) as provider:
        client = openai_client(provider)
        plain = await client.chat.completions.create(model="m", messages=HELLO)
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        deltas = [c.choices[0].delta.model_dump() async for c in stream]
    assert plain.choices[0].message.reasoning_content == "Let me think hard."
    assert plain.usage.completion_tokens_details.reasoning_tokens > 0
    kinds = [k for d in deltas for k in ("reasoning_content", "content") if d.get(k)]
    assert kinds == sorted(kinds, reverse=True)
    assert "".join(d.get("reasoning_content") or "" for d in deltas) == "Let me think hard."


async def test_max_tokens_cuts_the_text(openai_client):
    async with PracticeProvider([Rule(say="one two three four")]) as provider:
        answer = await openai_client(provider).chat.completions.create(model="m", messages=HELLO, max_tokens=2)
    assert answer.choices[0].message.content == "one two"
    assert answer.choices[0].finish_reason == "length"
    assert [record.finish_reason for record in provider.requests] == ["length"]
    assert answer.usage.completion_tokens == 2


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_finish_reason_of_the_script(openai_client, reason):
    async with PracticeProvider([Rule(say="half an ans", finish_reason=reason)]) as provider:
        answer = await openai_client(provider).chat.completions.create(model="m", messages=HELLO)
    assert answer.choices[0].finish_reason == reason


async def test_structured_output_is_the_scripts_text(openai_client):
    async with PracticeProvider([Rule(say='{"mood": {"of": "{user_message}"}}')]) as provider:
        answer = await openai_client(provider).chat.completions.create(
            model="m", messages=HELLO, response_format={"type": "json_object"}
        )
    assert json.loads(answer.choices[0].message.content) == {"mood": {"of": "hello"}}


async def test_same_requests_same_answers_and_every_id_its_own(raw_client):
    async def two_answers() -> list[dict[str, object]]:
        async with PracticeProvider([Rule(call=ToolCall("look_up"))]) as provider:
            body = {"model": "m", "messages": HELLO, "tools": TOOLS}
            url = f"{provider.base_url}/chat/completions"
            answers = [(await raw_client.post(url, json=body)).json() for _ in range(2)]
            return [{k: v for k, v in a.items() if k != "created"} for a in answers]

    first, again = await two_answers(), await two_answers()
    assert first == again
    assert first[0]["id"] != first[1]["id"]
    calls = [a["choices"][0]["message"]["tool_calls"][0]["id"] for a in first]  # type: ignore[index]
    assert calls[0] != calls[1]


async def test_latency_comes_before_the_answer(openai_client):
    async with PracticeProvider([Rule(say="late", latency=(0.05, 0.06))]) as provider:
        await openai_client(provider).chat.completions.create(model="m", messages=HELLO)
        [record] = provider.requests
    assert record.finished - record.started >= 0.05


async def test_pace_spreads_the_chunks(openai_client):
    async with PracticeProvider([Rule(say="a b c d e", tokens_per_second=100)]) as provider:
        stream = await openai_client(provider).chat.completions.create(model="m", messages=HELLO, stream=True)
        assert len([c async for c in stream]) == 7
        [record] = provider.requests
    assert record.finished - record.started >= 0.05


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_works_with_and_without_the_prefix(raw_client, prefix):
    async with PracticeProvider([Rule(say="ok")]) as provider:
        answer = await raw_client.post(
            f"{provider.origin}{prefix}/chat/completions", json={"model": "m", "messages": HELLO}
        )
        assert answer.json()["choices"][0]["message"]["content"] == "ok"
        models = await raw_client.get(f"{provider.origin}{prefix}/models")
        assert models.json()["object"] == "list"


async def test_models(openai_client):
    async with PracticeProvider(Script([Rule(say="x")], models=["small", "org/large"])) as provider:
        client = openai_client(provider)
        assert [m.id async for m in client.models.list()] == ["small", "org/large"]
        assert (await client.models.retrieve("org/large")).id == "org/large"
        with pytest.raises(Exception, match="'huge' does not exist") as refused:
            await client.models.retrieve("huge")
        assert refused.value.status_code == 404
        with pytest.raises(Exception, match="'huge' does not exist") as refused:
            await client.chat.completions.create(model="huge", messages=HELLO)
        assert refused.value.code == "model_not_found"


async def test_function_scripts_sync_and_async(openai_client):
    async def thoughtful(request):
        return Answer(text=f"{request.call}: {request.user_message}", finish_reason="length")

    for script, expected in ((lambda r: r.user_message.upper(), "HELLO"), (thoughtful, "1: hello")):
        async with PracticeProvider(script) as provider:
            answer = await openai_client(provider).chat.completions.create(model="m", messages=HELLO)
            assert answer.choices[0].message.content == expected


async def test_a_failing_script_says_so_and_is_no_server_error(openai_client):
    def broken(request):
        return {}["missing"]

    async with PracticeProvider(broken) as provider:
        with pytest.raises(Exception, match=r"script broken failed: KeyError: 'missing'.*line \d+") as refused:
            await openai_client(provider).chat.completions.create(model="m", messages=HELLO)
    assert refused.value.status_code == 400
    assert refused.value.code == "practice_script_error"


@pytest.mark.parametrize(
    "said",
    [lambda: 7, lambda: Answer(text=7), lambda: Answer(tool_calls=[ToolCall("look_up", {"x": object()})])],
    ids=["type", "text", "arguments"],
)
async def test_what_is_no_answer_is_the_scripts_mistake_too(raw_client, said):
    async with PracticeProvider(lambda request: said()) as provider:
        answer = await raw_client.post(
            f"{provider.base_url}/chat/completions", json={"model": "m", "messages": HELLO}
        )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "practice_script_error")


async def test_many_at_once_on_one_provider():
    async with PracticeProvider([Rule(when="(?P<n>\\d+)", say="{n}", latency=0.05)]) as provider:
        url = f"{provider.base_url}/chat/completions"
        async with httpx2.AsyncClient(timeout=10) as client:
            answers = await asyncio.gather(
                *(
                    client.post(url, json={"model": "m", "messages": [{"role": "user", "content": f"{n}"}]})
                    for n in range(50)
                )
            )
        texts = [a.json()["choices"][0]["message"]["content"] for a in answers]
        assert texts == [str(n) for n in range(50)]
        assert 1 < provider.peak_running <= 50
        assert provider.running == 0


def test_ranges_of_latency_are_drawn_from_the_seed():
    def drawn(seed: int) -> list[float]:
        app = PracticeApp(Script(seed=seed), Recorder())
        return [app._latency((1, 2), app.script) for _ in range(5)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert all(1 <= seconds <= 2 for seconds in drawn(1))
