"""TL503 in Python: a time-out around a team's run, which goes on in tasks of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.libraries.frameworks import ClassEntry, lookup
from turnlane.checker.python.boundaries import crossing_of
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Call, CallRef, Expression, Name
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.project import Project
from turnlane.checker.python.running import known_entry, leading_to, leading_to_runs
from turnlane.checker.python.values import FunctionObject, Method, Value, symbol_of
from turnlane.checker.rule import Example, Rule

_TIMEOUTS: Final = frozenset(
    {
        "asyncio.timeout",
        "asyncio.timeout_at",
        "async_timeout.timeout",
        "anyio.fail_after",
        "anyio.move_on_after",
    }
)
_CONSOLE: Final = "Console"
_PASSED_ON: Final = frozenset({"awaited", "async iterated"})


class CancelThatDoesNot(Rule):
    code = "TL503"
    language = "python"
    detects = (
        "`asyncio.wait_for`, `asyncio.timeout` and the like around the run of an agentchat team that has no "
        "`cancellation_token`, directly or in an async function that awaits it; and `wait_for` around a thread "
        "in which agents run. A single agent that is awaited stops."
    )
    bad = (
        Example(
            """\
import asyncio

from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_agentchat.ui import Console


async def answer(team: RoundRobinGroupChat, text: str, seconds: float) -> str:
    result = await asyncio.wait_for(team.run(task=text), seconds)  # here
    return result.messages[-1].to_text()


async def show(team: RoundRobinGroupChat, text: str) -> None:
    await asyncio.wait_for(Console(team.run_stream(task=text)), timeout=60)  # here
    coroutine = team.run(task=text)
    await asyncio.wait_for(coroutine, timeout=60)  # here


async def read(team: RoundRobinGroupChat, text: str) -> None:
    async with asyncio.timeout(60):  # here
        async for item in team.run_stream(task=text):
            print(item)
""",
            title="around the run",
        ),
        Example(
            """\
import asyncio

from autogen_agentchat.teams import RoundRobinGroupChat


class Service:
    def __init__(self, team: RoundRobinGroupChat) -> None:
        self.team = team

    async def ask(self, text: str) -> str:
        result = await self.team.run(task=text)
        return result.messages[-1].to_text()


async def handle(service: Service, text: str) -> str:
    return await asyncio.wait_for(service.ask(text), timeout=30)  # here
""",
            title="around a function that runs the team",
        ),
        Example(
            """\
import asyncio

from autogen import AssistantAgent, UserProxyAgent


def chat(text: str) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER")
    return user.initiate_chat(AssistantAgent("support"), message=text).summary


async def answer(text: str) -> str:
    return await asyncio.wait_for(asyncio.to_thread(chat, text), timeout=30)  # here


async def later(text: str) -> str:
    loop = asyncio.get_running_loop()
    return await asyncio.wait_for(loop.run_in_executor(None, lambda: chat(text)), timeout=30)  # here
""",
            title="around a thread",
        ),
    )
    good = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken


async def answer(team: RoundRobinGroupChat, text: str, seconds: float) -> str:
    token = CancellationToken()
    run = asyncio.create_task(team.run(task=text, cancellation_token=token))
    done, _ = await asyncio.wait({run}, timeout=seconds)
    if not done:
        token.cancel()
        raise TimeoutError
    return run.result().messages[-1].to_text()


async def linked(team: RoundRobinGroupChat, text: str, token: CancellationToken) -> None:
    try:
        await asyncio.wait_for(team.run(task=text, cancellation_token=token), 30)
    except TimeoutError:
        token.cancel()


async def single(agent: AssistantAgent, text: str) -> None:
    await asyncio.wait_for(agent.run(task=text), 30)


async def other(team: RoundRobinGroupChat, text: str) -> None:
    async with asyncio.timeout(5):
        await asyncio.sleep(1)
    await team.run(task=text)
    await asyncio.wait_for(asyncio.sleep(1), 5)
    await asyncio.wait_for(asyncio.to_thread(print, text), 5)
""",
            title="a token, a single agent, something else",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        waits = list(project.calls_of(("asyncio.wait_for",)))
        timeouts = list(project.calls_of(_TIMEOUTS))
        if not waits and not timeouts:
            return
        running = _Running(project)
        for site in waits:
            waited = site.call.arguments[0] if site.call.arguments else _keyword(site.call, "fut")
            if waited is None:
                continue
            if running.is_begun_by(waited, site.frame):
                yield _finding(project, site, _TEAM)
            elif _is_run_in_thread(project, waited, site.frame):
                yield _finding(project, site, _THREAD)
        for site in timeouts:
            if running.is_inside_of(site):
                yield _finding(project, site, _TEAM)


