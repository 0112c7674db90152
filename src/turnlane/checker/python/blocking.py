"""Calls that hold the thread of an event loop while they wait: where they stand, and whom they keep waiting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.libraries.effects import EFFECTS
from turnlane.checker.libraries.frameworks import ClassEntry, lookup
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Attribute, CallRef, Constant, Expression, Name, Scope
from turnlane.checker.python.loops import makers_of
from turnlane.checker.python.project import AgentCall, Project
from turnlane.checker.python.values import FunctionObject

_WAITS: Final = frozenset(row.symbol for row in EFFECTS if row.kind == "blocks")
"""Functions that return when something outside has answered, and hold their thread until then."""

_SHORTEST_SLEEP: Final = 0.1
"""Seconds; less is nothing that a user would notice."""

_AWAITED: Final = frozenset({"awaited", "async iterated", "async entered"})


def on_hosts_loop(site: Site) -> bool:
    """Whether a call runs on the loop that its host runs everything on: no thread and no private loop between.

    An async function that nobody in the project calls counts: a loop runs it, and others run there too.
    """
    registration = site.route.entry.registration
    if registration is not None and registration.context.asynchronous == "own loop":
        return False
    return all(step.situation.loop is True and not step.situation.thread for step in site.route.steps())


def blocking_runs(project: Project) -> Iterator[AgentCall]:
    """Runs and model calls in their synchronous form, on the loop of a host."""
    for call in project.agent_calls:
        site = call.site
        if (
            call.kind != "sync"
            or _starts_thread(call)
            or site.situation.loop is not True
            or site.situation.kind == "cell"
        ):
            continue
        if site.call.use not in _AWAITED and not _is_run_as_coroutine(site) and on_hosts_loop(site):
            yield call


def _starts_thread(call: AgentCall) -> bool:
    """AG2's `run` runs the chat in a thread and returns its handle; reading that is what blocks."""
    returned = lookup(call.entry.returns) if call.entry.returns else None
    return isinstance(returned, ClassEntry) and returned.role == "run"


def blocking_waits(project: Project) -> Iterator[Site]:
    """Calls that wait for something else than a model where requests of users, or tools, run on the loop."""
    for site in project.calls_of(_WAITS):
        if (
            _matters(site)
            and not _is_short(site)
            and not _is_task_of_loop(project, site)
            and not _is_once(project, site)
        ):
            yield site
    for site in project.calls_of(("asyncio.Task.result",)):
        if _matters(site) and _is_of_thread(site):
            yield site


def _matters(site: Site) -> bool:
    situation = site.situation
    if situation.loop is not True or situation.users != "many" or situation.kind == "startup":
        return False
    return site.call.use not in _AWAITED and on_hosts_loop(site)


def _is_once(project: Project, site: Site) -> bool:
    """Whether a function on the way is cached and has no arguments: only the first request waits."""
    for step in site.route.steps():
        scope = step.frame.scope
        if scope.decorators and not scope.parameters and step.frame is not site.route.entry.frame:
            function = FunctionObject(step.frame.path, scope.number, None, None)
            if project.evaluator.is_cached(function):
                return True
    return False


def _is_run_as_coroutine(site: Site) -> bool:
    """`asyncio.run(user.initiate_chat(...))`: that is TL109."""
    user = site.call.user
    if site.call.use != "argument" or not 0 <= user < len(site.scope.calls):
        return False
    callee = site.scope.calls[user].callee
    return _last_name(callee) in {
        "run",
        "run_until_complete",
        "create_task",
        "ensure_future",
        "wait_for",
        "gather",
    }


def _last_name(expression: Expression) -> str:
    if isinstance(expression, Name):
        return expression.id
    return expression.name if isinstance(expression, Attribute) else ""


def _is_short(site: Site) -> bool:
    """Whether the call is told not to wait, or only for a moment."""
    call = site.call
    first = call.arguments[0] if call.arguments else None
    if _last_name(call.callee) == "sleep":
        return (
            isinstance(first, Constant) and isinstance(first.value, int | float) and first.value < _SHORTEST_SLEEP
        )
    given = [value for name, value in call.keywords if name in {"block", "blocking"}]
    if _last_name(call.callee) == "get" and first is not None and not given:
        given = [first]
    return any(isinstance(value, Constant) and value.value is False for value in given)


def _is_task_of_loop(project: Project, site: Site) -> bool:
    """`run_coroutine_threadsafe(...).result()`: that is TL110, or right."""
    return any(maker.symbol == "asyncio.run_coroutine_threadsafe" for maker in makers_of(project, site))


def _is_of_thread(site: Site) -> bool:
    """Whether `.result()` is asked of what `pool.submit(...)` gave, without looking whether it is done."""
    callee = site.call.callee
    base = callee.base if isinstance(callee, Attribute) else None
    if isinstance(base, Name):
        given = [one.value for one in site.scope.assignments if one.target == base]
        asked = any(read.name == base.id and read.attribute == "done" for read in site.scope.reads)
        return bool(given) and not asked and all(_is_submit(value, site.scope) for value in given)
    return base is not None and _is_submit(base, site.scope)


def _is_submit(value: Expression, scope: Scope) -> bool:
    return isinstance(value, CallRef) and _last_name(scope.calls[value.number].callee) == "submit"
