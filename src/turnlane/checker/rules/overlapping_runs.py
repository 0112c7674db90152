"""TL204 in Python: several runs of one agent or team at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Call, CallRef, Expression, Items, Name, Starred
from turnlane.checker.python.project import AgentCall, Project, agent_calls_of
from turnlane.checker.python.values import Instance
from turnlane.checker.rule import Example, Rule

AT_ONCE: Final = ("asyncio.gather", "asyncio.wait", "asyncio.as_completed", "asyncio.tasks.gather")
STARTS: Final = frozenset({"create_task", "ensure_future"})
ONE_AT_A_TIME: Final = frozenset({"agent", "user_proxy", "team", "manager", "workflow"})


class OverlappingRuns(Rule):
    code = "TL204"
    language = "python"
    detects = (
        "`asyncio.gather` (or `wait`, `as_completed`) over several runs of one agent or team object: written "
        "out, or in a comprehension whose runs all use an object made outside it. Runs of different objects "
        "are right."
    )
    bad = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent


async def main():
    agent = AssistantAgent("writer", None)
    await asyncio.gather(agent.run(task="one"), agent.run(task="two"))  # here
""",
            title="written out",
        ),
        Example(
            """\
import asyncio

from autogen_agentchat.teams import RoundRobinGroupChat


async def answer_all(questions):
    team = RoundRobinGroupChat([])
    tasks = [asyncio.create_task(team.run(task=question)) for question in questions]
    return await asyncio.gather(*tasks)  # here
""",
            title="in a comprehension",
        ),
    )
    good = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent


def make():
    return AssistantAgent("writer", None)


async def answer_all(questions):
    writer, critic = AssistantAgent("writer", None), AssistantAgent("critic", None)
    await asyncio.gather(writer.run(task="one"), critic.run(task="two"))
    return await asyncio.gather(*[make().run(task=question) for question in questions])
""",
            title="an object for each run",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for site in project.calls_of(AT_ONCE):
            seen: dict[Instance, str] = {}
            for argument in site.call.arguments:
                for run, several in _runs_in(project, site, argument, False):
                    assert run.receiver is not None
                    agent = run.receiver.value
                    if not isinstance(agent, Instance):
                        continue
                    if several or agent in seen:
                        yield self._finding(project, site, run)
                        break
                    seen[agent] = run.name
                else:
                    continue
                break

    def _finding(self, project: Project, site: Site, run: AgentCall) -> Finding:
        assert run.cls is not None
        return Finding(
            self.code,
            project.site_place(site),
            f"several runs of one {run.cls.name.rpartition('.')[2]} at once: `{run.name}` is started again before "
            "the first has ended, and both write into one conversation",
            "error",
        )


def _runs_in(
    project: Project, site: Site, expression: Expression, several: bool
) -> Iterator[tuple[AgentCall, bool]]:
    """The agent runs that an argument of `gather` holds, and whether each stands for many with one object."""
    scope = site.scope
    match expression:
        case CallRef(number=number):
            yield from _run_of_call(project, site, scope.calls[number], number, several)
        case Starred(base=base):
            yield from _runs_in(project, site, base, several)
        case Items(values=values, each=each):
            for value in values:
                yield from _runs_in(project, site, value, several or each)
        case Name(id=name):
            for assignment in scope.assignments:
                target = assignment.target
                if isinstance(target, Name) and target.id == name and not isinstance(assignment.value, Name):
                    yield from _runs_in(project, site, assignment.value, several)
        case _:
            return


def _run_of_call(
    project: Project, site: Site, call: Call, number: int, several: bool
) -> Iterator[tuple[AgentCall, bool]]:
    name = getattr(call.callee, "name", "")
    if name in STARTS and call.arguments:
        yield from _runs_in(project, site, call.arguments[0], several)
        return
    inner = Site(site.route, number, project.evaluator.evaluate(call.callee, site.frame))
    for run in agent_calls_of(inner):
        if run.runs and run.role in ONE_AT_A_TIME and run.receiver is not None:
            yield run, several and _made_outside(site, call, run)


def _made_outside(site: Site, call: Call, run: AgentCall) -> bool:
    """Whether the object is the same in each round of the comprehension that the call stands in."""
    assert run.receiver is not None
    agent = run.receiver.value
    if not isinstance(agent, Instance) or agent.call < 0:
        return False
    if agent.frame is not site.frame:
        # Made elsewhere: the same only when a variable of this function or module holds it.
        return isinstance(getattr(call.callee, "base", None), Name) and not _loop_variable(site, call)
    return site.scope.calls[agent.call].block != call.block


def _loop_variable(site: Site, call: Call) -> bool:
    base = getattr(call.callee, "base", None)
    return any(
        isinstance(assignment.target, Name) and assignment.target.id == base.id and assignment.block == call.block
        for assignment in site.scope.assignments
        if isinstance(base, Name)
    )
