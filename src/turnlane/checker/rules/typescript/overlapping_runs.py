"""TL204 in TypeScript: runs of one agent at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.finding import Finding
from turnlane.checker.rule import Example, Rule
from turnlane.checker.typescript.bursts import Burst, bursts
from turnlane.checker.typescript.project import Project


class OverlappingRuns(Rule):
    code = "TL204"
    language = "typescript"
    detects = (
        "`Promise.all`, `allSettled`, `race` or `any` over several runs of one object that keeps a conversation. "
        "Agents that are definitions may run side by side, and so may one object for each run."
    )
    bad: ClassVar = (
        Example(
            """\
import { Agent } from "@strands-agents/sdk";

const agent = new Agent({ systemPrompt: "Summarise." });

export async function summarise(texts: string[]) {
  return Promise.all(texts.slice(0, 5).map((text) => agent.invoke(text))); // here
}
""",
        ),
        Example(
            """\
import { AssistantAgent } from "autogen-ts";

export async function both(question: string) {
  const agent = new AssistantAgent({ name: "expert" });
  return Promise.all([agent.run(question), agent.run("Criticise: " + question)]); // here
}
""",
            title="two runs of one agent",
        ),
    )
    good: ClassVar = (
        Example(
            """\
import { Agent } from "@strands-agents/sdk";

export async function summarise(texts: string[]) {
  return Promise.all(
    texts.slice(0, 5).map((text) => {
      const agent = new Agent({ systemPrompt: "Summarise." });
      return agent.invoke(text);
    }),
  );
}
""",
            title="one agent for each run",
        ),
        Example(
            """\
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "critic", instructions: "Criticise." });

export async function both(a: string, b: string) {
  return Promise.all([run(agent, a), run(agent, b)]);
}
""",
            title="a definition",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for burst in bursts(project):
            name = _one_conversation(project, burst)
            if name:
                message = f"runs of `{name}` overlap, and it keeps one conversation: their messages mix"
                help_line = "Run them one after the other, or make an agent for each run."
                yield project.finding("TL204", burst.place[0], burst.call.span, message, "error", help=help_line)


def _one_conversation(project: Project, burst: Burst) -> str:
    """The name of the object that several of the runs share; empty: there is none."""
    counted: dict[tuple[str, int, str], int] = {}
    for run in burst.runs:
        if run.shape.keeps != "yes" or run.subject is None:
            continue
        holding = project.sharing.holder(run.path, run.scope, run.subject)
        if holding is None:
            continue
        inside = holding.kind == "variable" and burst.encloses(project, holding.path, holding.scope)
        if not inside:
            key = (holding.path, holding.scope, holding.name)
            counted[key] = counted.get(key, 0) + (2 if burst.each else 1)
    return next((name for (_, _, name), count in counted.items() if count > 1), "")
