"""Functions that are handed over: to a thread, a process, a task, the same thread later."""

from __future__ import annotations

import pytest
from tests.checker.python.programs import Checked

HEAD = """\
import asyncio, multiprocessing, threading, functools, signal
from concurrent.futures import ThreadPoolExecutor, ProcessPoolExecutor
from fastapi import FastAPI
app = FastAPI()
class Agent: pass
shared = Agent()
def work(a=None): look(a)
async def job(a=None): look(a)
@app.get("/")
async def chat(self_=None, text=None):
    """


THREAD = "FastAPI request, no loop, many users, own thread"
PROCESS = "FastAPI request, no loop, many users"
LOOP = "FastAPI request, loop, many users"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("await asyncio.to_thread(work, shared)", THREAD),
        ("await asyncio.get_running_loop().run_in_executor(None, work, shared)", THREAD),
        ("threading.Thread(target=work, args=(shared,)).start()", THREAD),
        ("threading.Thread(None, work, args=[shared]).start()", THREAD),
        ("ThreadPoolExecutor().submit(work, shared)", THREAD),
        ("ProcessPoolExecutor().submit(work, shared)", PROCESS),
        ("multiprocessing.Process(target=work, args=(shared,)).start()", PROCESS),
        ("asyncio.get_running_loop().call_soon(work, shared)", LOOP),
        ("asyncio.get_running_loop().call_later(3, work, shared)", LOOP),
        ("await asyncio.gather(job(shared))", LOOP),
        ("asyncio.create_task(job(shared))", LOOP),
        ("asyncio.run(job(shared))", LOOP),
        ("work(shared)", LOOP),
    ],
)
def test_where_what_is_handed_over_runs_and_what_it_gets(code: str, expected: str) -> None:
    program = Checked(HEAD + code)

    assert set(program.situations("chat")) == {expected}
    assert set(program.met("chat")) == {"Agent module"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("await asyncio.to_thread(lambda: work(shared))", THREAD),
        ("await asyncio.to_thread(functools.partial(work, shared))", THREAD),
        ("list(map(work, [shared]))", LOOP),
        ("sorted([1], key=work)", LOOP),
    ],
)
def test_lambdas_partials_and_mapped_functions_run_too(code: str, expected: str) -> None:
    assert expected in Checked(HEAD + code).situations("chat")


def test_what_a_thread_starts_has_a_loop_again_when_it_drives_one() -> None:
    program = Checked(f"{HEAD}await asyncio.to_thread(other)\ndef other(): asyncio.run(job(shared))\n")

    assert program.situations("chat") == ["FastAPI request, loop, many users, own thread"]


def test_a_function_that_is_only_mentioned_does_not_run_here() -> None:
    assert Checked(f"{HEAD}unknown(work)\n").ways("chat") == []
