"""TL1xx: each bad example shows the symptom of its page, each good one works."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

# Bad examples leave coroutines that nobody awaits; that is their point.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.fixture(autouse=True)
def _fresh_loop_policy() -> Iterator[None]:
    """A bad example may leave the main thread with a loop, or without one."""
    yield
    asyncio.set_event_loop(None)


@pytest.fixture
def loop_is_watched(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "asyncio")
    return caplog


def test_tl101_a_helper_that_starts_a_loop_fails_in_a_handler(provider, examples, documented) -> None:
    module = examples.bad("TL101")
    with pytest.raises(RuntimeError) as error, warnings.catch_warnings(record=True):
        asyncio.run(module.chat("hi"))
    assert documented("TL101", error.value)


def test_tl101_an_awaited_helper_works(provider, examples, serving) -> None:
    assert asyncio.run(_chat(serving, examples.good("TL101"), "hi")) == "You said: hi"


async def _chat(serving: Callable[..., Any], module: ModuleType, *args: str) -> str:
    async with serving(module):
        return await module.chat(*args)


def test_tl102_asyncio_run_in_a_cell_fails(provider, examples, documented) -> None:
    with pytest.raises(RuntimeError) as error, warnings.catch_warnings(record=True):
        asyncio.run(examples.cell("TL102", "bad"))
    assert documented("TL102", error.value)


def test_tl102_await_in_a_cell_works(provider, examples, capsys) -> None:
    asyncio.run(examples.cell("TL102", "good"))
    assert capsys.readouterr().out == "You said: Where is order 7?\n"


def test_tl103_a_pool_thread_has_no_loop(provider, examples, documented) -> None:
    with pytest.raises(RuntimeError) as error:
        examples.bad("TL103").ask_in_background("hi")
    assert documented("TL103", error.value)


def test_tl103_a_lock_of_another_loop_is_refused(documented) -> None:
    event = asyncio.Event()

    async def wait() -> None:
        await asyncio.wait_for(event.wait(), 0.01)

    with pytest.raises(TimeoutError):
        asyncio.run(wait())
    with pytest.raises(RuntimeError) as error:
        asyncio.run(wait())
    assert documented("TL103", error.value)


def test_tl103_every_thread_may_ask_the_one_loop(provider, examples) -> None:
    module = examples.good("TL103")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(module.ask_from_any_thread, ["a", "b", "c", "d"]))
    asyncio.run_coroutine_threadsafe(module.model().close(), module.loop).result(5)
    module.loop.call_soon_threadsafe(module.loop.stop)
    assert answers == ["You said: a", "You said: b", "You said: c", "You said: d"]


def test_tl104_the_legacy_form_fails_after_asyncio_run(provider, examples, documented) -> None:
    asyncio.run(asyncio.sleep(0))
    with pytest.raises(RuntimeError) as error, warnings.catch_warnings(record=True):
        examples.bad("TL104")
    assert documented("TL104", error.value)


def test_tl104_asyncio_run_works_twice(provider, examples, capsys) -> None:
    module = examples.good("TL104")
    asyncio.run(module.main())
    asyncio.run(module.main())
    assert capsys.readouterr().out == "You said: Where is order 7?\n" * 2


def test_tl105_the_awaited_form_works(provider, examples, serving) -> None:
    assert asyncio.run(_chat(serving, examples.good("TL105"), "hi")) == "You said: hi"


def test_tl106_a_result_that_nobody_awaited(provider, examples, model, documented) -> None:
    async def answer() -> None:
        async with model() as client:
            await examples.bad("TL106").answer("hi", {}, client)

    with warnings.catch_warnings(record=True, action="always") as caught, pytest.raises(AttributeError) as error:
        asyncio.run(answer())
    assert documented("TL106", error.value)
    assert any("load_state' was never awaited" in str(warning.message) for warning in caught)
    assert provider.requests == []


def test_tl106_awaited_state_is_remembered(provider, examples, model, capsys) -> None:
    async def answer() -> None:
        module = examples.good("TL106")
        async with model() as client:
            agent = module.AssistantAgent("support", client)
            await agent.run(task="I am Ada")
            await module.answer("who am I?", dict(await agent.save_state()), client)
            await module.print_answer("hi", client)

    asyncio.run(answer())
    assert provider.user_texts()[1] == ["I am Ada", "who am I?"]
    assert capsys.readouterr().out == "user: hi\nsupport: You said: hi\n"


def test_tl108_a_blocking_tool_stops_the_loop(examples, loop_is_watched) -> None:
    async def watched() -> float:
        asyncio.get_running_loop().slow_callback_duration = 0.05
        return await _longest_pause_during(examples.bad("TL108").wait_for_stock(0.3))

    assert asyncio.run(watched(), debug=True) >= 0.3
    assert any(
        message.startswith("Executing <Task") and "took 0.3" in message for message in loop_is_watched.messages
    )


def test_tl108_the_async_forms_do_not(provider, examples) -> None:
    module = examples.good("TL108")
    module.fetch = time.sleep  # `requests` is no dependency of ours to call with
    assert asyncio.run(_longest_pause_during(module.wait_for_stock(0.3))) < 0.3
    assert asyncio.run(_longest_pause_during(module.order_status(0.3))) < 0.3


async def _longest_pause_during(work: Any) -> float:
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            start = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - start)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await work
    await asyncio.sleep(0)
    ticking.cancel()
    return longest


def test_tl110_the_loop_waits_for_itself(provider, examples, model) -> None:
    module = examples.bad("TL110")
    over = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def handle() -> None:
        loops.append(asyncio.get_running_loop())
        async with model() as client:
            await module.handler("hi", client)

    def serve() -> None:
        asyncio.run(handle())
        over.set()

    threading.Thread(target=serve, daemon=True).start()  # it hangs for ever; the process ends without it
    assert not over.wait(0.5)
    assert provider.requests == []
    assert loops
    assert loops[0].is_running()


def test_tl110_awaiting_works(provider, examples, model) -> None:
    async def handle() -> str:
        async with model() as client:
            return await examples.good("TL110").handler("hi", client)

    assert asyncio.run(handle()) == "You said: hi"


async def lookup(order: str) -> str:
    return f"order {order} is on its way"


def test_tl111_the_wrong_test_never_finds_an_async_function(examples, documented) -> None:
    result = asyncio.run(examples.bad("TL111").call(lookup, "7"))
    assert documented("TL111", repr(result))
    result.close()


def test_tl111_asking_the_result_works_for_both_kinds(examples) -> None:
    call = examples.good("TL111").call
    assert asyncio.run(call(lookup, "7")) == "order 7 is on its way"
    assert asyncio.run(call(str.upper, "a")) == "A"


def test_tl112_every_second_run_fails(provider, examples, documented) -> None:
    answer = examples.bad("TL112").answer
    outcomes = [_outcome(answer, str(turn)) for turn in range(4)]
    assert outcomes[0::2] == ["You said: 0", "You said: 2"]
    assert all(documented("TL112", outcome) for outcome in outcomes[1::2])


def _outcome(answer: Callable[[str], str], text: str) -> str:
    try:
        return answer(text)
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}"


def test_tl112_one_loop_keeps_its_connections(provider, examples) -> None:
    module = examples.good("TL112")
    answers = [module.answer(str(turn)) for turn in range(4)]
    module.runner().run(module.model().close())
    module.runner().close()
    assert answers == [f"You said: {turn}" for turn in range(4)]
    assert len(provider.connections) == 1


def test_tl113_importing_runs_the_agent(provider, examples, documented) -> None:
    async def import_it() -> None:
        examples.bad("TL113")

    examples.bad("TL113")
    assert len(provider.requests) == 1  # a run, for an import
    with pytest.raises(RuntimeError) as error, warnings.catch_warnings(record=True):
        asyncio.run(import_it())
    assert documented("TL113", error.value)


def test_tl113_a_guarded_run_waits_to_be_called(provider, examples) -> None:
    module = examples.good("TL113")
    assert provider.requests == []
    assert asyncio.run(module.main()) == "You said: Where is order 7?"
