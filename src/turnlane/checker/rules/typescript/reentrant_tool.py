"""TL402 in TypeScript: a tool that runs the agent it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.finding import Finding
from turnlane.checker.rule import Example, Rule
from turnlane.checker.typescript.agents import Run, option
from turnlane.checker.typescript.facts import Array, Call, CallRef, Expression, Function, Object, Spread
from turnlane.checker.typescript.project import Project, called
from turnlane.checker.typescript.reach import Place
from turnlane.checker.typescript.values import Made

_BODIES = ("execute", "func", "call", "invoke", "handler", "run", "callback")
_DEEP = 4

Key = tuple[str, int, int]
"""A call, as the object that it makes: file, scope, number."""


class ReentrantTool(Rule):
    code = "TL402"
    language = "typescript"
    detects = (
        "A tool whose function runs the agent that has this tool among its `tools`. An agent as a tool of another "
        "one is right."
    )
    bad: ClassVar = (
        Example(
            """\
import { Agent, run, tool } from "@openai/agents";

const ask = tool({
  name: "ask_again",
  parameters,
  execute: async ({ question }) => {
    const result = await run(agent, question); // here
    return result.finalOutput;
  },
});

const agent = new Agent({ name: "support", instructions: "Help.", tools: [ask] });
""",
        ),
    )
    good: ClassVar = (
        Example(
            """\
import { Agent, run, tool } from "@openai/agents";

const expert = new Agent({ name: "expert", instructions: "Know." });

const ask = tool({
  name: "ask_expert",
  parameters,
  execute: async ({ question }) => (await run(expert, question)).finalOutput,
});

const agent = new Agent({ name: "support", instructions: "Help.", tools: [ask] });
""",
            title="another agent",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for run in list(project.runs()):
            for key in _agents(project, run):
                if _is_in_own_tool(project, run, key):
                    call = project.call(run)
                    message = (
                        f"this tool runs the agent it belongs to (`{called(call)}`): the run starts itself again"
                    )
                    help_line = "Return data to the run that called the tool."
                    yield project.finding("TL402", run.path, call.span, message, "error", help=help_line)


def _agents(project: Project, run: Run) -> Iterator[Key]:
    if run.subject is not None:
        for value in project.values.made(run.path, run.scope, run.subject):
            if isinstance(value, Made) and isinstance(value.expression, CallRef):
                yield value.path, value.scope, value.expression.number


def _is_in_own_tool(project: Project, run: Run, agent: Key) -> bool:
    call = project.scope(agent[:2]).calls[agent[2]]
    tools = option(call, "tools")
    if tools is None:
        return False
    bodies = [body for tool in _tools(project, agent[:2], tools) for body in _bodies(project, tool)]
    return (run.path, run.scope) in project.graph.reach(bodies) if bodies else False


def _tools(project: Project, place: Place, expression: Expression, depth: int = 0) -> Iterator[Key]:
    for value in project.values.of(*place, expression) if depth < _DEEP else ():
        if not isinstance(value, Made):
            continue
        here = (value.path, value.scope)
        match value.expression:
            case CallRef(number):
                yield (*here, number)
            case Array(values) | Object(_, values):
                for one in values:
                    yield from _tools(project, here, one.base if isinstance(one, Spread) else one, depth + 1)


def _bodies(project: Project, tool: Key) -> Iterator[Place]:
    """The functions that run when the tool is called: those it was made with."""
    place: Place = tool[:2]
    call: Call = project.scope(place).calls[tool[2]]
    for argument in call.arguments:
        if isinstance(argument, Function):
            yield place[0], argument.scope
        elif isinstance(argument, Object):
            for key, value in zip(argument.keys, argument.values, strict=True):
                if key in _BODIES:
                    for one in project.values.of(*place, value):
                        if isinstance(one, Made) and isinstance(one.expression, Function):
                            yield one.path, one.expression.scope
