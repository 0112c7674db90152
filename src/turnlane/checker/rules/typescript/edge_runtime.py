"""TL603 in TypeScript: an agent's run in an edge function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.finding import Finding
from turnlane.checker.rule import Example, Rule
from turnlane.checker.typescript.facts import Export
from turnlane.checker.typescript.project import Project
from turnlane.checker.typescript.routes import agent_runs, entry_points, settings

_EDGE = ("edge", "experimental-edge")
_HELP = (
    'Use `export const runtime = "nodejs"` with a `maxDuration` that covers the run, or hand the turn to a queue.'
)


class EdgeRuntime(Rule):
    code = "TL603"
    language = "typescript"
    detects = (
        'A route with `export const runtime = "edge"` (or `config = { runtime: "edge" }`) whose handlers run an '
        "agent, in this file or in what it imports: an agent of a known package, the AI SDK with tools and many "
        "steps, or a loop of its own around model calls with tools. One streamed completion is right there."
    )
    bad: ClassVar = (
        Example(
            """\
// file: app/api/chat/route.ts
import { openai } from "@ai-sdk/openai";
import { stepCountIs, streamText } from "ai";

export const runtime = "edge"; // here

export async function POST(request: Request) {
  const { messages } = await request.json();
  const result = streamText({ model: openai("gpt-4o"), messages, tools: { search }, stopWhen: stepCountIs(5) });
  return result.toUIMessageStreamResponse();
}
""",
            title="the AI SDK with tools",
        ),
        Example(
            """\
// file: src/agents/researcher.ts
import OpenAI from "openai";

export class Researcher {
  async run(messages) {
    for (let step = 0; step < 5; step++) {
      const answer = await this.ask(messages);
      if (!answer.tool_calls) return answer;
      messages.push(...(await this.callTools(answer.tool_calls)));
    }
  }

  private async ask(messages) {
    return new OpenAI().chat.completions.create({ model: "gpt-4o", messages, tools: this.tools });
  }
}
// file: src/app/api/chat/route.ts
import { Researcher } from "@/agents/researcher";

export const runtime = "edge"; // here

export async function POST(request: Request) {
  return Response.json(await new Researcher().run(await request.json()));
}
""",
            title="an own loop in another file",
        ),
    )
    good: ClassVar = (
        Example(
            """\
// file: app/api/complete/route.ts
import { streamText } from "ai";

export const runtime = "edge";

export async function POST(request: Request) {
  const { prompt } = await request.json();
  return streamText({ model, prompt }).toTextStreamResponse();
}
""",
            title="one completion",
        ),
        Example(
            """\
// file: app/api/chat/route.ts
import { createReactAgent } from "@langchain/langgraph/prebuilt";

export const runtime = "nodejs";
export const maxDuration = 300;

export async function POST(request: Request) {
  const agent = createReactAgent({ llm, tools });
  return Response.json(await agent.invoke(await request.json()));
}
""",
            title="Node.js",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for path in project.modules:
            for export, value in settings(project, path, "runtime"):
                if value in _EDGE:
                    yield from _checked(project, path, export)


def _checked(project: Project, path: str, export: Export) -> Iterator[Finding]:
    reached = project.graph.reach(entry_points(project, path))
    found = next(agent_runs(project, reached), None)
    if found is not None:
        place, what = found
        message = f"this edge function runs an agent ({what}): it may be frozen or ended in the middle of the run"
        yield project.finding(
            "TL603", path, export.span, message, "error", help=_HELP, trace=project.trace(place, reached)
        )
