"""TL604 in TypeScript: a time limit written in code that is shorter than an agent's run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.finding import Finding, Severity
from turnlane.checker.rule import Example, Rule
from turnlane.checker.time_limits import too_short
from turnlane.checker.typescript.agents import option
from turnlane.checker.typescript.facts import Constant, Span
from turnlane.checker.typescript.handlers import functions
from turnlane.checker.typescript.project import Project
from turnlane.checker.typescript.reach import Place
from turnlane.checker.typescript.routes import agent_runs, entry_points, settings


class ShortFunctionTimeout(Rule):
    code = "TL604"
    language = "typescript"
    detects = (
        "`export const maxDuration` below 60 s (also in `config`), and `timeoutSeconds` below 60 given to a "
        "Firebase function, where its handlers run an agent; from 30 s on as "
        "information. Limits in `vercel.json` and templates are found "
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
        Example(
            """\
// file: app/api/chat/route.ts
import { Agent, run } from "@openai/agents";

export const maxDuration = 30; // here

const agent = new Agent({ name: "support", instructions: "Help.", tools: [search] });

export async function POST(request: Request) {
  const result = await run(agent, await request.text());
  return Response.json({ text: result.finalOutput });
}
""",
            title="half a minute, as information",
        ),
    )
    good: ClassVar = (
        Example(
            """\
// file: app/api/chat/route.ts
import { Agent, run } from "@openai/agents";

export const maxDuration = 60;

const agent = new Agent({ name: "support", instructions: "Help.", tools: [search] });

export async function POST(request: Request) {
  const result = await run(agent, await request.text());
  return Response.json({ text: result.finalOutput });
}
""",
            title="a minute",
        ),
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
                severity = _severity(value)
                if severity is not None:
                    places = entry_points(project, path)
                    what = f"`maxDuration` is {value} s"
                    yield from _checked(project, path, export.span, what, places, severity)
        yield from _firebase(project)


def _severity(value: object) -> Severity | None:
    """What a value given as a time limit is for a run; None: long enough, or no number of seconds."""
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        return None
    return too_short(value)


def _checked(
    project: Project, path: str, span: Span, what: str, places: list[Place], severity: Severity
) -> Iterator[Finding]:
    reached = project.graph.reach(places)
    found = next(agent_runs(project, reached), None)
    if found is not None:
        message = f"{what}, and this function runs an agent ({found[1]}), which may take longer and is then ended"
        help_line = "Let it cover the longest run with its tools, or hand the turn to a queue."
        trace = project.trace(found[0], reached)
        yield project.finding("TL604", path, span, message, severity, help=help_line, trace=trace)


def _firebase(project: Project) -> Iterator[Finding]:
    for place, _, call in project.calls():
        limit = option(call, "timeoutSeconds")
        severity = _severity(limit.value) if isinstance(limit, Constant) else None
        if isinstance(limit, Constant) and severity is not None:
            places = [
                (function.path, function.scope)
                for argument in call.arguments
                for function in functions(project.values, *place, argument)
            ]
            what = f"`timeoutSeconds` is {limit.value}"
            yield from _checked(project, place[0], call.span, what, places, severity)
