"""The first exception of what a program printed."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Callable

import pytest

from turnlane.probe.tracebacks import raised_in, without_particulars


def printed(work: Callable[[], object]) -> list[str]:
    """What Python itself prints of the error that `work` raises."""
    try:
        work()
    except BaseException as error:
        text = io.StringIO()
        traceback.print_exception(error, file=text)
        return text.getvalue().splitlines()
    raise AssertionError("nothing was raised")


def inner() -> None:
    raise KeyError("P-404")


def chained() -> None:
    try:
        inner()
    except KeyError as error:
        raise RuntimeError("the agent failed") from error


def during() -> None:
    try:
        inner()
    except KeyError:
        int("x")


def grouped() -> None:
    errors: list[Exception] = []
    for work in (inner, chained):
        try:
            work()
        except Exception as error:
            errors.append(error)
    raise ExceptionGroup("two failed", errors)


@pytest.mark.parametrize("work", [inner, chained, during])
def test_the_first_of_a_chain_is_told_with_its_frames(work: Callable[[], None]) -> None:
    lines = ["INFO: started", *printed(work), "INFO: 127.0.0.1 POST /chat 500"]
    (found,) = raised_in(lines)
    assert (found.kind, found.message) == ("KeyError", "'P-404'")
    assert found.frames[-1].function == "inner"
    assert found.frames[-1].text == 'raise KeyError("P-404")'
    assert lines[found.at].startswith("Traceback")


def test_an_exception_group_shows_its_exceptions() -> None:
    kinds = [found.kind for found in raised_in(printed(grouped))]
    assert "KeyError" in kinds


def test_tracebacks_that_follow_each_other_are_two() -> None:
    found = raised_in([*printed(inner), "ERROR: once more", *printed(chained)])
    assert [one.kind for one in found] == ["KeyError", "KeyError"]


def test_a_logger_prefix_before_the_head_is_no_obstacle() -> None:
    lines = printed(inner)
    lines[0] = f"2026-01-01 ERROR [app] {lines[0]}"
    (found,) = raised_in(lines)
    assert found.kind == "KeyError"


def test_a_traceback_that_is_cut_off_is_none() -> None:
    assert raised_in(printed(inner)[:-1]) == []


def test_a_stack_of_javascript() -> None:
    lines = [
        "server listens",
        "chat failed TypeError: Cannot read properties of undefined (reading 'text')",
        "    at reply (file:///srv/app/chat.mjs:12:34)",
        "    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
        "    at async handler (file:///srv/app/server.mjs:40:9)",
        "}",
    ]
    (found,) = raised_in(lines)
    assert (found.kind, found.message) == ("TypeError", "Cannot read properties of undefined (reading 'text')")
    assert (found.frames[-1].file, found.frames[-1].line) == ("/srv/app/chat.mjs", 12)


def test_what_differs_between_requests_is_left_out() -> None:
    one = without_particulars("call_9f8e7d6c5b4a failed for user 3 after 0.21 s: canarybcdfghjk, order 1003")
    other = without_particulars("call_1a2b3c4d5e6f failed for user 17 after 1.9 s: canarykjhgfdcb, order 1017")
    assert one == other
    assert "failed for user" in one
    assert sys.getsizeof(without_particulars("x" * 10_000)) < 2_000
