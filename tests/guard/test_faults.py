"""What the guard must not do to the program that it watches."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from turnlane.guard import loop_owners, objects, patching, requests, runs, tools
from turnlane.guard.hosts.asgi import served
from turnlane.guard.hosts.http import Exchange
from turnlane.guard.journal import HazardError, Journal
from turnlane.guard.launch import environment
from turnlane.guard.requests import Request
from turnlane.guard.settings import GuardSettings

from .conftest import Watched


class Agent:
    """Stands for an agent of a framework: entry points of each kind."""

    def __init__(self, name: str = "support") -> None:
        self.given = name

    @property
    def name(self) -> str:
        return self.given

    async def run(self) -> str:
        return "done"

    async def run_stream(self) -> AsyncIterator[int]:
        for number in range(3):
            yield number


class Entry(patching.Plain):
    def begin(self, thing: Any, args: Any, kwargs: Any, stack: Any) -> Any:
        return runs.begin(thing, "agent", "run", stack)


@pytest.fixture
def agent_type(watched: Watched) -> type[Agent]:
    class Fresh(Agent):
        run = Agent.run
        run_stream = Agent.run_stream

    patching.watch_construction(Fresh, "agent")
    patching.watch_coroutine(Fresh, "run", Entry())
    patching.watch_stream(Fresh, "run_stream", Entry())
    return Fresh


def within_seconds(work: Callable[[], None], seconds: float = 10.0) -> bool:
    """Whether `work` ends, in a thread that nobody waits for at the end."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def test_a_stream_that_is_collected_while_another_run_begins_does_not_hang(agent_type: type[Agent]) -> None:
    streams: list[Any] = []

    async def begin() -> None:
        streams.append(agent_type().run_stream())
        await anext(streams[0])

    async def main() -> None:
        await begin()
        with runs._lock:  # the collector may run wherever something is allocated, also there
            streams.clear()
            gc.collect()

    assert within_seconds(lambda: asyncio.run(main()))


def test_an_answer_that_is_collected_while_a_request_begins_does_not_hang(watched: Watched) -> None:
    def drop() -> None:
        with requests._lock:
            requests.end(Request("flask", "GET /"))

    assert within_seconds(drop)


def test_a_class_with_another_base_that_makes_its_objects(agent_type: type[Agent]) -> None:
    class Counted:
        made: bool = False

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            self = super().__new__(cls)
            self.made = True
            return self

    class Both(agent_type, Counted):  # type: ignore[valid-type,misc]
        pass

    class Mapping(agent_type, dict):  # type: ignore[valid-type,misc]
        pass

    assert Both("x").made
    assert Mapping("x") == {}
    kept = Both("x")
    assert objects.known(kept) is not None


@pytest.mark.anyio
async def test_an_agent_whose_name_cannot_be_asked_for(agent_type: type[Agent]) -> None:
    class Shy(agent_type):  # type: ignore[valid-type,misc]
        @property
        def name(self) -> str:
            raise RuntimeError("not yet")

    assert await Shy().run() == "done"
    assert [item async for item in Shy().run_stream()] == [0, 1, 2]


@pytest.mark.anyio
async def test_entry_points_are_of_the_kind_that_they_were(agent_type: type[Agent]) -> None:
    assert inspect.iscoroutinefunction(agent_type().run)
    assert asyncio.iscoroutinefunction(agent_type().run)
    assert inspect.isasyncgenfunction(agent_type().run_stream)
    assert inspect.isasyncgen(agent_type().run_stream())
    assert await asyncio.create_task(agent_type().run()) == "done"


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Tool:
    @property
    def name(self) -> str:
        raise RuntimeError("not yet")

    async def run(self) -> str:
        raise Silent


@pytest.mark.anyio
async def test_a_tool_and_an_exception_that_fail_when_they_are_asked_what_they_are(watched: Watched) -> None:
    tools.watch_tool(Tool, "run", lambda tool: str(tool.name))
    with requests.within(Request("test", "GET /")), pytest.raises(Silent):
        await Tool().run()


