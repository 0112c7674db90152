"""What the calls of a model show on the wire."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any

import pytest
from tests.guard.conftest import Watched

from turnlane.practice import Fault, PracticeProvider, Rule

Program = Callable[[str, PracticeProvider], dict[str, Any]]
Rules = list[Rule]

DOWN = [Rule(fault=Fault("server_error", status=503, retry_after=0))]
EMPTY_ACCOUNT = [Rule(fault="insufficient_quota")]


def run(program: Program, rules: Rules, text: str) -> PracticeProvider:
    with PracticeProvider.in_thread(rules) as provider:
        program(text, provider)
    return provider


def apart(program: Program, rules: Rules, text: str) -> None:
    """In a thread and a context of its own: this file, which names finish_reason, is then not on the stack,
    and the program is no part of this test's unit of work, at whose end an answer is judged."""
    with ThreadPoolExecutor(1) as pool, PracticeProvider.in_thread(rules) as provider:
        Context().run(pool.submit, program, text, provider).result()


LAYERS = """
async def main():
    async with AsyncOpenAI(max_retries={sdk}) as client:
        for _ in range({loop}):
            with contextlib.suppress(openai.OpenAIError):
                await ask(client)
asyncio.run(main())
"""

SYNC_LAYERS = """
client = OpenAI(max_retries=1)
for _ in range(2):
    with contextlib.suppress(openai.OpenAIError):
        ask_sync(client)
client.close()
"""


@pytest.mark.parametrize("text", [LAYERS.format(sdk=1, loop=3), SYNC_LAYERS], ids=["async", "sync"])
def test_retries_that_multiply(watched: Watched, program: Program, text: str) -> None:
    run(program, DOWN, text)
    hazard = watched.hazard("TL305")
    assert hazard["measures"] == {"attempts": 3, "calls": 2, "budget": 2}
    assert watched.codes == {"TL305"}


def test_an_empty_account_is_asked_again(watched: Watched, program: Program) -> None:
    run(program, EMPTY_ACCOUNT, LAYERS.format(sdk=0, loop=2))
    assert "insufficient_quota" in watched.hazard("TL305")["message"]


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (DOWN, LAYERS.format(sdk=2, loop=1)),
        (DOWN, LAYERS.format(sdk=0, loop=3)),
        (EMPTY_ACCOUNT, LAYERS.format(sdk=1, loop=1)),
        (
            [Rule(when="odd", fault=Fault("server_error", status=503, retry_after=0)), Rule(say="hi")],
            """
            async def main():
                async with AsyncOpenAI(max_retries=1) as client:
                    for text in ("odd 1", "even", "odd 2", "even", "even"):
                        with contextlib.suppress(openai.OpenAIError):
                            await ask(client, text)
            asyncio.run(main())
            """,
        ),
        (
            DOWN,
            """
            async def main():
                async with AsyncOpenAI(max_retries=1) as client:
                    for role in ("the cost", "the risk"):
                        with contextlib.suppress(openai.OpenAIError):
                            messages = [{"role": "system", "content": role}, {"role": "user", "content": "Why?"}]
                            await client.chat.completions.create(model="m", messages=messages)
            asyncio.run(main())
            """,
        ),
    ],
    ids=[
        "the SDK's own budget",
        "a loop's own budget",
        "an empty account, once",
        "different questions",
        "one question to different roles",
    ],
)
def test_one_budget_is_right(watched: Watched, program: Program, rules: Rules, text: str) -> None:
    run(program, rules, text)
    assert watched.hazards == []


def test_failures_carry_the_provider_s_error(watched: Watched, program: Program) -> None:
    run(program, DOWN, LAYERS.format(sdk=0, loop=1))
    (failure,) = watched.of_kind("failure")
    assert failure["exception"]["type"] == "openai.InternalServerError"


BURST = """
async def main():
    limit = asyncio.Semaphore({limit})
    async with AsyncOpenAI(max_retries=0) as client:
        async def one(number):
            async with limit:
                with contextlib.suppress(openai.RateLimitError):
                    await ask(client, f"row {{number}}")
        await asyncio.gather(*(one(number) for number in range(30)))
asyncio.run(main())
"""


@pytest.mark.parametrize(("limit", "codes"), [(1000, {"TL303"}), (4, set())], ids=["no limit", "a limit"])
def test_bursts(watched: Watched, program: Program, limit: int, codes: set[str]) -> None:
    run(
        program,
        [Rule(when="row [0-9]$", say="hi", latency=0.1), Rule(fault="rate_limit", latency=0.1)],
        BURST.format(limit=limit),
    )
    assert watched.codes == codes


def test_a_burst_that_the_provider_takes_is_right(watched: Watched, program: Program) -> None:
    run(program, [Rule(say="hi", latency=0.05)], BURST.format(limit=1000))
    assert watched.hazards == []


