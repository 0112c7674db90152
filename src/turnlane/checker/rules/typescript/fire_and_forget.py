"""TL501 in TypeScript: a run whose promise nobody takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.finding import Edit, Finding, Fix
from turnlane.checker.rule import Example, Rule
from turnlane.checker.typescript.facts import Call, Function, Member, Name, Span
from turnlane.checker.typescript.project import Project, called, file_place
from turnlane.checker.typescript.promises import delivers, dropped
from turnlane.checker.typescript.reach import Place
from turnlane.checker.typescript.routes import agent_runs

_HELP = "Await it, hand it to `waitUntil` or `after`, or put the turn into a durable queue and answer with its id."
_TIMERS = ("setTimeout", "setImmediate", "queueMicrotask")


class FireAndForget(Rule):
    code = "TL501"
    language = "typescript"
    detects = (
        "In what a request handler runs: an agent's run, or an async function that runs an agent, whose promise "
        "is neither awaited, returned nor handed on (`void`, a lonely `.then`, `forEach` and timers drop it). "
        "What writes its own answer to the response, a stream or a socket is right."
    )
    fixes = "Inserts `await` where the function is async (unsafe: the answer then waits for the run)."
    bad: ClassVar = (
        Example(
            """\
// file: app/api/report/route.ts
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "reporter", instructions: "Write the report.", tools: [search] });

export async function POST(request: Request) {
  const { topic } = await request.json();
  run(agent, topic); // here
  return Response.json({ status: "started" });
}
""",
            after="""\
// file: app/api/report/route.ts
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "reporter", instructions: "Write the report.", tools: [search] });

export async function POST(request: Request) {
  const { topic } = await request.json();
  await run(agent, topic);
  return Response.json({ status: "started" });
}
""",
        ),
        Example(
            """\
import express from "express";
import { mastra } from "./mastra";

const app = express();

async function research(topic: string) {
  const agent = mastra.getAgent("researcher");
  const result = await agent.generate(topic);
  await store.save(topic, result.text);
}

app.post("/research", (req, res) => {
  research(req.body.topic).catch(console.error); // here
  res.status(202).json({ ok: true });
});
// file: mastra.ts
import { Mastra } from "@mastra/core";

export const mastra = new Mastra({ agents: { researcher } });
""".replace("import express", "// file: server.ts\nimport express", 1),
            title="through a function",
        ),
        Example(
            """\
import express from "express";
import { Agent, run } from "@openai/agents";

const app = express();
const agent = new Agent({ name: "reader", instructions: "Read.", tools: [store] });

app.post("/read", (req, res) => {
  req.body.urls.forEach(async (url) => { // here
    await run(agent, url);
  });
  res.json({ ok: true });
});
""",
            title="forEach",
        ),
    )
    good: ClassVar = (
        Example(
            """\
// file: app/api/report/route.ts
import { Agent, run } from "@openai/agents";
import { after } from "next/server";

const agent = new Agent({ name: "reporter", instructions: "Write the report.", tools: [search] });

export async function POST(request: Request) {
  const { topic } = await request.json();
  after(async () => {
    await run(agent, topic);
  });
  return Response.json({ status: "started" });
}
""",
            title="after the response",
        ),
        Example(
            """\
import express from "express";
import { Agent, run } from "@openai/agents";

const app = express();
const agent = new Agent({ name: "support", instructions: "Help." });

app.post("/chat", (req, res) => {
  run(agent, req.body.text)
    .then((result) => res.json({ text: result.finalOutput }))
    .catch((error) => res.status(502).json({ error: error.name }));
});
""",
            title="the answer comes from the promise",
        ),
        Example(
            """\
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "support", instructions: "Help." });

async function main() {
  console.log((await run(agent, "Hello")).finalOutput);
}

main();
""",
            title="a script",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for place in project.served:
            runs = {run.number: run for run in project.agents.runs(place)}
            for number, call in enumerate(project.scope(place).calls):
                chain = list(dropped(project.scope(place), number)) if not call.new else []
                if not chain:
                    continue
                run = runs.get(number)
                targets = _later(place, call) + (_async_targets(project, place, call) if run is None else [])
                promise = run is not None and run.promise and not run.shape.passed
                if (promise or _run_agents(project, targets)) and not delivers(project, place, chain, targets):
                    yield _found(project, place, call, chain[-1])


def _async_targets(project: Project, place: Place, call: Call) -> list[Place]:
    found = list(project.graph.targets(*place, call))
    return [target for target in found if project.scope(target).is_async]


def _later(place: Place, call: Call) -> list[Place]:
    """The functions whose promises `forEach` and timers drop."""
    callee = call.callee
    drops = (isinstance(callee, Name) and callee.id in _TIMERS) or (
        isinstance(callee, Member) and callee.name == "forEach"
    )
    return [(place[0], one.scope) for one in call.arguments if isinstance(one, Function)] if drops else []


def _run_agents(project: Project, targets: list[Place]) -> bool:
    return bool(targets) and next(agent_runs(project, project.graph.reach(targets)), None) is not None


def _found(project: Project, place: Place, call: Call, last: Call) -> Finding:
    name = called(call)
    what = f"`{name}`" if name else "this function"
    message = (
        f"nobody waits for {what}: {project.handler_of(place)} may answer, and the process end, before the run"
    )
    return project.finding(
        "TL501",
        place[0],
        call.span,
        message,
        "warning",
        help=_HELP,
        trace=project.trace(place),
        fix=_await(project, place, last),
    )


def _await(project: Project, place: Place, call: Call) -> Fix | None:
    if not project.scope(place).is_async or call.use != "dropped" or _later(place, call):
        return None
    start = Span(call.span.line, call.span.column, call.span.line, call.span.column)
    return Fix("Insert `await`", (Edit(file_place(place[0], start), "await "),), safe=False)
