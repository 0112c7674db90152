"""What clients see of each fault, and when faults happen."""

from __future__ import annotations

import asyncio
import json

import httpx2
import openai
import pytest

from turnlane.practice import Answer, Budget, Fault, FaultBoard, PracticeProvider, Rule, Script, ScriptError

pytestmark = pytest.mark.anyio

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
IMPATIENT = httpx2.Timeout(10, read=0.2)  # slow to connect on a busy machine is no fault
LONG = "one two three four five six seven eight"


async def post(client, provider, **more):
    return await client.post(f"{provider.base_url}/chat/completions", json={**BODY, **more})


def provider_with(fault, **options) -> PracticeProvider:
    return PracticeProvider(Script([Rule(say=LONG)], faults=[fault], **options))


@pytest.mark.parametrize(
    ("fault", "error", "status", "code"),
    [
        (Fault("rate_limit", retry_after=0.25), openai.RateLimitError, 429, "rate_limit_exceeded"),
        (Fault("insufficient_quota"), openai.RateLimitError, 429, "insufficient_quota"),
        (Fault("unauthorized"), openai.AuthenticationError, 401, "invalid_api_key"),
        (Fault("server_error"), openai.InternalServerError, 500, None),
        (Fault("server_error", status=502), openai.InternalServerError, 502, None),
        (Fault("server_error", status=503), openai.InternalServerError, 503, None),
        (Fault("server_error", status=529), openai.InternalServerError, 529, None),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_error_answers(openai_client, fault, error, status, code):
    async with provider_with(fault) as provider:
        with pytest.raises(error) as raised:
            await openai_client(provider).chat.completions.create(**BODY)
        assert raised.value.status_code == status
        assert raised.value.code == code
        assert raised.value.body["message"]
        [record] = provider.requests
    assert (record.status, record.fault, record.disconnected) == (status, fault.kind, False)


async def test_retry_after_headers(raw_client):
    async with provider_with(Fault("rate_limit", retry_after=1.25)) as provider:
        headers = (await post(raw_client, provider)).headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1250")


async def test_a_request_that_hangs_is_known_to_do_so(raw_client):
    async with provider_with("hang") as provider:
        asking = asyncio.create_task(post(raw_client, provider))
        await until(lambda: [record.fault for record in provider.requests] == ["hang"])
        assert provider.requests[0].finished is None
        asking.cancel()
        await asyncio.wait([asking])


async def test_hang_lasts_until_the_client_gives_up(openai_client):
    async with provider_with("hang") as provider:
        client = openai_client(provider, timeout=IMPATIENT)
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(**BODY)
        await until(lambda: provider.running == 0)
        [record] = provider.requests
    assert (record.status, record.fault, record.disconnected) == (None, "hang", True)


@pytest.mark.parametrize("reset", [False, True])
async def test_drop_ends_the_connection_before_any_answer(raw_client, reset):
    async with provider_with(Fault("drop", reset=reset)) as provider:
        # Ended in good order the client knows that the server left; reset, the system reports an error.
        expected = httpx2.ReadError if reset else httpx2.RemoteProtocolError
        with pytest.raises(expected):
            await post(raw_client, provider)
        [record] = provider.requests
    assert (record.status, record.disconnected) == (None, False)


@pytest.mark.parametrize("status", [200, 502])
async def test_html(raw_client, status):
    async with provider_with(Fault("html", status=status)) as provider:
        answer = await post(raw_client, provider)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html"
    assert answer.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("kind", ["malformed_json", "malformed_stream"])
async def test_malformed_json(raw_client, kind):
    async with provider_with(kind) as provider:
        answer = await post(raw_client, provider)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


async def test_malformed_stream_has_one_line_that_is_no_json(openai_client):
    async with provider_with(Fault("malformed_stream", after_chunks=3)) as provider:
        stream = await openai_client(provider).chat.completions.create(**BODY, stream=True)
        seen = []
        with pytest.raises(json.JSONDecodeError):
            await read_into(seen, stream)
    assert seen == ["", "one", " two", " three"]


async def test_cut_stream_in_good_order_looks_like_an_end_without_finish_reason(openai_client):
    async with provider_with(Fault("cut_stream", after_chunks=3)) as provider:
        stream = await openai_client(provider).chat.completions.create(**BODY, stream=True)
        choices = [chunk.choices[0] async for chunk in stream]
        [record] = provider.requests
    assert [c.delta.content for c in choices] == ["", "one", " two", " three"]
    assert {c.finish_reason for c in choices} == {None}
    assert (record.status, record.fault, record.disconnected) == (200, "cut_stream", False)


async def test_cut_stream_with_reset_is_an_error_after_the_chunks(raw_client):
    async with provider_with(Fault("cut_stream", after_chunks=3, reset=True)) as provider:
        got: list[bytes] = []
        url = f"{provider.base_url}/chat/completions"

        async def read() -> None:
            async with raw_client.stream("POST", url, json={**BODY, "stream": True}) as answer:
                async for data in answer.aiter_bytes():
                    got.append(data)

        with pytest.raises(httpx2.ReadError):
            await read()
    assert b"".join(got).count(b"data: ") == 4
    assert b"[DONE]" not in b"".join(got)


@pytest.mark.parametrize("reset", [False, True])
async def test_cut_of_a_plain_answer_leaves_it_short(raw_client, reset):
    async with provider_with(Fault("cut_stream", reset=reset)) as provider:
        with pytest.raises(httpx2.ReadError if reset else httpx2.RemoteProtocolError):
            await post(raw_client, provider)


async def test_stalled_stream_keeps_the_connection(openai_client):
    async with provider_with(Fault("stall_stream", after_chunks=1)) as provider:
        client = openai_client(provider, timeout=IMPATIENT)
        stream = await client.chat.completions.create(**BODY, stream=True)
        seen = []
        with pytest.raises((openai.APITimeoutError, httpx2.ReadTimeout)):
            await read_into(seen, stream)
        assert seen == ["", "one"]
        await client.close()
        await until(lambda: provider.running == 0)
        assert provider.requests[0].disconnected


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("lacks", ["choices", "content"])
async def test_empty_answer(openai_client, lacks, stream):
    async with provider_with(Fault("empty", empty=lacks)) as provider:
        got = await openai_client(provider).chat.completions.create(**BODY, stream=stream)
        choices = [c for chunk in [x async for x in got] for c in chunk.choices] if stream else got.choices
    if lacks == "choices":
        assert choices == []
    elif stream:
        assert [c.delta.content or "" for c in choices] == ["", ""]
        assert choices[-1].finish_reason == "stop"
    else:
        assert choices[0].message.content == ""


async def test_first_so_many_then_well_as_a_retrying_client_sees_it(openai_client):
    async with provider_with(Fault("server_error", status=503, first=2, retry_after=0.01)) as provider:
        client = openai_client(provider, max_retries=2)
        answer = await client.chat.completions.create(**BODY)
        assert answer.choices[0].message.content == LONG
        assert [r.status for r in provider.requests] == [503, 503, 200]


async def test_fault_of_a_rule_meets_only_that_rule(raw_client):
    rules = [Rule(when="bad", fault=Fault("server_error", first=1), say="well again"), Rule(say="good")]
    async with PracticeProvider(rules) as provider:
        bad = [{"role": "user", "content": "bad"}]
        statuses = [
            (await post(raw_client, provider, messages=m)).status_code for m in (BODY["messages"], bad, bad)
        ]
    assert statuses == [200, 500, 200]


async def test_fault_from_a_function(raw_client):
    for said in (Fault("html"), Answer(fault="html")):
        async with PracticeProvider(lambda request, said=said: said) as provider:
            assert (await post(raw_client, provider)).status_code == 502


async def test_faults_are_switched_while_it_runs(raw_client):
    async with PracticeProvider([Rule(say="ok")]) as provider:
        fault = provider.faults.add(Fault("server_error"))
        assert (await post(raw_client, provider)).status_code == 500
        provider.faults.remove(fault)
        assert (await post(raw_client, provider)).status_code == 200
        with provider.faults.active("unauthorized"):
            assert (await post(raw_client, provider)).status_code == 401
        assert (await post(raw_client, provider)).status_code == 200
        provider.faults.add("html")
        provider.faults.clear()
        assert (await post(raw_client, provider)).status_code == 200


async def test_rate_is_drawn_from_the_seed(raw_client):
    async def statuses(seed: int) -> list[int]:
        async with provider_with(Fault("server_error", rate=0.5), seed=seed) as provider:
            return [(await post(raw_client, provider)).status_code for _ in range(40)]

    one = await statuses(1)
    assert one == await statuses(1)
    assert one != await statuses(2)
    assert 8 < one.count(500) < 32


async def test_a_fault_comes_before_the_check_of_the_request(raw_client):
    async with provider_with("server_error") as provider:
        answer = await raw_client.post(f"{provider.base_url}/chat/completions", content=b"no json")
    assert answer.status_code == 500


async def test_budget_lets_through_what_it_says(raw_client):
    now = 0.0
    budget = Budget(5, burst=2, clock=lambda: now)
    async with PracticeProvider(Script([Rule(say="ok")], budget=budget)) as provider:
        answers = [await post(raw_client, provider) for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert [a.headers["x-ratelimit-remaining-requests"] for a in answers] == ["1", "0", "0"]
        assert {a.headers["x-ratelimit-limit-requests"] for a in answers} == {"2"}
        assert answers[0].headers["x-ratelimit-reset-requests"] == "200ms"
        refused = answers[2]
        assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("1", "200")
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        now = 0.2
        assert (await post(raw_client, provider)).status_code == 200
        assert (await post(raw_client, provider)).status_code == 429
        provider.faults.budget = None
        last = await post(raw_client, provider)
        assert last.status_code == 200
        assert "x-ratelimit-limit-requests" not in last.headers


async def test_real_budget_against_a_burst_of_a_retrying_client(openai_client):
    async with PracticeProvider(Script([Rule(say="ok")], budget=Budget(100, burst=5))) as provider:
        client = openai_client(provider, max_retries=30)  # all wait for the same moment, and one of them gets it
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(client.chat.completions.create(**BODY) for _ in range(15)))
        took = asyncio.get_running_loop().time() - started
        statuses = [r.status for r in provider.requests]
    assert statuses.count(200) == 15
    assert statuses.count(429) >= 1
    assert took >= 0.1  # ten more than the burst, at 100 per second


def test_budget_alone():
    now = 0.0
    budget = Budget(2, clock=lambda: now)
    assert [budget.take().allowed for _ in range(3)] == [True, True, False]
    assert budget.take().wait == pytest.approx(0.5)  # a refused request takes nothing
    now = 0.5
    assert budget.take().allowed
    now = 1000.0
    assert [budget.take().allowed for _ in range(3)] == [True, True, False]
    assert budget.full().take().remaining == 1
    assert Budget(0.5).burst == 1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Budget(0), "'requests_per_second' must be a number above 0, not 0"),
        (lambda: Budget(1, burst=0), "'burst' must be a whole number from 1, not 0"),
        (lambda: Fault("server_error", status=404), "'status' of a server_error fault cannot be 404"),
        (lambda: Fault("hang", rate=2), "'rate' of a fault is a share between 0 and 1"),
        (lambda: Fault("hang", first=-1), "'first' of a fault must be a whole number from 0, not -1"),
        (lambda: Fault("empty", empty="all"), "'empty' must be choices or content, not 'all'"),
        (lambda: FaultBoard().add("nonsense"), "unknown fault 'nonsense'"),
    ],
)
def test_nonsense_is_refused(make, sentence):
    with pytest.raises(ScriptError, match=sentence):
        make()


async def read_into(seen, stream):
    async for chunk in stream:
        seen.append(chunk.choices[0].delta.content)


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)
