"""TL403 in Python: a tool that reads, changes and writes what all calls share, with other calls in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.python.explore import Route
from turnlane.checker.python.facts import Assignment, Call, Constant, Expression, Name, Scope, Span, Subscript
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.project import Project
from turnlane.checker.python.request_data import names_in
from turnlane.checker.python.tools import HOSTS
from turnlane.checker.python.values import Container
from turnlane.checker.rule import Example, Rule

HOLDS: Final = frozenset({"with", "async with"})


class ToolWritesGlobals(Rule):
    code = "TL403"
    language = "python"
    detects = (
        "A tool, or a function it calls, that changes a module's variable by its old value (`stock[item] -= 1`, "
        "`left = stock[item]` ... `stock[item] = left - 1`), or reads and rewrites one file, without a lock: a "
        "plain `def`, which AgentChat, AG2 and Agent Framework run in threads, or an `async def` that awaits "
        "between the read and the write. Single writes, appends, and classic AutoGen, whose tools wait for each "
        "other, are not reported."
    )
    bad = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent

stock = {"lamp": 10}
calls = 0


async def reserve(item: str) -> str:
    left = stock[item]
    await asyncio.sleep(0.01)
    stock[item] = left - 1  # here
    return f"{left - 1} left"


def release(item: str) -> str:
    global calls
    calls += 1  # here
    put_back(item)
    return "done"


def put_back(item: str) -> None:
    stock[item] = stock[item] + 1  # here


agent = AssistantAgent("support", None, tools=[reserve, release])
""",
            title="a module's variable",
        ),
        Example(
            """\
import json

from autogen_core.tools import FunctionTool


def book(slot: str) -> str:
    with open("bookings.json") as file:
        bookings = json.load(file)
    bookings[slot] = True
    with open("bookings.json", "w") as file:  # here
        json.dump(bookings, file)
    return "booked"


tool = FunctionTool(book, description="Book a slot")
""",
            title="a file",
        ),
    )
    good = (
        Example(
            """\
import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent

stock = {"lamp": 10}
notes = []
seen = {}
held = asyncio.Lock()
lock = threading.Lock()


async def reserve(item: str) -> str:
    async with held:
        left = stock[item]
        await asyncio.sleep(0.01)
        stock[item] = left - 1
    return f"{left - 1} left"


async def at_once(item: str) -> str:
    stock[item] -= 1
    await asyncio.sleep(0.01)
    return "done"


def guarded(item: str) -> str:
    with lock:
        stock[item] -= 1
    return "done"


def single(item: str) -> str:
    notes.append(item)
    seen[item] = True
    mine = {"count": 0}
    mine["count"] += 1
    return "done"


agent = AssistantAgent("support", None, tools=[reserve, at_once, guarded, single])
""",
            title="a lock, one step, or its own",
        ),
        Example(
            """\
from autogen import ConversableAgent

stock = {"lamp": 10}
assistant = ConversableAgent("assistant")


@assistant.register_for_execution()
def reserve(item: str) -> str:
    stock[item] -= 1
    return "done"
""",
            title="classic: one call after the other",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for route in project.exploration.routes:
            if not _runs_beside_others(route):
                continue
            for span, what in (*_variables(project, route), *_files(route)):
                yield Finding(
                    self.code,
                    project.place(route.frame.path, span),
                    f"tool `{route.entry.frame.scope.name}` reads and rewrites {what} without a lock: of two "
                    "calls at once, one is lost",
                    "warning",
                    trace=project.route_trace(route),
                )


def _runs_beside_others(route: Route) -> bool:
    registration = route.entry.registration
    return (
        route.situation.kind == "tool"
        and route.situation.host in HOSTS
        and registration is not None
        and registration.context.sync == "threadpool"
    )


def _in_thread(route: Route) -> bool:
    """Whether the function runs in a thread beside others; else only an `await` lets others in."""
    return not any(step.frame.scope.is_async for step in route.steps())


def _locked(frame: Frame, block: int) -> bool:
    """Whether a `with` around it may be a lock: one that is not about a file."""
    scope = frame.scope
    return any(
        not _is_open(subject, scope)
        for number in frame.view.blocks_around(scope, block)
        if scope.blocks[number].kind in HOLDS
        for subject in scope.blocks[number].subject
    )


# --- Variables --------------------------------------------------------------------------------------------------


def _variables(project: Project, route: Route) -> Iterator[tuple[Span, str]]:
    frame = route.frame
    for assignment in frame.scope.assignments:
        name = _shared_target(project, frame, assignment)
        if name and not _locked(frame, assignment.block) and _loses(route, assignment, name):
            yield assignment.span, f"`{name}`"


def _shared_target(project: Project, frame: Frame, assignment: Assignment) -> str:
    """The module's variable that an assignment changes; empty: none."""
    target = assignment.target
    if isinstance(target, Name):
        return target.id if target.id in frame.scope.globals else ""
    if not isinstance(target, Subscript) or not isinstance(target.base, Name):
        return ""
    name = target.base.id
    if any(parameter.name == name for parameter in frame.scope.parameters):
        return ""
    if name not in frame.scope.globals and any(
        isinstance(one.target, Name) and one.target.id == name for one in frame.scope.assignments
    ):
        return ""
    refs = project.evaluator.name(name, frame)
    return name if any(isinstance(ref.value, Container) and ref.lifetime == "module" for ref in refs) else ""


def _loses(route: Route, assignment: Assignment, name: str) -> bool:
    """Whether the new value is made of the old one, and another call can get in between."""
    scope = route.frame.scope
    at_once = assignment.augmented or name in names_in(assignment.value, scope)
    if at_once:
        return _in_thread(route)
    used = set(names_in(assignment.value, scope))
    for read in scope.assignments:
        if (
            isinstance(read.target, Name)
            and read.target.id in used
            and read.span.line < assignment.span.line
            and name in names_in(read.value, scope)
        ):
            return _in_thread(route) or _awaits_between(scope, read.span.line, assignment.span.line)
    return False


def _awaits_between(scope: Scope, first: int, last: int) -> bool:
    return any(call.use == "awaited" and first < call.span.line < last for call in scope.calls)


# --- Files ------------------------------------------------------------------------------------------------------


def _files(route: Route) -> Iterator[tuple[Span, str]]:
    """Files that one function reads and then writes anew."""
    scope = route.frame.scope
    if not _in_thread(route):
        return
    read: list[Expression] = []
    for call in scope.calls:
        if not (isinstance(call.callee, Name) and call.callee.id == "open" and call.arguments):
            continue
        mode = _mode(call)
        if mode[:1] == "r":
            read.append(call.arguments[0])
        elif mode[:1] == "w" and _is_one_of(call.arguments[0], read) and not _locked(route.frame, call.block):
            yield call.span, "a file"


def _is_one_of(expression: Expression, others: list[Expression]) -> bool:
    return any(type(one) is type(expression) and one == expression for one in others)


def _mode(call: Call) -> str:
    given = [*call.arguments[1:2], *(value for name, value in call.keywords if name == "mode")]
    return str(given[0].value) if given and isinstance(given[0], Constant) else "?" if given else "r"


def _is_open(subject: Expression, scope: Scope) -> bool:
    number = getattr(subject, "number", -1)
    return number >= 0 and getattr(scope.calls[number].callee, "id", "") == "open"
