"""TL203 in Python: a model context, memory, termination condition or session for the requests of all users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Expression
from turnlane.checker.python.project import Project, class_entry, class_name
from turnlane.checker.python.values import Container, Ref
from turnlane.checker.rule import Example, Rule
from turnlane.checker.rules.shared_agent import kept

TAKES_PARTS: Final = frozenset({"agent", "user_proxy", "team", "group_chat", "manager"})
"""Roles of objects that are made of contexts, conditions and memories."""

CONSEQUENCE: Final = {
    "context": "every agent made with it reads all users' messages",
    "termination": "it counts all runs together, so that users end each other's",
    "session": "every run with it reads all users' messages",
    "memory": "what one user said is remembered for all",
}
"""What happens, by the role of the shared object."""


class SharedContext(Rule):
    code = "TL203"
    language = "python"
    detects = (
        "A model context, a termination condition, a session or a list memory that lives longer than a "
        "request and is handed to an agent, team or run that a request handler makes. A vector store or "
        "another shared source of knowledge is right."
    )
    bad = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_core.model_context import BufferedChatCompletionContext
from fastapi import FastAPI

app = FastAPI()
context = BufferedChatCompletionContext(buffer_size=10)


@app.post("/chat")
async def chat(text: str):
    agent = AssistantAgent("support", None, model_context=context)  # here
    return await agent.run(task=text)
""",
            title="a model context",
        ),
        Example(
            """\
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from fastapi import FastAPI

app = FastAPI()
ending = TextMentionTermination("DONE") | MaxMessageTermination(10)


def make_team(agents):
    return RoundRobinGroupChat(agents, termination_condition=ending)  # here


@app.post("/chat")
async def chat(text: str):
    team = make_team([])
    return await team.run(task=text)
""",
            title="a termination condition, in a factory that the handler calls",
        ),
    )
    good = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_core.model_context import BufferedChatCompletionContext
from fastapi import FastAPI

app = FastAPI()


@app.post("/chat")
async def chat(text: str):
    agent = AssistantAgent("support", None, model_context=BufferedChatCompletionContext(buffer_size=10))
    return await agent.run(task=text)
""",
            title="made for each request",
        ),
        Example(
            """\
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat

ending = MaxMessageTermination(10)


async def main():
    await RoundRobinGroupChat([], termination_condition=ending).run(task="hello")


if __name__ == "__main__":
    import asyncio

    asyncio.run(main())
""",
            title="one user's program",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        makers = (site for site, _, entry in project.creations if entry.role in TAKES_PARTS)
        runners = (call.site for call in project.agent_calls)
        for site in (*makers, *runners):
            if not site.situation.serves:
                continue
            for expression in (*site.call.arguments, *(value for _, value in site.call.keywords)):
                ref = _shared_part(project, site, expression)
                if ref is not None:
                    yield self._finding(project, site, ref)

    def _finding(self, project: Project, site: Site, ref: Ref) -> Finding:
        holder = ref.holder
        assert holder is not None
        entry = class_entry(ref, project.evaluator)
        assert entry is not None
        place, _ = project.touch(site, holder)
        return Finding(
            self.code,
            place,
            f"`{holder.name}` ({class_name(ref, project.evaluator)}), {kept(holder)}, is part of every request of "
            f"{project.started_by(site)}: {CONSEQUENCE[entry.role or '']}",
            "error",
            trace=project.trace(site),
        )


def _shared_part(project: Project, site: Site, expression: Expression) -> Ref | None:
    for ref in project.evaluator.evaluate(expression, site.frame):
        parts = ref.value.items if isinstance(ref.value, Container) else (ref,)
        for part in parts:
            if not part.shared or part.holder is None:
                continue
            entry = class_entry(part, project.evaluator)
            if entry is None or entry.role not in CONSEQUENCE:
                continue
            if entry.role == "memory" and not entry.name.endswith("ListMemory"):
                continue
            return part
    return None
