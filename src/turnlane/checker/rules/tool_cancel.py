"""TL404 in Python: a tool that ends by a cancellation of its own, which leaves its run waiting for ever."""

from __future__ import annotations

from collections.abc import Iterator

from turnlane.checker.finding import Finding
from turnlane.checker.python.catching import escapes, raised_name
from turnlane.checker.python.project import Project
from turnlane.checker.python.tools import AUTOGEN, tools
from turnlane.checker.rule import Example, Rule


class ToolCancel(Rule):
    code = "TL404"
    language = "python"
    detects = (
        "A tool of an AutoGen agent that raises `CancelledError` itself. Letting the cancellation of somebody "
        "else pass, and turning it into a result, are right."
    )
    bad = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent

stopped = asyncio.Event()


async def slow_report(month: str) -> str:
    for _ in range(30):
        if stopped.is_set():
            raise asyncio.CancelledError  # here
        await asyncio.sleep(1)
    return f"report for {month}"


agent = AssistantAgent("support", None, tools=[slow_report])
""",
        ),
    )
    good = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent


async def passing(month: str) -> str:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        raise
    return f"report for {month}"


async def answering(month: str) -> str:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        return "Stopped before it finished."
    return f"report for {month}"


agent = AssistantAgent("support", None, tools=[passing, answering])


async def no_tool() -> None:
    raise asyncio.CancelledError
""",
            title="passed on, or made a result",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for entry in tools(project, frozenset({AUTOGEN})):
            frame, scope = entry.frame, entry.frame.scope
            for one in scope.raises:
                cancels = raised_name(one, scope) == "CancelledError"
                if cancels and escapes(frame.view, scope, one.block, "CancelledError"):
                    yield Finding(
                        self.code,
                        project.place(frame.path, one.span),
                        f"tool `{scope.name}` ends by `CancelledError`: its agent waits for a result for ever",
                        "error",
                    )
