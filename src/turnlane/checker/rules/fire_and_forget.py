"""TL501 in Python: a task that nobody holds and nobody waits for."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Final

from turnlane.checker import edits
from turnlane.checker.finding import Finding, Fix
from turnlane.checker.libraries.effects import EFFECTS
from turnlane.checker.python.facts import Assignment, Attribute, Call, CallRef, Expression, Name, Scope
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.program import ModuleView
from turnlane.checker.python.project import Project
from turnlane.checker.python.running import begins_run
from turnlane.checker.python.values import symbol_of
from turnlane.checker.rule import Example, Rule

_KEPT_BY_THE_HOST: Final = frozenset({"nicegui.background_tasks.create", "tornado.ioloop.IOLoop.spawn_callback"})
_SPAWNERS: Final = frozenset(row.symbol for row in EFFECTS if row.kind == "spawns task") - _KEPT_BY_THE_HOST


class FireAndForget(Rule):
    code = "TL501"
    language = "python"
    detects = (
        "`asyncio.create_task`, `asyncio.ensure_future` and `loop.create_task` whose task is dropped, or kept in "
        "a variable that nothing reads. An error where the task runs an agent, else a warning. Silent when the "
        "task is awaited, returned, kept in an attribute, a set or a list, or belongs to a `TaskGroup`; and where "
        "ruff is configured to report it as RUF006."
    )
    fixes = (
        "A dropped `create_task` of an agent's run becomes `await`: unsafe, since the code below then waits. "
        "Another task is kept in a set until it is done: unsafe too."
    )
    bad = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o-mini")


@app.post("/reports")
async def start_report(text: str) -> dict[str, str]:
    agent = AssistantAgent("reporter", client)
    asyncio.create_task(agent.run(task=text))  # here
    return {"status": "accepted"}
""",
            after="""\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o-mini")


@app.post("/reports")
async def start_report(text: str) -> dict[str, str]:
    agent = AssistantAgent("reporter", client)
    await agent.run(task=text)
    return {"status": "accepted"}
""",
            title="a run after the answer",
        ),
        Example(
            """\
import asyncio


class Store:
    def __init__(self) -> None:
        asyncio.create_task(self.connect())  # here

    def __del__(self) -> None:
        loop = asyncio.get_running_loop()
        loop.create_task(self.close())  # here

    async def connect(self) -> None: ...

    async def close(self) -> None: ...
""",
            title="in a constructor and a finalizer",
        ),
        Example(
            """\
import asyncio


class Hub:
    def __init__(self, loop, sockets) -> None:
        self.loop = loop
        self.sockets = sockets

    def publish(self, message: dict) -> None:
        for socket in self.sockets:
            self.loop.create_task(socket.send_json(message))  # here


async def notify(message: dict, socket) -> None:
    _ = asyncio.ensure_future(socket.send_json(message))  # here
    task = asyncio.create_task(socket.close())  # here
""",
            title="a loop that was handed in, variables that nothing reads",
        ),
    )
    good = (
        Example(
            """\
import asyncio

background: set[asyncio.Task[None]] = set()


class Worker:
    async def start(self, work) -> None:
        self.task = asyncio.create_task(work())

    async def both(self, work) -> None:
        tasks = [asyncio.create_task(work()) for _ in range(2)]
        await asyncio.gather(*tasks)

    async def group(self, work) -> None:
        async with asyncio.TaskGroup() as tg:
            tg.create_task(work())

    def spawn(self, work) -> asyncio.Task[None]:
        return asyncio.create_task(work())


async def keep(work) -> None:
    task = asyncio.create_task(work())
    background.add(task)
    task.add_done_callback(background.discard)
    await asyncio.create_task(work())
    background.add(asyncio.ensure_future(work()))
    loop = asyncio.get_running_loop()
    asyncio.ensure_future(loop.run_in_executor(None, print, "in a thread"))


async def lifespan(app, work):
    ticker = asyncio.create_task(work())
    yield


async def main(work) -> None:
    ticker = asyncio.create_task(work())
    while True:
        await asyncio.sleep(60)
""",
            title="kept, awaited, or held by a function that goes on",
        ),
        Example(
            """\
import asyncio


async def main(work) -> None:
    task = asyncio.create_task(work())

    async def stop() -> None:
        task.cancel()

    await work(stop)
""",
            title="read by a function inside",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        frames: dict[tuple[str, int, int], list[Frame]] = {}
        for site in project.calls_of(_SPAWNERS):
            frames.setdefault((*site.frame.place, site.number), []).append(site.frame)
        for (path, _, number), ways in frames.items():
            if not project.settings.ruff_reports("RUF006", self.code, path):
                yield from self._dropped(project, ways, number)
        for frame, number in _by_unknown_loops(project, frames):
            yield from self._dropped(project, [frame], number)

    def _dropped(self, project: Project, frames: list[Frame], number: int) -> Iterator[Finding]:
        frame = frames[0]
        call = frame.scope.calls[number]
        how = _how_dropped(frame.view, frame.scope, call)
        if not how or _is_future(call, frame.scope):
            return
        runs = bool(call.arguments) and any(begins_run(project, call.arguments[0], way) for way in frames)
        what = _argument_text(project, frame.path, call, frame.scope)
        yield Finding(
            self.code,
            project.place(frame.path, call.span),
            f"The task of `{what}` {how}: {_CONSEQUENCE[runs]}",
            "error" if runs else "warning",
            help=_HELP[runs],
            fix=_fix(project, frame.path, call, runs),
        )


_CONSEQUENCE: Final = {
    True: "nobody waits for it, a shutdown cancels it and its errors are lost",
    False: "it may be collected while it waits, a shutdown cancels it and its errors are lost",
}
_HELP: Final = {
    True: "",
    False: "Await it, or keep the task (a set, an attribute) and await it before the end.",
}


def _by_unknown_loops(project: Project, known: Container[tuple[str, int, int]]) -> Iterator[tuple[Frame, int]]:
    """`self.loop.create_task(...)` where nobody knows what `loop` is but by its name."""
    evaluator = project.evaluator
    for path, view in project.program.modules.items():
        for scope in view.scopes:
            for number, call in enumerate(scope.calls):
                callee = call.callee
                if type(callee) is not Attribute or callee.name not in _BY_NAME:
                    continue
                if _is_loop(callee.base, scope) and (path, scope.number, number) not in known:
                    frame = (
                        evaluator.free_frame(path, scope.number) if scope.number else evaluator.module_frame(path)
                    )
                    if not any(map(symbol_of, evaluator.evaluate(call.callee, frame))):
                        yield frame, number


_BY_NAME: Final = frozenset({"create_task", "ensure_future"})


def _is_loop(base: Expression, scope: Scope) -> bool:
    """Whether the name of an object says that it is an event loop."""
    if isinstance(base, CallRef):
        base = scope.calls[base.number].callee
    name = base.name if isinstance(base, Attribute) else getattr(base, "id", "")
    return isinstance(name, str) and name.lower().endswith("loop")


# --- Dropped or kept -----------------------------------------------------------------------------------------


def _how_dropped(view: ModuleView, scope: Scope, call: Call) -> str:
    """How the task is lost, for the message; empty when it is kept."""
    if view.module.kind == "notebook" and scope.number == 0:
        return ""  # IPython keeps the last value of a cell, and the loop goes on
    if call.use == "dropped":
        return "is dropped"
    if call.use != "assigned" or not 0 <= call.user < len(scope.assignments):
        return ""
    assignment = scope.assignments[call.user]
    target = assignment.target
    if not isinstance(target, Name) or scope.number == 0 or scope.kind != "function":
        return ""
    if target.id in scope.globals or target.id in scope.nonlocals or _is_read(view, scope, target.id):
        return ""
    return "" if _goes_on(scope, assignment) else f"is kept in `{target.id}`, which nothing reads"


def _is_future(call: Call, scope: Scope) -> bool:
    """Whether what is given is no coroutine but work of a thread, which goes on by itself."""
    argument = call.arguments[0] if call.arguments else None
    callee = scope.calls[argument.number].callee if isinstance(argument, CallRef) else None
    return isinstance(callee, Attribute) and callee.name == "run_in_executor"


def _is_read(view: ModuleView, scope: Scope, name: str) -> bool:
    """Whether the function, or one inside of it, reads its variable."""
    if any(read.name == name for read in scope.reads):
        return True
    return any(_is_read(view, child, name) for child in view.children.get(scope.number, ()))


def _goes_on(scope: Scope, assignment: Assignment) -> bool:
    """Whether the function stays alive afterwards, and with it the task: a server's loop, a lifespan."""
    line = assignment.span.end_line
    if any(one.span.line > line for one in scope.yields):
        return True
    return any(
        block.kind in {"while", "async for"} and (block.line > line or block.line <= line <= block.end_line)
        for block in scope.blocks
    )


def _argument_text(project: Project, path: str, call: Call, scope: Scope) -> str:
    if call.arguments and isinstance(call.arguments[0], CallRef):
        span = scope.calls[call.arguments[0].number].span
        source = project.sources[path]
        text = source.text[source.offset(span.line, span.column) : source.offset(span.end_line, span.end_column)]
        name = "".join(text.partition("(")[0].split())
        if 0 < len(name) <= 60:
            return f"{name}(...)"
    if call.arguments and isinstance(call.arguments[0], Name):
        return call.arguments[0].id
    return "create_task(...)"


def _fix(project: Project, path: str, call: Call, runs: bool) -> Fix | None:
    if call.use != "dropped":
        return None
    code = edits.parse(project.sources[path], project.program[path].module.cells)
    return edits.keep_task(code, call.span, awaited=runs) if code is not None else None
