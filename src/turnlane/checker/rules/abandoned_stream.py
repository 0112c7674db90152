"""TL502 in Python: the loop that reads a team's stream is left, and the team goes on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding, Place
from turnlane.checker.libraries.frameworks import ClassEntry, lookup
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Assignment, Attribute, Block, CallRef, Expression, Name
from turnlane.checker.python.project import Project
from turnlane.checker.python.running import known_entry
from turnlane.checker.python.values import Method
from turnlane.checker.rule import Example, Rule

_LAST: Final = frozenset({"TaskResult", "Response"})
"""Classes of what a stream gives last."""

_ENDS: Final = frozenset({"stop_reason", "inner_messages", "chat_message", "is_cancelled"})
"""Attributes that only the last item has; and the question whether a token has stopped the run."""


class AbandonedStream(Rule):
    code = "TL502"
    language = "python"
    detects = (
        "`break` or `return` in an `async for` over the stream of an agentchat team or agent. Silent where "
        "only the last item leads there (`isinstance(item, TaskResult)`), and in functions that cancel a "
        "token. A reader that goes away because a client disconnects can't be seen."
    )
    bad = (
        Example(
            """\
from autogen_agentchat.teams import RoundRobinGroupChat


async def first_answer(team: RoundRobinGroupChat, text: str) -> str:
    async for item in team.run_stream(task=text):
        if getattr(item, "source", "user") != "user":
            return str(item)  # here
    return ""


async def approved(team: RoundRobinGroupChat, text: str) -> None:
    stream = team.run_stream(task=text)
    async for item in stream:
        print(item)
        for part in str(item).split():
            if part == "break":
                break
        if "APPROVE" in str(item):
            break  # here
        if "REJECT" in str(item):
            return
""",
            title="an answer is enough",
        ),
    )
    good = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import Response, TaskResult
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken


async def result(team: RoundRobinGroupChat, text: str) -> TaskResult | None:
    async for item in team.run_stream(task=text):
        if isinstance(item, TaskResult):
            return item
    return None


async def answer(agent: AssistantAgent, messages: list) -> str:
    async for item in agent.on_messages_stream(messages, CancellationToken()):
        match item:
            case Response():
                return item.chat_message.to_text()
        if hasattr(item, "stop_reason"):
            break
    return ""


async def stoppable(team: RoundRobinGroupChat, text: str, stop) -> None:
    token = CancellationToken()
    async for item in team.run_stream(task=text, cancellation_token=token):
        if stop():
            token.cancel()
            break


async def asked(team: RoundRobinGroupChat, text: str, token: CancellationToken) -> None:
    async for item in team.run_stream(task=text, cancellation_token=token):
        if token.is_cancelled():
            break


async def others(items, team: RoundRobinGroupChat) -> None:
    async for item in items():
        break

    async for item in team.run_stream(task="hello"):
        for part in str(item).split():
            if part == "x":
                break

        def show() -> str:
            return str(item)

        print(show())
""",
            title="the last item, a token, another loop",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        seen: set[tuple[str, Block]] = set()
        for call in project.agent_calls:
            site = call.site
            if site.call.use in {"async iterated", "assigned"} and (what := _streams(site)):
                for loop in _loops(site):
                    if (site.path, loop) not in seen:
                        seen.add((site.path, loop))
                        yield from self._left(project, site, loop, what)

    def _left(self, project: Project, site: Site, loop: Block, what: str) -> Iterator[Finding]:
        leavings = list(_leavings(project, site, loop))
        if not leavings:
            return
        first, more = leavings[0], len(leavings) - 1
        also = f" (so {'do' if more > 1 else 'does'} {more} more below)" if more else ""
        end_line, end_column = first.end_lineno or first.lineno, first.end_col_offset or first.col_offset
        yield Finding(
            self.code,
            Place(site.path, first.lineno, first.col_offset, end_line, end_column),
            f"This leaves `{project.callee_text(site)}` before its end{also}: {_CONSEQUENCE[what]}",
            "warning",
        )


_CONSEQUENCE: Final = {
    "team": "the team goes on unseen and makes all its model calls",
    "agent": "the agent stops between two steps, perhaps with a tool call that has no result",
}


def _streams(site: Site) -> str:
    """ "team" or "agent" where the call is the stream of a run that nothing else can stop; else empty."""
    found: set[str] = set()
    for ref in site.targets:
        cls = lookup(ref.value.cls) if isinstance(ref.value, Method) else None
        entry = known_entry(ref.value)
        if not isinstance(cls, ClassEntry) or entry is None or entry.kind != "stream" or not entry.runs:
            return ""
        if cls.family not in {"agentchat", "ext"} or cls.role not in {"team", "agent"}:
            return ""
        found.add(cls.role)
    return found.pop() if len(found) == 1 else ""


def _loops(site: Site) -> Iterator[Block]:
    """The loops that read what the call gives."""
    scope = site.scope
    read: Expression = CallRef(site.number)
    if site.call.use == "assigned":
        assignment: Assignment | None = (
            scope.assignments[site.call.user] if 0 <= site.call.user < len(scope.assignments) else None
        )
        if assignment is None or not isinstance(assignment.target, Name):
            return
        read = assignment.target
    for block in scope.blocks:
        if block.kind == "async for" and len(block.subject) == 1:
            subject = block.subject[0]
            if type(subject) is type(read) and subject == read:
                yield block


# --- The statements that leave a loop -------------------------------------------------------------------------


def _leavings(project: Project, site: Site, loop: Block) -> Iterator[ast.Break | ast.Return]:
    """Where the loop is left before the stream's end; nothing in a function that cancels a token."""
    lines = project.sources[site.path].lines[loop.line : loop.end_line]
    if _cancels(site) or not any("break" in line or "return" in line for line in lines):
        return
    tree = project.tree(site.path)
    node = next(_async_loops(tree, loop), None) if tree is not None else None
    for statement in node.body if node is not None else ():
        yield from _leaving(statement, breaks=True)


def _async_loops(tree: ast.Module, loop: Block) -> Iterator[ast.AsyncFor]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFor) and (node.lineno, node.end_lineno) == (loop.line, loop.end_line):
            yield node


def _cancels(site: Site) -> bool:
    """Whether the function cancels something: then it knows that leaving does not stop the run."""
    return any(isinstance(call.callee, Attribute) and call.callee.name == "cancel" for call in site.scope.calls)


def _leaving(node: ast.AST, *, breaks: bool) -> Iterator[ast.Break | ast.Return]:
    """The `break` and `return` below, apart from those that only the last item leads to."""
    if isinstance(node, ast.Return) or (isinstance(node, ast.Break) and breaks):
        yield node
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return
    if isinstance(node, ast.If) and _knows_end(node.test):
        for statement in node.orelse:
            yield from _leaving(statement, breaks=breaks)
        return
    if isinstance(node, ast.match_case) and _knows_end(node.pattern):
        return
    if isinstance(node, ast.For | ast.AsyncFor | ast.While):
        breaks = False
    for child in ast.iter_child_nodes(node):
        yield from _leaving(child, breaks=breaks)


def _knows_end(test: ast.AST) -> bool:
    """Whether a test looks for the item that a stream ends with."""
    for node in ast.walk(test):
        if isinstance(node, ast.Name) and node.id in _LAST:
            return True
        if isinstance(node, ast.Attribute) and node.attr in _LAST | _ENDS:
            return True
        if isinstance(node, ast.Constant) and node.value in _LAST | _ENDS:
            return True
    return False
