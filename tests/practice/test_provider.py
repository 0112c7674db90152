"""Starting, stopping, recording, and use from another process."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time

import httpx2
import openai
import pytest

from turnlane.practice import PortUnavailable, PracticeProvider, Rule, Script, ScriptError
from turnlane.practice.recorder import Recorder

BODY = {"model": "m", "messages": [{"role": "user", "content": "my word is xylophone"}]}
OK = [Rule(say="ok")]


async def post(client, provider, body=BODY):
    return await client.post(f"{provider.base_url}/chat/completions", json=body)


@pytest.mark.anyio
class TestRecords:
    async def test_a_record_tells_the_request_and_its_end(self, openai_client):
        before = time.monotonic()
        async with PracticeProvider(OK) as provider:
            await openai_client(provider).chat.completions.create(**BODY, extra_headers={"x-turn": "7"})
            [record] = provider.requests
        assert before <= record.started <= record.finished <= time.monotonic()
        assert (record.number, record.method, record.path) == (1, "POST", "/v1/chat/completions")
        assert record.body == BODY
        assert record.headers["x-turn"] == "7"
        assert (record.status, record.fault, record.disconnected) == (200, None, False)

    async def test_keys_are_not_kept(self, openai_client):
        async with PracticeProvider(OK) as provider:
            await openai_client(provider).chat.completions.create(**BODY)
            [record] = provider.requests
        assert record.headers["authorization"] == "redacted"
        assert "sk-secret" not in repr(record)

    async def test_refused_requests_are_recorded_too(self, raw_client):
        async with PracticeProvider(OK) as provider:
            await raw_client.post(f"{provider.base_url}/chat/completions", content=b"{")
            await post(raw_client, provider, {"model": "m"})
            assert [(r.status, r.body) for r in provider.requests] == [(400, None), (400, {"model": "m"})]

    async def test_prompts_containing_finds_words_anywhere_in_the_messages(self, raw_client):
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "zebra"}'}}
        messages = [
            {"role": "user", "content": [{"type": "text", "text": "my word\nis xylophone"}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": '"quoted" result'},
        ]
        async with PracticeProvider(OK) as provider:
            await post(raw_client, provider)
            await post(raw_client, provider, {"model": "m", "messages": messages})
            found = {
                word: [r.number for r in provider.prompts_containing(word)]
                for word in ("xylophone", "zebra", '"quoted"', "word\nis", "m", "nowhere")
            }
        assert found["xylophone"] == [1, 2]
        assert found["zebra"] == found['"quoted"'] == found["word\nis"] == [2]
        assert found["nowhere"] == []

    async def test_wait_for_and_peak(self, raw_client):
        async with PracticeProvider([Rule(when="xylophone", fault="hang"), Rule(say="ok")]) as provider:
            hanging = [asyncio.create_task(post(raw_client, provider)) for _ in range(3)]
            records = await provider.wait_for(3)
            assert [r.status for r in records] == [None] * 3
            assert (provider.running, provider.peak_running) == (3, 3)
            for task in hanging:
                task.cancel()
            await asyncio.wait(hanging)
            async with asyncio.timeout(5):
                while provider.running:
                    await asyncio.sleep(0)
            assert all(r.disconnected for r in provider.requests)
            assert provider.peak_running == 3
            provider.clear()
            assert (provider.requests, provider.received, provider.peak_running) == ([], 0, 0)
            with pytest.raises(TimeoutError, match=r"0 of 1 requests reached the practice provider in 0\.01 s"):
                await provider.wait_for(1, timeout=0.01)

    async def test_a_client_that_leaves_a_stream_is_noticed(self, raw_client):
        async with PracticeProvider(Script([Rule(say="word " * 1000)], tokens_per_second=50)) as provider:
            url = f"{provider.base_url}/chat/completions"
            async with raw_client.stream("POST", url, json={**BODY, "stream": True}) as answer:
                async for _ in answer.aiter_bytes():
                    break
            async with asyncio.timeout(5):
                while provider.running:
                    await asyncio.sleep(0)
            [record] = provider.requests
        assert (record.status, record.disconnected) == (200, True)
        assert record.finished - record.started < 10  # the whole stream takes twenty seconds

    async def test_only_the_last_are_kept_and_none_if_wanted(self, raw_client):
        for keep, expected in ((2, [3, 4]), (0, [])):
            async with PracticeProvider(OK, keep_requests=keep) as provider:
                for _ in range(4):
                    await post(raw_client, provider)
                assert [r.number for r in provider.requests] == expected
                assert provider.received == 4


def test_forgetting_keeps_the_count_of_what_runs():
    recorder = Recorder()
    number = recorder.arrived("POST", "/", [], None)
    recorder.clear()
    assert (recorder.running, recorder.peak_running) == (1, 1)
    recorder.finished(number, 200, None, disconnected=False)
    assert (recorder.running, recorder.records()) == (0, [])


@pytest.mark.anyio
class TestRunning:
    async def test_stop_is_quick_while_requests_hang_stream_and_think(self, raw_client):
        async def think(request):
            await asyncio.sleep(60)

        slow = Script([Rule(say="word " * 1000)], tokens_per_second=10)
        for script in (Script(faults=["hang"]), slow, Script(latency=60), think):
            provider = PracticeProvider(script)
            await provider.start()
            task = asyncio.create_task(post(raw_client, provider, {**BODY, "stream": True}))
            await provider.wait_for(1)
            started = time.monotonic()
            await provider.stop()
            assert time.monotonic() - started < 5
            with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
                await task
            assert (provider.running, provider.requests[0].disconnected) == (0, True)

    async def test_start_and_stop_twice(self):
        provider = PracticeProvider(OK)
        with pytest.raises(RuntimeError, match="the practice provider is not started"):
            _ = provider.base_url
        await provider.start()
        port = provider.port
        await provider.start()
        assert provider.port == port
        await provider.stop()
        await provider.stop()

    async def test_two_at_once_have_ports_of_their_own(self, raw_client):
        async with PracticeProvider([Rule(say="a")]) as a, PracticeProvider([Rule(say="b")]) as b:
            texts = [(await post(raw_client, p)).json()["choices"][0]["message"]["content"] for p in (a, b)]
        assert texts == ["a", "b"]

    async def test_port_in_use(self):
        async with PracticeProvider(OK) as provider:
            with pytest.raises(
                PortUnavailable, match=f"Port {provider.port} on 127.0.0.1 is already in use; choose"
            ):
                await PracticeProvider(OK, port=provider.port).start()

    async def test_not_an_address_of_this_machine(self):
        with pytest.raises(PortUnavailable, match="is not an address of this machine"):
            await PracticeProvider(OK, host="192.0.2.1").start()

    async def test_another_script_while_it_runs(self, raw_client):
        async with PracticeProvider(OK) as provider:
            provider.use(Script([Rule(say="new")], faults=["html"]))
            assert (await post(raw_client, provider)).status_code == 502
            provider.use([Rule(say="newer")])
            assert (await post(raw_client, provider)).json()["choices"][0]["message"]["content"] == "newer"


@pytest.mark.anyio
class TestOverHttp:
    async def test_script_and_requests(self, raw_client):
        async with PracticeProvider(OK) as provider:
            control = f"{provider.origin}/practice"
            done = await raw_client.put(f"{control}/script", content="rules: [{say: changed}]\nbudget: 1")
            assert done.json() == {"rules": 1}
            assert (await post(raw_client, provider)).json()["choices"][0]["message"]["content"] == "changed"
            assert (await post(raw_client, provider)).status_code == 429
            shown = (await raw_client.get(f"{control}/requests")).json()
            assert [r["status"] for r in shown["requests"]] == [200, 429]
            assert shown["requests"][0]["body"] == BODY
            assert (shown["running"], shown["peak_running"]) == (0, 1)
            assert (await raw_client.delete(f"{control}/requests")).json()["requests"] == []
            assert provider.requests == []

    async def test_a_wrong_script_changes_nothing(self, raw_client):
        async with PracticeProvider(OK) as provider:
            wrong = await raw_client.put(f"{provider.origin}/practice/script", content="rules: [{sya: x}]")
            assert wrong.status_code == 400
            assert wrong.json()["error"]["message"] == (
                "the script sent, line 1, rule 1: unknown key 'sya' in a rule; did you mean 'say'?"
            )
            assert (await post(raw_client, provider)).json()["choices"][0]["message"]["content"] == "ok"


def test_in_thread_serves_code_that_is_not_async():
    with PracticeProvider.in_thread(OK) as provider:
        client = openai.OpenAI(base_url=provider.base_url, api_key="x", max_retries=0)
        with client:
            assert client.chat.completions.create(**BODY).choices[0].message.content == "ok"
            with provider.faults.active("server_error"), pytest.raises(openai.InternalServerError):
                client.chat.completions.create(**BODY)
        assert [r.status for r in provider.wait_in_thread(2)] == [200, 500]
        with pytest.raises(TimeoutError, match="2 of 3 requests"):
            provider.wait_in_thread(3, timeout=0.01)
        address = f"{provider.base_url}/models"
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(address)


@pytest.mark.anyio
async def test_in_thread_beside_a_running_loop():
    with PracticeProvider.in_thread(OK) as provider:  # a blocking client in async code: what TL108 is about
        assert httpx2.post(f"{provider.base_url}/chat/completions", json=BODY).status_code == 200
        await provider.wait_for(1)


def test_in_thread_says_why_it_cannot_start():
    with PracticeProvider.in_thread(OK) as provider:
        second = PracticeProvider.in_thread(OK, port=provider.port)
        with pytest.raises(PortUnavailable, match="already in use"):
            second.__enter__()


def run(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "turnlane.practice", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_as_a_process(tmp_path):
    script = tmp_path / "script.yaml"
    script.write_text("rules: [{say: from a file}]")
    with run("--script", str(script)) as process:
        line = process.stdout.readline()
        assert re.fullmatch(r"practice provider on http://127\.0\.0\.1:\d+/v1\n", line)
        answer = httpx2.post(f"{line.split()[-1]}/chat/completions", json=BODY)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""
    assert answer.json()["choices"][0]["message"]["content"] == "from a file"


def test_process_says_in_one_line_why_it_cannot_start(tmp_path):
    with PracticeProvider.in_thread(OK) as provider, run("--port", str(provider.port)) as process:
        assert process.wait(timeout=20) == 1
        assert process.stderr.read().startswith(f"Port {provider.port} on 127.0.0.1 is already in use")
    script = tmp_path / "script.yaml"
    script.write_text("rules: 3")
    with run("--script", str(script)) as process:
        assert process.wait(timeout=20) == 2
        assert process.stderr.read() == f"{script}, line 1: 'rules' must be a list, not 3\n"


def test_unusable_script_is_refused_before_it_starts(tmp_path):
    with pytest.raises(ScriptError, match="cannot be read"):
        PracticeProvider(tmp_path / "none.yaml")
