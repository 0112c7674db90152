"""TL110 in Python: the loop's own thread waits for the loop."""

from __future__ import annotations

from collections.abc import Iterator

from turnlane.checker.finding import Finding
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Attribute, Call, CallRef, Name
from turnlane.checker.python.loops import Maker, makers_of_object
from turnlane.checker.python.project import Project
from turnlane.checker.rule import Example, Rule

_WAITS = frozenset({"result", "exception"})


class SelfDeadlock(Rule):
    code = "TL110"
    language = "python"
    detects = (
        "`.result()` of `asyncio.run_coroutine_threadsafe(coro, loop)` on the thread that runs `loop`: the "
        "loop was got by `get_running_loop()` or `get_event_loop()` in the same function, or in async code "
        "that calls it. Waiting from another thread, or with `wrap_future`, is right."
    )
    bad = (
        Example(
            """\
import asyncio


def ask(text: str, loop: asyncio.AbstractEventLoop) -> str:
    future = asyncio.run_coroutine_threadsafe(answer(text), loop)
    return future.result()  # here


async def answer(text: str) -> str:
    return text


async def handler(text: str) -> str:
    return ask(text, asyncio.get_running_loop())
""",
            title="in a helper of a handler",
        ),
        Example(
            """\
import asyncio


def call(coroutine):
    loop = asyncio.get_event_loop()
    if loop.is_running():
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout=30)  # here
    return loop.run_until_complete(coroutine)
""",
            title="with the loop of its own thread",
        ),
    )
    good = (
        Example(
            """\
import asyncio
import threading

background = asyncio.new_event_loop()
threading.Thread(target=background.run_forever, daemon=True).start()


async def answer(text: str) -> str:
    return text


def from_any_thread(text: str) -> str:
    return asyncio.run_coroutine_threadsafe(answer(text), background).result()


def work(loop: asyncio.AbstractEventLoop) -> str:
    return asyncio.run_coroutine_threadsafe(answer("text"), loop).result()


async def main() -> str:
    loop = asyncio.get_running_loop()
    future = asyncio.run_coroutine_threadsafe(answer("text"), loop)
    await asyncio.wrap_future(future)
    return await asyncio.to_thread(work, loop)
""",
            title="from another thread",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for site in project.calls_of(("asyncio.run_coroutine_threadsafe",)):
            if site.situation.thread or site.situation.loop is False:
                continue
            wait = _wait_for(site)
            if wait is not None and any(_is_own(site, maker) for maker in _loops(project, site)):
                yield Finding(
                    self.code,
                    project.place(site.path, wait.span),
                    "this waits for the loop on the loop's own thread: neither goes on, and the process hangs",
                    "error",
                    trace=project.trace(site),
                )


def _wait_for(site: Site) -> Call | None:
    """The call in the same function that blocks until the submitted coroutine is done."""
    scope = site.scope
    names = {
        assignment.target.id
        for assignment in scope.assignments
        if isinstance(assignment.target, Name) and assignment.value == CallRef(site.number)
    }
    for call in scope.calls:
        match call.callee:
            case Attribute(base=CallRef(number=number), name=name) if number == site.number and name in _WAITS:
                return call
            case Attribute(base=Name(id=variable), name=name) if variable in names and name in _WAITS:
                return call
    return None


def _loops(project: Project, site: Site) -> Iterator[Maker]:
    given = [*site.call.arguments[1:2], *(value for name, value in site.call.keywords if name == "loop")]
    for argument in given:
        for ref in project.evaluator.evaluate(argument, site.frame):
            yield from makers_of_object(project, ref.value)


def _is_own(site: Site, maker: Maker) -> bool:
    """Whether the loop is that of the thread which waits: it was got on the way, and no thread lies between."""
    if maker.symbol not in {"asyncio.get_running_loop", "asyncio.get_event_loop"}:
        return False
    return any(route.frame is maker.frame for route in site.route.steps())
