"""TL604 in TypeScript: a time limit written in code that is shorter than an agent's run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.finding import Finding
from turnlane.checker.rule import Example, Rule
from turnlane.checker.typescript.agents import option
from turnlane.checker.typescript.facts import Constant, Span
from turnlane.checker.typescript.handlers import functions
from turnlane.checker.typescript.project import Project
from turnlane.checker.typescript.reach import Place
from turnlane.checker.typescript.routes import agent_runs, entry_points, settings

_SHORT = 30
"""Seconds that a run with two model calls and a tool often needs."""


class ShortFunctionTimeout(Rule):
    code = "TL604"
    language = "typescript"
    detects = (
        "`export const maxDuration` below 30 s (also in `config`), and `timeoutSeconds` below 30 given to a "
        "Firebase function, where its handlers run an agent. Limits in `vercel.json` and templates are found "
        "there."
    )
    bad: ClassVar = (
        Example(
            """\
// file: app/api/chat/route.ts
import { Agent, run } from "@openai/agents";

export const maxDuration = 10; // here

const agent = new Agent({ name: "support", instructions: "Help.", tools: [search] });

export async function POST(request: Request) {
  const result = await run(agent, await request.text());
  return Response.json({ text: result.finalOutput });
}
""",
        ),
    )
    good: ClassVar = (
        Example(
            """\
// file: app/api/chat/route.ts
import { Agent, run } from "@openai/agents";

export const maxDuration = 300;

const agent = new Agent({ name: "support", instructions: "Help.", tools: [search] });

export async function POST(request: Request) {
  const result = await run(agent, await request.text());
  return Response.json({ text: result.finalOutput });
}
""",
        ),
        Example(
            """\
// file: app/api/title/route.ts
import { generateText } from "ai";

export const maxDuration = 10;

export async function POST(request: Request) {
  const { text } = await generateText({ model, prompt: await request.text() });
  return Response.json({ text });
}
""",
            title="one completion",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for path in project.modules:
            for export, value in settings(project, path, "maxDuration"):
                if _is_short(value):
                    places = entry_points(project, path)
                    yield from _checked(project, path, export.span, f"`maxDuration` is {value} s", places)
        yield from _firebase(project)


def _is_short(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _SHORT


def _checked(project: Project, path: str, span: Span, what: str, places: list[Place]) -> Iterator[Finding]:
    reached = project.graph.reach(places)
    found = next(agent_runs(project, reached), None)
    if found is not None:
        message = f"{what}, and this function runs an agent ({found[1]}), which may take longer and is then ended"
        help_line = "Let it cover the longest run with its tools, or hand the turn to a queue."
        trace = project.trace(found[0], reached)
        yield project.finding("TL604", path, span, message, "warning", help=help_line, trace=trace)


def _firebase(project: Project) -> Iterator[Finding]:
    for place, _, call in project.calls():
        limit = option(call, "timeoutSeconds")
        if isinstance(limit, Constant) and _is_short(limit.value):
            places = [
                (function.path, function.scope)
                for argument in call.arguments
                for function in functions(project.values, *place, argument)
            ]
            yield from _checked(project, place[0], call.span, f"`timeoutSeconds` is {limit.value}", places)
