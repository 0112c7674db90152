"""TL106 in TypeScript: the result of a run is used while it is still a promise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.finding import Edit, Finding, Fix
from turnlane.checker.rule import Example, Rule
from turnlane.checker.typescript.agents import Run
from turnlane.checker.typescript.facts import CallRef, Expression, Member, Name, Read, Span
from turnlane.checker.typescript.project import Project, called, file_place
from turnlane.checker.typescript.promises import reads

_PROMISE = frozenset(("then", "catch", "finally", "constructor"))


class Unawaited(Rule):
    code = "TL106"
    language = "typescript"
    detects = (
        "An agent's run without `await` whose result is used as if it were there: a member other than `then` is "
        "read of it, or it is iterated over. A promise that is kept and awaited later, returned or handed on is "
        "right."
    )
    fixes = "Inserts `await` in an async function (safe: without it the use fails or reads `undefined`)."
    bad: ClassVar = (
        Example(
            """\
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "support", instructions: "Help." });

export async function answer(text: string) {
  const result = run(agent, text); // here
  return result.finalOutput;
}
""",
            after="""\
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "support", instructions: "Help." });

export async function answer(text: string) {
  const result = await run(agent, text);
  return result.finalOutput;
}
""",
        ),
        Example(
            """\
import { createReactAgent } from "@langchain/langgraph/prebuilt";

const agent = createReactAgent({ llm, tools });

export async function print(input) {
  for await (const chunk of agent.stream(input)) { // here
    console.log(chunk);
  }
}
""",
            after="""\
import { createReactAgent } from "@langchain/langgraph/prebuilt";

const agent = createReactAgent({ llm, tools });

export async function print(input) {
  for await (const chunk of await agent.stream(input)) {
    console.log(chunk);
  }
}
""",
            title="a stream that is still a promise",
        ),
    )
    good: ClassVar = (
        Example(
            """\
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "support", instructions: "Help." });

export async function answer(text: string) {
  const running = run(agent, text);
  const profile = await loadProfile();
  const result = await running;
  return { profile, text: result.finalOutput };
}
""",
            title="awaited later",
        ),
        Example(
            """\
import { streamText } from "ai";

export async function POST(request: Request) {
  const result = streamText({ model, tools, maxSteps: 5, prompt: await request.text() });
  return result.toDataStreamResponse();
}
""",
            title="what gives no promise",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for run in project.runs():
            if run.promise and _is_used(project, run):
                yield _found(project, run)


def _is_used(project: Project, run: Run) -> bool:
    call = project.call(run)
    scope = project.scope((run.path, run.scope))
    if call.use == "async iterated":
        return True
    if call.use == "member":
        user = scope.calls[call.user].callee if call.user >= 0 else None
        return not (isinstance(user, Member) and user.name in _PROMISE)
    if call.use != "assigned":
        return False
    name = next((entry.target for entry in scope.assignments if _is_call(entry.value, run.number)), None)
    if not isinstance(name, Name):
        return False
    assigned = [entry for entry in scope.assignments if entry.target == name]
    found = reads(project, (run.path, run.scope), name.id)
    return len(assigned) == 1 and bool(found) and all(map(_as_value, found))


def _is_call(value: Expression, number: int) -> bool:
    return isinstance(value, CallRef) and value.number == number


def _as_value(read: Read) -> bool:
    if read.use == "member":
        return read.attribute not in _PROMISE
    return read.use in ("async iterated", "iterated")


def _found(project: Project, run: Run) -> Finding:
    call = project.call(run)
    message = f"`{called(call)}` gives a promise, and its result is used without `await`"
    return project.finding(
        "TL106",
        run.path,
        call.span,
        message,
        "error",
        help="Write `await` before the call.",
        fix=_await(project, run, call.span, parenthesised=call.use == "member"),
    )


def _await(project: Project, run: Run, span: Span, *, parenthesised: bool) -> Fix | None:
    scope = project.scope((run.path, run.scope))
    if not scope.is_async and scope.kind != "module":
        return None
    start = Span(span.line, span.column, span.line, span.column)
    edits = [Edit(file_place(run.path, start), "(await " if parenthesised else "await ")]
    if parenthesised:
        end = Span(span.end_line, span.end_column, span.end_line, span.end_column)
        edits.append(Edit(file_place(run.path, end), ")"))
    return Fix("Insert `await`", tuple(edits), safe=True)
