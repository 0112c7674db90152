"""Hosts that do somebody's work in one call."""

from __future__ import annotations

import contextlib
import inspect
import io
from typing import Any

import pytest
from celery import Celery
from IPython.core.interactiveshell import InteractiveShell
from tests.guard.conftest import Watched
from tests.guard.hosts.present import in_request

from turnlane import guard
from turnlane.guard import requests
from turnlane.guard.hosts.calls import wrapped
from turnlane.guard.requests import Request


def test_a_celery_task_is_a_request_and_its_arguments_say_whose(watched: Watched) -> None:
    seen: list[Request | None] = []
    app = Celery("app", broker="memory://", backend="cache+memory://", set_as_current=False)

    @app.task(name="answer")
    def answer(text: str, conversation_id: str) -> str:
        seen.append(requests.current.get())
        return text.upper()

    result = answer.apply(args=("hi", "c-3"), task_id="T1")
    assert result.get() == "HI"
    (request,) = seen
    assert request is not None
    assert (request.host, request.id, request.keys) == ("celery", "T1", {"conversation_id": "c-3"})
    assert request.ended


def test_cells_of_a_notebook_are_one_persons(watched: Watched) -> None:
    shell = InteractiveShell()
    seen: list[Request | None] = []
    shell.user_ns.update(seen=seen, current=requests.current)
    for _ in range(2):
        shell.run_cell("seen.append(current.get())")
    shell.run_cell("import asyncio; await asyncio.sleep(0); seen.append(current.get())")
    assert len({id(request) for request in seen}) == 3
    first, second, third = (request for request in seen if request is not None)
    assert first.same_conversation(second)
    assert first.same_conversation(third)
    assert not first.of_a_server
    assert not in_request()


def test_load_ext_watches_from_the_next_cell_on() -> None:
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            guard.load_ipython_extension(InteractiveShell())
            guard.load_ipython_extension(InteractiveShell())
            _see_one_twice()
        finally:
            guard.uninstall()
    assert out.getvalue().splitlines() == [
        "turnlane guard watches this session from the next cell on.",
        "turnlane guard watches this session already.",
    ]
    assert errors.getvalue().count("TL108 blocked-loop") == 1


def _see_one_twice() -> None:
    from turnlane.guard import journals, stacks
    from turnlane.guard.journal import Sighting

    for _ in range(2):
        journals.report(Sighting(code="TL108", message="It stood still.", stack=stacks.capture(0)))


@pytest.mark.anyio
async def test_a_wrapped_function_stays_what_it_was(watched: Watched) -> None:
    def whose(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
        return Request("test", "work")

    async def coroutine(number: int) -> int:
        return number + 1

    def plain(number: int) -> int:
        return number + 1

    assert inspect.iscoroutinefunction(wrapped(coroutine, whose))
    assert not inspect.iscoroutinefunction(wrapped(plain, whose))
    assert await wrapped(coroutine, whose)(1) == wrapped(plain, whose)(1) == 2


def test_a_host_that_changed_its_interface_does_not_break_the_program(watched: Watched) -> None:
    def whose(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
        raise AttributeError("_session_id")

    assert wrapped(lambda: "done", whose)() == "done"
    assert [record["error"] for record in watched.of_kind("trouble")] == ["AttributeError: _session_id"]
