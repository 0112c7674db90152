"""TL207 in Python: an agent or team that is used again after a run of it has failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Attribute, Name, Scope
from turnlane.checker.python.project import AgentCall, Project
from turnlane.checker.python.retries import catches_all
from turnlane.checker.python.values import Instance
from turnlane.checker.rule import Example, Rule

LOOPS: Final = frozenset({"for", "async for", "while"})


class KeptAfterAnError(Rule):
    code = "TL207"
    language = "python"
    detects = (
        "An AgentChat agent or team made before a loop and run inside it, under a `try` whose `except "
        "Exception` lets the loop go on with the same object. Making a new object in the handler, or leaving "
        "the loop, is right."
    )
    bad = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent


async def serve(questions):
    agent = AssistantAgent("support", None, tools=[print])
    for question in questions:
        try:
            await agent.run(task=question)  # here
        except Exception as error:
            print(error)
""",
        ),
    )
    good = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent


async def serve(questions):
    agent = AssistantAgent("support", None)
    for question in questions:
        try:
            await agent.run(task=question)
        except Exception as error:
            print(error)
            agent = AssistantAgent("support", None)


async def stop(questions):
    agent = AssistantAgent("support", None)
    for question in questions:
        try:
            await agent.run(task=question)
        except Exception as error:
            print(error)
            break


async def fresh(questions):
    for question in questions:
        agent = AssistantAgent("support", None)
        try:
            await agent.run(task=question)
        except Exception as error:
            print(error)
""",
            title="made anew, or the end",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for call in project.agent_calls:
            if call.cls is None or call.cls.family != "agentchat" or call.role not in {"agent", "team"}:
                continue
            if call.kind == "sync" or not _goes_on(call):
                continue
            yield Finding(
                self.code,
                project.site_place(call.site),
                f"the loop goes on with the same {call.cls.name.rpartition('.')[2]} after a failed `{call.name}`: "
                + (
                    "its history may end in a tool call without an answer, which the provider refuses from then on"
                    if call.role == "agent"
                    else "a team that failed ends every later run early"
                ),
                "warning",
            )


def _goes_on(call: AgentCall) -> bool:
    """Whether an error of the run is caught inside the loop and the loop continues with the object."""
    site = call.site
    scope = site.scope
    around = list(site.frame.view.blocks_around(scope, site.call.block))
    loop = next((block for block in around if scope.blocks[block].kind in LOOPS), None)
    attempt = next((block for block in around if scope.blocks[block].kind == "try"), None)
    if loop is None or attempt is None or around.index(attempt) > around.index(loop):
        return False
    handlers = [
        number
        for number, block in enumerate(scope.blocks)
        if block.kind == "except" and block.partner == attempt and catches_all(block)
    ]
    return (
        bool(handlers)
        and not _made_inside(call, loop)
        and not any(_leaves_or_renews(scope, site, n) for n in handlers)
    )


def _made_inside(call: AgentCall, loop: int) -> bool:
    agent = call.receiver.value if call.receiver is not None else None
    site = call.site
    if not isinstance(agent, Instance) or agent.call < 0:
        return True  # its origin is not known
    if agent.frame is not site.frame:
        base = getattr(site.call.callee, "base", None)
        # A variable that is set inside the loop, from a factory.
        return any(
            assignment.target == base and loop in site.frame.view.blocks_around(site.scope, assignment.block)
            for assignment in site.scope.assignments
        )
    return loop in site.frame.view.blocks_around(site.scope, site.scope.calls[agent.call].block)


def _leaves_or_renews(scope: Scope, site: Site, handler: int) -> bool:
    """Whether the except branch ends the loop, raises, or sets the variable anew."""
    view = site.frame.view

    def inside(block: int) -> bool:
        return handler in view.blocks_around(scope, block)

    base = getattr(site.call.callee, "base", None)
    if any(inside(one.block) for one in scope.results) or any(inside(one.block) for one in scope.raises):
        return True
    if any(jump.kind == "break" and inside(jump.block) for jump in scope.jumps):
        return True
    return isinstance(base, Name | Attribute) and any(
        inside(assignment.block) and assignment.target == base for assignment in scope.assignments
    )
