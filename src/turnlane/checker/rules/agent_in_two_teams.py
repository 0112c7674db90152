"""TL205 in Python: one participant object in two teams."""

from __future__ import annotations

from collections.abc import Iterator

from turnlane.checker.finding import Finding, Step
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Attribute, Expression, Items, Name
from turnlane.checker.python.project import Project, class_entry
from turnlane.checker.python.values import Instance, Ref
from turnlane.checker.rule import Example, Rule


class AgentInTwoTeams(Rule):
    code = "TL205"
    language = "python"
    detects = (
        "One AgentChat participant object given to two teams that one function makes and runs. Not reported: "
        "teams of which only one is made (branches), classic group chats, whose agents keep a history for "
        "each chat, tests, and notebooks, where a cell often builds the team anew."
    )
    bad = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat


async def main():
    writer = AssistantAgent("writer", None)
    critic = AssistantAgent("critic", None)
    editor = AssistantAgent("editor", None)
    drafting = RoundRobinGroupChat([writer, critic])
    polishing = RoundRobinGroupChat([writer, editor])  # here
    await drafting.run(task="draft")
    await polishing.run(task="polish")
""",
        ),
    )
    good = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat


def make_writer():
    return AssistantAgent("writer", None)


async def main(choose: bool):
    drafting = RoundRobinGroupChat([make_writer()])
    polishing = RoundRobinGroupChat([make_writer()])
    editor = AssistantAgent("editor", None)
    if choose:
        team = SelectorGroupChat([editor], None)
    else:
        team = RoundRobinGroupChat([editor])
    await team.run(task="draft")
""",
            title="an object for each team, and a choice of teams",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        # By the variable too: two objects that one factory made are one value to the evaluation.
        teams: dict[tuple[Instance, Expression], list[tuple[Site, Ref]]] = {}
        run = {call.receiver.value for call in project.agent_calls if call.receiver is not None}
        for site, team, entry in project.creations:
            if site.situation.kind in {"cell", "test"}:
                continue
            if team.value in run and entry.role == "team" and entry.family == "agentchat":
                for variable, ref in _participants(project, site):
                    if isinstance(ref.value, Instance) and ref.value.call >= 0:
                        teams.setdefault((ref.value, variable), []).append((site, ref))
        for uses in teams.values():
            yield from self._second_team(project, uses)

    def _second_team(self, project: Project, uses: list[tuple[Site, Ref]]) -> Iterator[Finding]:
        first = uses[0][0]
        for site, ref in uses[1:]:
            if site.frame is not first.frame or site.call.span == first.call.span or _exclusive(first, site):
                continue
            entry = class_entry(ref, project.evaluator)
            what = entry.name.rpartition(".")[2] if entry is not None else "agent"
            yield Finding(
                self.code,
                project.site_place(site),
                f"the same {what} is already in the team made at {first.path}:{first.call.span.line}: "
                "what it hears in one team it brings into the other",
                "warning",
                trace=(Step(project.site_place(first), "the first team"),),
            )
            return


def _participants(project: Project, site: Site) -> Iterator[tuple[Expression, Ref]]:
    """The variables in the list of participants, with what they hold."""
    given = [value for name, value in site.call.keywords if name == "participants"] or site.call.arguments[:1]
    for expression in given:
        if isinstance(expression, Items):
            for variable in expression.values:
                if isinstance(variable, Name | Attribute):
                    for ref in project.evaluator.evaluate(variable, site.frame):
                        yield variable, ref


def _exclusive(one: Site, other: Site) -> bool:
    """Whether only one of two calls of a function is made: they stand in different branches, or one returns."""
    scope, view = one.scope, one.frame.view
    mine = set(view.blocks_around(scope, one.call.block))
    theirs = set(view.blocks_around(scope, other.call.block))
    conditional = {"if", "else", "except", "try"}
    return any(scope.blocks[block].kind in conditional for block in mine ^ theirs) or one.call.use == "returned"
