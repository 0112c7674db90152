"""The recording proxy: what goes through it is the same on both sides, and kept."""

from __future__ import annotations

import httpx2
import openai
import pytest

from turnlane.practice import Fault, PracticeProvider, Rule
from turnlane.probe.belonging import TAG
from turnlane.probe.upstream import RecordingProxy

pytestmark = pytest.mark.anyio
HELLO = [{"role": "user", "content": "Hi"}]


async def test_answers_streams_errors_and_keys_pass_through() -> None:
    async with PracticeProvider([Rule(say="Hello there, how are you?")]) as real:
        proxy = RecordingProxy(real.base_url)
        await proxy.start()
        try:
            headers = {TAG: "r1", "x-own": "kept"}
            async with openai.AsyncOpenAI(base_url=proxy.base_url, api_key="sk-real", max_retries=0) as client:
                plain = await client.chat.completions.create(model="m", messages=HELLO, extra_headers=headers)  # type: ignore[arg-type]
                stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)  # type: ignore[call-overload]
                text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
                with real.faults.active("insufficient_quota"), pytest.raises(openai.RateLimitError):
                    await client.chat.completions.create(model="m", messages=HELLO)  # type: ignore[arg-type]
                assert [model.id async for model in client.models.list()] == ["practice"]
        finally:
            await proxy.stop()
        received = real.requests
    assert plain.choices[0].message.content == text == "Hello there, how are you?"
    first, second, third = proxy.calls()
    assert [first.status, second.status, third.status] == [200, 200, 429]
    assert first.body["messages"] == HELLO
    assert first.headers[TAG] == "r1"
    assert "sk-real" not in str(proxy.calls())
    assert proxy.error_of(third.number) is not None
    assert "exceeded your current quota" in str(proxy.error_of(third.number))
    assert TAG not in received[0].headers
    assert received[0].headers["x-own"] == "kept"
    assert proxy.running == 0


async def test_a_provider_that_is_not_there_is_told() -> None:
    proxy = RecordingProxy("http://127.0.0.1:9/v1")
    await proxy.start()
    try:
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"{proxy.base_url}/chat/completions", json={"model": "m", "messages": HELLO})
    finally:
        await proxy.stop()
    assert answer.status_code == 502
    assert "could not be reached" in answer.json()["error"]["message"]


async def test_a_stream_that_breaks_off_breaks_off() -> None:
    async with PracticeProvider([Rule(say="Hello there, how are you?")]) as real:
        proxy = RecordingProxy(real.base_url)
        await proxy.start()
        try:
            real.faults.add(Fault("cut_stream", reset=True))
            body = {"model": "m", "messages": HELLO, "stream": True}
            async with httpx2.AsyncClient(trust_env=False) as http:
                with pytest.raises(httpx2.HTTPError):
                    await http.post(f"{proxy.base_url}/chat/completions", json=body)
        finally:
            await proxy.stop()
