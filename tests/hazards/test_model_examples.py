"""TL3xx: what the bad examples do to the provider, and what the good ones do instead."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest


def run(scenario: Callable[[], Any]) -> Any:
    return asyncio.run(scenario())


@pytest.mark.parametrize("code", ["TL301", "TL302"])
def test_a_client_made_at_start_up_serves_all_requests(provider, examples, serving, code: str) -> None:
    async def scenario() -> list[str]:
        async with serving(examples.good(code)) as module:
            return [await module.chat(text) for text in "abc"]

    assert run(scenario) == ["You said: a", "You said: b", "You said: c"]
    assert len(provider.connections) == 1


def test_tl301_an_import_opens_the_connection(provider, examples) -> None:
    examples.bad("TL301")
    assert len(provider.connections) == 1  # every forked worker would inherit it


def test_tl302_a_client_per_request_opens_a_connection_each(provider, examples) -> None:
    module = examples.bad("TL302")

    async def scenario() -> None:
        for text in "abc":
            await module.chat(text)
            gc.collect()

    run(scenario)
    assert len(provider.connections) == 3


@pytest.mark.parametrize(("kind", "at_once"), [("bad", 20), ("good", 5)])
def test_tl303_calls_in_flight(provider, examples, model, kind: str, at_once: int) -> None:
    module = getattr(examples, kind)("TL303")
    provider.delay = 0.1

    async def scenario() -> list[str]:
        async with model() as client:
            return await module.answer_all([str(number) for number in range(20)], client)

    assert len(run(scenario)) == 20
    assert provider.most_at_once <= at_once
    assert provider.most_at_once > 5 or kind == "good"


def twice_busy(provider: Any) -> Callable[[Any], Any]:
    """Fail the first two requests with a 500, then answer."""

    def script(messages: Any) -> Any:
        if len(provider.requests) <= 2:
            return provider.say(status=500, headers={"retry-after-ms": "1"})
        return provider.say("paid")

    return script


def test_tl304_a_retried_run_repeats_the_message(provider, examples) -> None:
    provider.script = twice_busy(provider)
    assert run(lambda: examples.bad("TL304").answer("pay invoice 7")) == "paid"
    assert provider.user_texts()[-1] == ["pay invoice 7"] * 3


def test_tl304_a_retried_call_does_not(provider, examples) -> None:
    provider.script = twice_busy(provider)
    assert run(lambda: examples.good("TL304").answer("pay invoice 7")) == "paid"
    assert provider.user_texts() == [["pay invoice 7"]] * 3


@pytest.mark.parametrize(("kind", "calls"), [("bad", 45), ("good", 5)])
def test_tl305_calls_for_one_question(provider, examples, documented, kind: str, calls: int) -> None:
    provider.script = lambda messages: provider.say(
        status=429,
        error="You exceeded your current quota, please check your plan and billing details.",
        code="insufficient_quota",
        headers={"retry-after-ms": "1"},
    )
    with pytest.raises(Exception, match="quota") as error:
        run(lambda: getattr(examples, kind)("TL305").answer("hi"))
    assert documented("TL305", error.value)
    assert len(provider.requests) == calls


def test_tl306_the_defaults_are_as_the_page_says() -> None:
    from openai import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT

    assert DEFAULT_TIMEOUT.read == 600
    assert DEFAULT_MAX_RETRIES == 2


def test_tl306_a_deadline_ends_the_turn(provider, examples) -> None:
    provider.delay = 1
    module = examples.good("TL306")
    with pytest.raises(module.TurnTookTooLong, match=r"no answer within 0\.2 s"):
        run(lambda: module.answer("hi", deadline=0.2))


def test_tl307_half_an_answer_looks_like_a_whole_one(provider, examples) -> None:
    provider.script = lambda messages: provider.say("Step 1: unplug the", finish="length")
    assert run(lambda: examples.bad("TL307").answer("help")) == "Step 1: unplug the"


def test_tl307_a_checked_answer_is_refused(provider, examples) -> None:
    module = examples.good("TL307")
    assert run(lambda: module.answer("help")) == "You said: help"
    provider.script = lambda messages: provider.say("Step 1: unplug the", finish="length")
    with pytest.raises(module.IncompleteAnswer, match="finish_reason is 'length'"):
        run(lambda: module.answer("help"))