_TEAM: Final = (
    "cancels only the reading of the team's messages: it returns late, and the team makes all its model calls"
)
_THREAD: Final = (
    "gives up waiting, but nothing stops the thread: the run goes on to its end and makes all its model calls"
)


def _finding(project: Project, site: Site, what: str) -> Finding:
    place = project.site_place(site)
    return Finding(CancelThatDoesNot.code, place, f"`{project.callee_text(site)}` {what}", "error")


def _keyword(call: Call, wanted: str) -> Expression | None:
    return next((value for name, value in call.keywords if name == wanted), None)


def _has_token(call: Call) -> bool:
    return any(name in {"cancellation_token", ""} for name, _ in call.keywords)


class _Running:
    """Which expressions and functions run a team that nothing can stop."""

    def __init__(self, project: Project) -> None:
        self._evaluator = project.evaluator
        runs = [
            call.site for call in project.agent_calls if call.role == "team" and not _has_token(call.site.call)
        ]
        self._runs = {(site.frame, site.number) for site in runs}
        awaited = {site.frame.place for site in runs if _is_awaited(project, site)}
        self._functions = leading_to(project, awaited, lambda site: site.call.use in _PASSED_ON)

    def _leads(self, value: Value) -> bool:
        return isinstance(value, FunctionObject) and (value.path, value.scope) in self._functions

    def is_begun_by(self, expression: Expression, frame: Frame) -> bool:
        """Whether the value of an expression is such a run, not yet begun."""
        if isinstance(expression, Name):
            given = [one.value for one in frame.scope.assignments if one.target == expression]
            return len(given) == 1 and isinstance(given[0], CallRef) and self.is_begun_by(given[0], frame)
        if not isinstance(expression, CallRef):
            return False
        call = frame.scope.calls[expression.number]
        refs = self._evaluator.evaluate(call.callee, frame)
        if any(symbol_of(ref).rpartition(".")[2] == _CONSOLE for ref in refs):
            return bool(call.arguments) and self.is_begun_by(call.arguments[0], frame)
        return bool(refs) and all(self._leads(ref.value) or _runs_team(ref.value, call) for ref in refs)

    def is_inside_of(self, timeout: Site) -> bool:
        """Whether such a run is awaited or read in the block that `timeout` opens."""
        opened = CallRef(timeout.number)
        blocks = {
            number
            for number, block in enumerate(timeout.scope.blocks)
            if block.kind in {"with", "async with"} and any(part == opened for part in block.subject)
        }
        frame = timeout.frame
        return any(
            call.use in {*_PASSED_ON, "argument"}
            and blocks & set(frame.view.blocks_around(timeout.scope, call.block))
            and self._is_run_at(number, frame)
            for number, call in enumerate(timeout.scope.calls)
        )

    def _is_run_at(self, number: int, frame: Frame) -> bool:
        call = frame.scope.calls[number]
        if (frame, number) in self._runs:
            return True
        return any(self._leads(ref.value) for ref in self._evaluator.evaluate(call.callee, frame))


def _is_run_in_thread(project: Project, expression: Expression, frame: Frame) -> bool:
    """Whether an expression waits for a thread in which agents run: `to_thread(user.initiate_chat, ...)`."""
    if not isinstance(expression, CallRef):
        return False
    call = frame.scope.calls[expression.number]
    crossings = [crossing_of(symbol_of(ref), call) for ref in project.evaluator.evaluate(call.callee, frame)]
    return any(
        crossing is not None and crossing.where == "thread" and _is_runner(project, ref.value)
        for crossing in crossings
        for ref in (project.evaluator.evaluate(crossing.function, frame) if crossing is not None else ())
    )


def _is_runner(project: Project, value: Value) -> bool:
    if isinstance(value, FunctionObject):
        return (value.path, value.scope) in leading_to_runs(project)
    entry = known_entry(value)
    return entry is not None and entry.runs


def _runs_team(value: Value, call: Call) -> bool:
    if _has_token(call):
        return False
    cls = lookup(value.cls) if isinstance(value, Method) else None
    entry = known_entry(value)
    return isinstance(cls, ClassEntry) and cls.role == "team" and entry is not None and entry.runs


def _is_awaited(project: Project, site: Site) -> bool:
    """Whether the function itself waits for the run; a task that it starts is cancelled by nobody."""
    if site.call.use in _PASSED_ON:
        return True
    if site.call.use != "argument" or not 0 <= site.call.user < len(site.scope.calls):
        return False
    user = site.scope.calls[site.call.user]
    refs = project.evaluator.evaluate(user.callee, site.frame)
    return any(symbol_of(ref).rpartition(".")[2] == _CONSOLE for ref in refs)