CUT = [Rule(say="Step 1: unplug the", finish_reason="length")]
CUT_STREAM = [Rule(say="one two three four five", fault=Fault("cut_stream", after_chunks=2))]

ASKS = """
async def main():
    async with AsyncOpenAI(max_retries=0) as client:
        return await ask(client)
asyncio.run(main())
"""
STREAMS = """
async def main():
    async with AsyncOpenAI(max_retries=0) as client:
        options = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
        text = ""
        async for chunk in await client.chat.completions.create(stream=True, **options):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            if len(text) > MOST:
                break
        return text
MOST = 10000
asyncio.run(main())
"""
STREAMS_SYNC = """
client = OpenAI(max_retries=0)
options = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
for chunk in client.chat.completions.create(stream=True, **options):
    pass
client.close()
"""


@pytest.mark.parametrize(
    ("rules", "text", "reason"),
    [
        (CUT, ASKS, "length"),
        (CUT, "client = OpenAI()\nask_sync(client)\nclient.close()", "length"),
        (CUT, STREAMS, "length"),
        (CUT_STREAM, STREAMS, "no end"),
        (CUT_STREAM, STREAMS_SYNC, "no end"),
        (CUT, ASKS + "# nobody looks at finish_reason\n'incomplete is what finish_reason would say'\n", "length"),
        (CUT, ASKS + "def spent(usage):\n    return {'out': usage['completion_tokens']}\n", "length"),
    ],
    ids=["cut", "cut, sync", "cut, streamed", "no end", "no end, sync", "words about it", "usage"],
)
def test_a_cut_answer_that_nobody_looks_at(
    watched: Watched, program: Program, rules: Rules, text: str, reason: str
) -> None:
    apart(program, rules, text)
    assert watched.hazard("TL307")["measures"] == {"finish_reason": reason}
    assert watched.codes == {"TL307"}


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (CUT, ASKS + "def whole(answer):\n    return answer.choices[0].finish_reason == 'stop'\n"),
        (CUT, ASKS + "REASON = 'finish_reason'\n"),
        (CUT, ASKS + "def whole(usage):\n    return usage['completion_tokens'] < 50\n"),
        ([Rule(say="a whole answer, piece by piece")], STREAMS),
        ([Rule(say="a whole answer, piece by piece")], STREAMS_SYNC),
        ([Rule(say="a whole answer, of which nobody reads the end")], STREAMS.replace("10000", "3")),
    ],
    ids=["somebody looks", "by a key", "by the length", "complete", "complete, sync", "the reader leaves"],
)
def test_complete_answers_are_right(watched: Watched, program: Program, rules: Rules, text: str) -> None:
    apart(program, rules, text)
    assert watched.hazards == []


SYNC_IN_A_LOOP = """
client = OpenAI()
async def handler():
    return ask_sync(client)
async def main():
    {other}
    await handler()
asyncio.run(main())
client.close()
"""


BEFORE_IT_SERVES = """
from starlette.applications import Starlette
client = OpenAI()
@contextlib.asynccontextmanager
async def lifespan(app):
    ask_sync(client)
    yield
app = Starlette(lifespan=lifespan)
async def main():
    waiting = asyncio.create_task(asyncio.sleep(0.1))
    messages = iter(["lifespan.startup", "lifespan.shutdown"])
    async def receive():
        return {"type": next(messages)}
    async def send(message):
        assert message["type"].endswith(".complete")
    await app({"type": "lifespan"}, receive, send)
asyncio.run(main())
client.close()
"""


def test_a_blocking_client_before_the_server_serves(
    watched: Watched, program: Program, provider: PracticeProvider
) -> None:
    program(BEFORE_IT_SERVES, provider)
    assert watched.hazards == []


@pytest.mark.parametrize(
    ("other", "codes"),
    [("waiting = asyncio.create_task(asyncio.sleep(0.1))", {"TL108"}), ("pass", set())],
    ids=["others wait", "alone"],
)
def test_a_blocking_client_in_a_loop(
    watched: Watched, program: Program, provider: PracticeProvider, other: str, codes: set[str]
) -> None:
    program(SYNC_IN_A_LOOP.format(other=other), provider)
    assert watched.codes == codes


AWAITED = """
client = OpenAI()
HELLO = [dict(role="user", content="hello")]
async def later():
    return ask_sync(client)
async def main():
    try:
        await {call}
    except TypeError:
        pass
asyncio.run(main())
client.close()
"""


@pytest.mark.parametrize(
    ("call", "codes"),
    [
        ("client.chat.completions.create(model='gpt-4o-mini', messages=HELLO)", {"TL109"}),
        ("later()", set()),
        ("asyncio.to_thread(ask_sync, client)", set()),
    ],
)
def test_a_blocking_client_that_is_awaited(
    watched: Watched, program: Program, provider: PracticeProvider, call: str, codes: set[str]
) -> None:
    program(AWAITED.format(call=call), provider)
    assert watched.codes == codes
