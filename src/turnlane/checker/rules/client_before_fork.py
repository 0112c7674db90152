"""TL301 in Python: a process is forked that already holds agents or clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.libraries.effects import effect
from turnlane.checker.python.explore import Route, Site
from turnlane.checker.python.project import Project, agent_calls_of, class_name
from turnlane.checker.python.values import Ref, symbol_of
from turnlane.checker.rule import Example, Rule

HOLDS_CONNECTIONS: Final = frozenset(
    {
        "agent",
        "user_proxy",
        "team",
        "manager",
        "client",
        "openai_client",
        "http_client",
        "stateless_agent",
        "runtime",
    }
)


class ClientBeforeFork(Rule):
    code = "TL301"
    language = "python"
    detects = (
        "A function handed to `multiprocessing.Process`, a `Pool` or a `ProcessPoolExecutor` that uses an agent "
        "or client made at import: the child inherits the parent's open connections. Objects made inside the "
        "function are right, and so are spawned processes (`get_context('spawn')`, `set_start_method('spawn')`)."
    )
    bad = (
        Example(
            """\
import multiprocessing

from autogen import AssistantAgent, UserProxyAgent

assistant = AssistantAgent("assistant", llm_config={"model": "gpt-4o-mini"})
user = UserProxyAgent("user", human_input_mode="NEVER")


def chat(text):
    user.initiate_chat(assistant, message=text)


def answer(text):
    process = multiprocessing.Process(target=chat, args=(text,))  # here
    process.start()
    process.join()
""",
        ),
    )
    good = (
        Example(
            """\
import multiprocessing

from autogen import AssistantAgent, UserProxyAgent


def chat(text):
    assistant = AssistantAgent("assistant", llm_config={"model": "gpt-4o-mini"})
    user = UserProxyAgent("user", human_input_mode="NEVER")
    user.initiate_chat(assistant, message=text)


def answer(text):
    process = multiprocessing.Process(target=chat, args=(text,))
    process.start()
    process.join()
""",
            title="made in the child",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        if _spawns(project):
            return
        for site in project.sites:
            for call in agent_calls_of(site):
                ref = call.receiver
                if ref is None or call.role not in HOLDS_CONNECTIONS or not _made_at_import(ref):
                    continue
                fork = _fork_on_the_way(project, site.route)
                if fork is not None:
                    yield self._finding(project, fork, ref)

    def _finding(self, project: Project, fork: Site, ref: Ref) -> Finding:
        holder = ref.holder
        assert holder is not None
        return Finding(
            self.code,
            project.site_place(fork),
            f"the forked process inherits `{holder.name}` ({class_name(ref, project.evaluator)}), made at import "
            f"at {holder.path}:{holder.line}: two processes read from the same connections",
            "warning",
        )


def _made_at_import(ref: Ref) -> bool:
    return ref.lifetime == "module" and ref.holder is not None


def _fork_on_the_way(project: Project, route: Route) -> Site | None:
    """The call that starts a process, on the way to a frame."""
    current: Route | None = route
    while current is not None and current.previous is not None:
        before = current.previous
        callee = before.frame.scope.calls[current.call].callee
        for ref in project.evaluator.evaluate(callee, before.frame):
            known = effect(symbol_of(ref))
            if known is not None and known.kind == "to process":
                return Site(before, current.call, (ref,))
        current = before
    return None


def _spawns(project: Project) -> bool:
    """Whether the program chooses a start method that does not fork."""
    for site in project.calls_of(("multiprocessing.set_start_method", "multiprocessing.get_context")):
        if any(getattr(one, "value", None) in {"spawn", "forkserver"} for one in site.call.arguments):
            return True
    return False
