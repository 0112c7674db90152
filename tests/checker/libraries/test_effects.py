"""What functions of the standard library and its companions do to loops and threads."""

from __future__ import annotations

import pytest

from turnlane.checker.libraries.effects import EFFECTS, by_method, effect, made_by


@pytest.mark.parametrize(
    ("symbol", "kind", "argument", "keyword"),
    [
        ("asyncio.run", "runs loop", 0, "main"),
        ("asyncio.AbstractEventLoop.run_until_complete", "runs loop", 0, "future"),
        ("anyio.run", "runs loop", 0, "func"),
        ("asyncio.get_event_loop", "gets loop", -1, ""),
        ("asyncio.new_event_loop", "makes loop", -1, ""),
        ("nest_asyncio.apply", "patches loop", 0, "loop"),
        ("asyncio.create_task", "spawns task", 0, "coro"),
        ("asyncio.TaskGroup.create_task", "spawns kept task", 0, "coro"),
        ("asyncio.to_thread", "to thread", 0, "func"),
        ("asyncio.AbstractEventLoop.run_in_executor", "to thread", 1, "func"),
        ("starlette.concurrency.run_in_threadpool", "to thread", 0, "func"),
        ("threading.Thread", "starts thread", 1, "target"),
        ("concurrent.futures.ThreadPoolExecutor.submit", "starts thread", 0, "fn"),
        ("multiprocessing.Process", "to process", 1, "target"),
        ("asyncio.run_coroutine_threadsafe", "submits to loop", 0, "coro"),
        ("asgiref.sync.async_to_sync", "to sync", 0, "awaitable"),
        ("time.sleep", "blocks", -1, ""),
        ("requests.post", "blocks", -1, ""),
        ("httpx.get", "blocks", -1, ""),
        ("subprocess.run", "blocks", -1, ""),
        ("input", "reads stdin", -1, ""),
        ("functools.lru_cache", "caches", -1, ""),
        ("streamlit.cache_resource", "caches", -1, ""),
        ("streamlit.session_state", "caches per user", -1, ""),
        ("asyncio.gather", "gathers", 0, "coros_or_futures"),
        ("asyncio.wait_for", "times out", 0, "fut"),
        ("tenacity.retry", "retries", -1, ""),
        ("os.fork", "forks", -1, ""),
    ],
)
def test_effects(symbol: str, kind: str, argument: int, keyword: str) -> None:
    found = effect(symbol)

    assert found is not None
    assert (found.kind, found.argument, found.keyword) == (kind, argument, keyword)


@pytest.mark.parametrize("symbol", ["asyncio.sleep", "asyncio.iscoroutine", "run", "myproject.asyncio.run"])
def test_harmless_functions_have_no_effect(symbol: str) -> None:
    assert effect(symbol) is None


def test_a_loop_of_any_origin_is_the_same_class() -> None:
    for getter in ("asyncio.get_event_loop", "asyncio.new_event_loop", "asyncio.get_running_loop"):
        assert effect(f"{made_by(getter)}.run_until_complete") is not None


def test_what_an_unknown_function_makes_is_unknown() -> None:
    assert made_by("myproject.make") == ""


def test_names_that_say_enough_on_their_own() -> None:
    found = by_method("run_until_complete")

    assert found is not None
    assert found.kind == "runs loop"
    assert by_method("run") is None
    assert by_method("create_task") is None


def test_no_symbol_stands_twice() -> None:
    symbols = [row.symbol for row in EFFECTS]

    assert sorted(symbols) == sorted(set(symbols))