def test_a_coroutine_of_a_tool_that_is_closed_in_another_context(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        async def run(self) -> None:
            await asyncio.sleep(60)

    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    tools.watch_tool(Slow, "run", lambda _: "slow")

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        work: Any = Slow().run()
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)

        async def steps() -> None:
            await work

        inner = asyncio.create_task(steps())
        await asyncio.sleep(0)
        inner.get_coro().close()  # type: ignore[union-attr]  # as the collector does, from anywhere
        inner.cancel()
        await asyncio.wait([inner])

    asyncio.run(main())
    assert unraisable == []


def test_a_warning_of_a_coroutine_that_nobody_awaits_names_the_line_of_the_program(watched: Watched) -> None:
    async def work() -> None:
        pass

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        work()
    assert [Path(warning.filename).name for warning in seen] == ["test_faults.py"]


COLLECTED = """
import gc, sys
from turnlane.guard.stacks import Frame

class Cycle:
    pass

async def work():
    pass

for number in range(2000):
    thing = Cycle()
    thing.itself, thing.work = thing, work()
    del thing
    if number == 1000:
        gc.set_threshold(1)
    Frame("a.py", 1, "f", "")
"""


def test_a_coroutine_that_is_collected_while_the_guard_makes_a_record(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(COLLECTED)
    done = run_watched(tmp_path, "-W", "always", "program.py")
    assert "was never awaited" in done.stderr
    assert "KeyError" not in done.stderr


def test_a_warning_at_an_import_names_the_line_that_imports(tmp_path: Path) -> None:
    (tmp_path / "openai.py").write_text(
        "import warnings\nwarnings.warn('old', DeprecationWarning, stacklevel=2)\n"
    )
    (tmp_path / "program.py").write_text("import openai\n")
    done = run_watched(tmp_path, "-W", "always", "program.py")
    assert "program.py:1: DeprecationWarning: old" in done.stderr


def run_watched(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = environment(GuardSettings(output=str(folder / "records"), summary=False))
    return subprocess.run(
        [sys.executable, *arguments], env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


AT_END = """
import logging, os, sys
from turnlane import guard
guard.install(output=os.devnull, summary=False)

class AtEnd:
    def __del__(self, write=os.write, open=os.open, flags=os.O_RDONLY):
        try:
            open("/dev/null", flags)
        except BaseException as error:
            write(1, repr(error).encode())

logging.kept = AtEnd()
"""


def test_a_finaliser_at_the_interpreters_end_may_open_files(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(AT_END)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_a_program_that_closes_every_file_keeps_its_own_ones_clean(tmp_path: Path) -> None:
    journal = Journal(GuardSettings(output=str(tmp_path / "records")))
    journal.write({"kind": "gauge", "number": 1})
    assert journal._file is not None
    number = journal._file
    os.close(number)
    theirs = os.open(tmp_path / "theirs", os.O_CREAT | os.O_RDWR)
    try:
        if theirs != number:
            os.dup2(theirs, number)
        journal.write({"kind": "gauge", "number": 2})
    finally:
        for descriptor in {theirs, number}:
            os.close(descriptor)
    assert (tmp_path / "theirs").read_text() == ""
    assert len((tmp_path / "records").read_text().splitlines()) == 2


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


def test_a_record_of_what_has_no_text_is_lost_and_nothing_else(tmp_path: Path) -> None:
    journal = Journal(GuardSettings(output=str(tmp_path / "records")))
    journal.write({"kind": "gauge", "thing": Unspeakable()})
    journal.write({"kind": "gauge"})
    assert len((tmp_path / "records").read_text().splitlines()) == 1


def test_what_strict_mode_raises_goes_from_process_to_process() -> None:
    record = {"name": "shared-agent", "message": "m", "fix": "f", "place": {"file": "a.py", "line": 1}}
    error = pickle.loads(pickle.dumps(HazardError("TL201", record)))
    assert (error.code, error.record) == ("TL201", record)


def test_a_listener_that_fails_at_the_end_of_a_request(watched: Watched) -> None:
    def fails(request: Request) -> None:
        raise ValueError("of the guard's own")

    requests.ending.append(fails)
    with requests.within(Request("test", "GET /")):
        pass
    assert [record["where"] for record in watched.of_kind("trouble")] == ["end of a request"]


def test_a_loop_runs_also_where_the_guard_cannot_watch_it(watched: Watched) -> None:
    def fails(owner: loop_owners.Owner) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> int:
        return 1

    loop_owners.started.append(fails)
    loop_owners.stopping.append(fails)
    try:
        assert asyncio.run(main()) == 1
    finally:
        loop_owners.started.remove(fails)
        loop_owners.stopping.remove(fails)


def test_a_body_that_nests_too_deep(watched: Watched) -> None:
    exchange = Exchange("flask", "POST", "/chat", [("content-type", "application/json")], "")
    exchange.received(b'{"a":' + b"[" * 60_000, more=False)
    assert watched.of_kind("trouble") == []


@pytest.mark.anyio
async def test_a_message_that_no_server_takes_is_the_servers_to_refuse(watched: Watched) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"status": 200})

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await served(app)({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)
    assert sent == [{"status": 200}]


@pytest.mark.anyio
async def test_a_request_that_failed_keeps_nothing_of_the_program(watched: Watched) -> None:
    class Thing:
        pass

    kept: list[Request | None] = []
    gone: list[weakref.ref[Thing]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        thing = Thing()
        gone.append(weakref.ref(thing))
        kept.append(requests.current.get())
        raise ValueError("no")

    async def nothing(*_: Any) -> Any:
        return None

    with pytest.raises(ValueError, match="no"):
        await served(app)({"type": "http", "method": "GET", "path": "/", "headers": []}, nothing, nothing)
    gc.collect()
    assert kept[0] is not None
    assert gone[0]() is None


def test_requests_that_come_from_each_others_context_are_no_chain(watched: Watched) -> None:
    with requests.within(Request("test", "first")):
        context = contextvars.copy_context()

    def second() -> Request:
        with requests.within(Request("test", "second")) as request:
            return request

    assert context.run(second).parent is None


def test_an_object_of_which_nobody_would_hear_that_it_is_gone(watched: Watched) -> None:
    class Slotted:
        __slots__ = ()

    before = len(objects._known)
    for _ in range(10):
        objects.watch(Slotted(), "session")
    assert len(objects._known) == before


def test_the_guard_is_loaded_where_nothing_forks(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import asyncio, concurrent.futures.thread, logging, os, random\n"
        "del os.register_at_fork\nfrom turnlane import guard\n"
        "guard.install(output='records', summary=False)\nprint('on')\n"
    )
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("on\n", "")
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "records").read_text().splitlines()]
    assert kinds == ["start", "end"]


def test_no_secret_of_the_command_is_in_the_first_record(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("")
    run_watched(tmp_path, "program.py", "--db-password", "hunter2", "--api-key=p@ss word", "--port=80")
    first = json.loads((tmp_path / "records").read_text().splitlines()[0])
    assert first["argv"][1:] == ["program.py", "--db-password", "***", "--api-key=***", "--port=80"]


HAZARD_AND_FORK = """
import asyncio, contextlib, os, sys
from turnlane import guard

guard.install(output="records")

async def nested():
    with contextlib.suppress(RuntimeError):
        asyncio.run(None)

asyncio.run(nested())
if os.fork() == 0:
    sys.exit()
os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_after_a_fork_sums_up_what_it_has_seen_itself(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(HAZARD_AND_FORK)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.count("no hazard seen") == done.stderr.count("1 hazard seen") == 1


FORKS = """
import os, sys, threading
from turnlane import guard
from turnlane.guard.frameworks import classic_chats

guard.install(output=os.devnull, summary=False)
modules = [module for name, module in tuple(sys.modules.items()) if name.startswith("turnlane.guard.")]
modules = [module for module in modules if hasattr(module, "_lock")]
taken, over = threading.Event(), threading.Event()

def work():
    for module in modules:
        module._lock.acquire()
    taken.set()
    over.wait()

threading.Thread(target=work).start()
taken.wait()
if os.fork() == 0:
    print([module.__name__ for module in modules if not module._lock.acquire(blocking=False)], flush=True)
    os._exit(0)
os.wait()
over.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_what_a_thread_held_at_a_fork_holds_up_nobody_in_the_child(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(FORKS)
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
