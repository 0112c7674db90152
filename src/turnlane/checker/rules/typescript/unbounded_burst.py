"""TL303 in TypeScript: as many runs at once as there are elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.finding import Finding
from turnlane.checker.rule import Example, Rule
from turnlane.checker.typescript.bursts import Burst, bursts
from turnlane.checker.typescript.facts import Array, CallRef, Member, Name
from turnlane.checker.typescript.project import Project
from turnlane.checker.typescript.values import Made

_PARTS = ("chunk", "batch", "slice", "group", "page", "window")


class UnboundedBurst(Rule):
    code = "TL303"
    language = "typescript"
    detects = (
        "`Promise.all` over `list.map(...)` whose function runs an agent for each element, with nothing that "
        "limits how many run at once. Literal lists, slices, batches and what goes through a limiter are right."
    )
    bad: ClassVar = (
        Example(
            """\
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "reader", instructions: "Summarise.", tools: [search] });

export async function summarise(documents: string[]) {
  return Promise.all(documents.map((text) => run(agent, text))); // here
}
""",
        ),
    )
    good: ClassVar = (
        Example(
            """\
import pLimit from "p-limit";
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "reader", instructions: "Summarise.", tools: [search] });
const limit = pLimit(4);

export async function summarise(documents: string[]) {
  return Promise.all(documents.map((text) => limit(() => run(agent, text))));
}
""",
            title="a limiter",
        ),
        Example(
            """\
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "critic", instructions: "Criticise." });
const STYLES = ["kind", "harsh"];

export async function criticise(text: string) {
  return Promise.all(STYLES.map((style) => run(agent, `${style}: ${text}`)));
}
""",
            title="a short list",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for burst in bursts(project):
            if (
                burst.each
                and any(run.shape.loop and run.promise for run in burst.runs)
                and not _limited(project, burst)
            ):
                message = "this starts a run for every element at once, and nothing limits how many"
                help_line = "Run them in batches, or through a limiter such as `p-limit` that fits the provider."
                yield project.finding("TL303", burst.place[0], burst.call.span, message, "warning", help=help_line)


def _limited(project: Project, burst: Burst) -> bool:
    over = burst.over
    named = over.id if isinstance(over, Name) else over.name if isinstance(over, Member) else ""
    if any(part in named.lower() for part in _PARTS):
        return True
    for value in project.values.of(*burst.over_place, over):
        if not isinstance(value, Made):
            continue
        if isinstance(value.expression, Array):
            return True
        if isinstance(value.expression, CallRef):
            callee = project.scope((value.path, value.scope)).calls[value.expression.number].callee
            if isinstance(callee, Member) and any(part in callee.name.lower() for part in _PARTS):
                return True
    return False
