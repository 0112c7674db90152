"""TL303 in Python: as many runs at once as there are items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.libraries.effects import effect
from turnlane.checker.python.explore import Route, Site
from turnlane.checker.python.facts import (
    Call,
    CallRef,
    Constant,
    Expression,
    Items,
    Name,
    Scope,
    Starred,
    Subscript,
)
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.project import Project
from turnlane.checker.python.values import External, Instance
from turnlane.checker.rule import Example, Rule
from turnlane.checker.rules.overlapping_runs import AT_ONCE, STARTS

FEW: Final = 10
"""Items written out in the program that are few enough to run at once."""


class UnboundedBurst(Rule):
    code = "TL303"
    language = "python"
    detects = (
        "`asyncio.gather` over a comprehension whose elements run an agent or ask a model, with no semaphore or "
        "limiter on the way. A few items written out in the program, batches, and one run for each agent of a "
        "list are right."
    )
    bad = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent


async def answer(question):
    return await AssistantAgent("support", None).run(task=question)


async def answer_all(questions):
    return await asyncio.gather(*[answer(question) for question in questions])  # here
""",
        ),
    )
    good = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent

limit = asyncio.Semaphore(5)


async def answer(question):
    async with limit:
        return await AssistantAgent("support", None).run(task=question)


async def read(question):
    return question


async def answer_all(questions):
    await asyncio.gather(*[read(question) for question in questions])
    await asyncio.gather(*[answer(question) for question in questions])
    names = ["writer", "critic"]
    await asyncio.gather(*[AssistantAgent(name, None).run(task="hello") for name in names])


async def in_batches(questions, agents):
    for start in range(0, len(questions), 5):
        batch = questions[start : start + 5]
        await asyncio.gather(*[AssistantAgent("support", None).run(task=question) for question in batch])
    made = [AssistantAgent(name, None) for name in agents]
    await asyncio.gather(*(agent.run(task="hello") for agent in made))
""",
            title="limited, few, or not runs",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        bursts = {(site.frame, number): site for site in project.calls_of(AT_ONCE) for number in _elements(site)}
        if not bursts:
            return
        for call in project.agent_calls:
            if call.kind == "sync":
                continue
            for route, number in call.site.way():
                burst = bursts.get((route.frame, number))
                if burst is not None and not _limited(project, call.site, route):
                    yield Finding(
                        self.code,
                        project.site_place(burst),
                        f"one `{call.name}` for each item at once, without a limit: with many items "
                        "the provider refuses what is above its rate",
                        "warning",
                    )
                    break


def _elements(site: Site) -> Iterator[int]:
    """The calls of the scope that a comprehension given to `gather` makes for each item."""
    for argument in site.call.arguments:
        yield from _each(site.scope, argument.base if isinstance(argument, Starred) else argument, 0)


def _each(scope: Scope, expression: Expression, depth: int) -> Iterator[int]:
    match expression:
        case Items(values=(CallRef(number=number),), each=True):
            call = scope.calls[number]
            if _many(scope, call.block) and not _one_for_each(scope, call):
                if getattr(call.callee, "name", "") in STARTS and call.arguments:
                    if isinstance(call.arguments[0], CallRef):
                        yield call.arguments[0].number
                else:
                    yield number
        case Name(id=name) if depth == 0:
            for assignment in scope.assignments:
                if isinstance(assignment.target, Name) and assignment.target.id == name:
                    yield from _each(scope, assignment.value, 1)
        case _:
            return


def _one_for_each(scope: Scope, call: Call) -> bool:
    """`agent.run(task) for agent in agents`: as many runs as there are agents, which are few."""
    base = getattr(call.callee, "base", None)
    return isinstance(base, Name) and any(
        isinstance(one.target, Name) and one.target.id == base.id and one.block == call.block
        for one in scope.assignments
    )


def _many(scope: Scope, block: int) -> bool:
    """Whether the comprehension's items are not a few that the program writes out."""
    iterable = scope.blocks[block].subject[0] if scope.blocks[block].subject else None
    if isinstance(iterable, Name):
        values = [
            one.value
            for one in scope.assignments
            if isinstance(one.target, Name) and one.target.id == iterable.id and not one.augmented
        ]
        iterable = values[0] if len(values) == 1 else iterable
    if isinstance(iterable, Subscript):
        return False  # a slice: the program takes so many at a time
    if isinstance(iterable, Items) and not iterable.each:
        return len(iterable.values) > FEW
    if isinstance(iterable, CallRef):
        call = scope.calls[iterable.number]
        if (
            getattr(call.callee, "id", "") == "range"
            and call.arguments
            and isinstance(call.arguments[-1], Constant)
        ):
            stop = call.arguments[-1].value
            return isinstance(stop, int) and stop > FEW
    return True


def _limited(project: Project, site: Site, until: Route) -> bool:
    """Whether a semaphore is held on the way from the burst to the run."""
    for route, number in site.way():
        if _holds_limit(project, route.frame, number):
            return True
        if route is until:
            return False
    return False


def _holds_limit(project: Project, frame: Frame, number: int) -> bool:
    scope = frame.scope
    for block in frame.view.blocks_around(scope, scope.calls[number].block):
        if scope.blocks[block].kind not in {"with", "async with"}:
            continue
        for subject in scope.blocks[block].subject:
            refs = project.evaluator.evaluate(subject, frame)
            # An unknown `async with` may be a limiter: the doubt is the program's.
            if not refs:
                return True
            for ref in refs:
                value = ref.value
                if isinstance(value, Instance) and isinstance(value.cls, External):
                    known = effect(value.cls.name)
                    if known is not None and known.kind in {"limits", "locks"}:
                        return True
    return False
