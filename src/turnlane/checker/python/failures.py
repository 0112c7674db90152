"""Where serving code meets every error of a run: the `except` branches around runs, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from turnlane.checker.libraries.frameworks import FunctionEntry
from turnlane.checker.python.catching import plain_name
from turnlane.checker.python.explore import Route, Site
from turnlane.checker.python.facts import Block, Call, CallRef, Constant, Expression, Items, Raise, Return, Scope
from turnlane.checker.python.project import Project, agent_calls_of
from turnlane.checker.python.retries import catches_all
from turnlane.checker.python.running import leading_to_runs
from turnlane.checker.python.values import FunctionObject


class Branch(NamedTuple):
    """An `except Exception` around a run, in a function that requests reach."""

    route: Route
    number: int
    """The block."""

    @property
    def scope(self) -> Scope:
        return self.route.frame.scope

    @property
    def block(self) -> Block:
        return self.scope.blocks[self.number]

    @property
    def is_handler(self) -> bool:
        """Whether the function itself answers the request."""
        return self.route.previous is None and self.route.situation.kind == "request"

    def has(self, block: int) -> bool:
        """Whether a block stands in the branch."""
        return self.number in self.route.frame.view.blocks_around(self.scope, block)

    @property
    def calls(self) -> list[Call]:
        return [call for call in self.scope.calls if self.has(call.block)]

    @property
    def raises(self) -> list[Raise]:
        return [one for one in self.scope.raises if self.has(one.block)]

    @property
    def results(self) -> list[Return]:
        return [one for one in self.scope.results if self.has(one.block)]


def branches_around_runs(project: Project) -> Iterator[Branch]:
    """The branches that catch every error of a run which a request has started, each once."""
    leading = leading_to_runs(project)
    seen: set[tuple[tuple[str, int], int]] = set()
    for site in project.sites:
        if not site.situation.serves or site.frame.place not in leading or not _leads_to_run(site, leading):
            continue
        scope = site.scope
        for attempt in site.frame.view.blocks_around(scope, site.call.block):
            if scope.blocks[attempt].kind != "try":
                continue
            for number, block in enumerate(scope.blocks):
                key = (site.frame.place, number)
                if block.kind == "except" and block.partner == attempt and catches_all(block) and key not in seen:
                    seen.add(key)
                    yield Branch(site.route, number)


def _leads_to_run(site: Site, leading: frozenset[tuple[str, int]]) -> bool:
    for ref in site.targets:
        if isinstance(ref.value, FunctionObject) and (ref.value.path, ref.value.scope) in leading:
            return True
    return any(call.runs or isinstance(call.entry, FunctionEntry) for call in agent_calls_of(site))


def response_of(value: Expression, scope: Scope) -> Call | None:
    """The call that makes an HTTP error or response: `HTTPException(...)`, `JSONResponse(...)`, `jsonify(...)`."""
    if not isinstance(value, CallRef):
        return None
    call = scope.calls[value.number]
    name = plain_name(call.callee)
    return (
        call if name == "jsonify" or name.endswith(("Response", "HTTPException", "InternalServerError")) else None
    )


def says_failed(value: Expression, scope: Scope) -> bool:
    """Whether an answer tells the caller of an error: a status from 500 on, or a part that is called `error`."""
    if isinstance(value, Items):
        if value.kind == "tuple":
            return any(says_failed(part, scope) or _is_server_error(part) for part in value.values)
        return any(isinstance(key, Constant) and key.value in {"error", "detail"} for key in value.keys)
    call = response_of(value, scope)
    if call is None:
        return False
    given = [*call.arguments, *(part for _, part in call.keywords)]
    return any(_is_server_error(part) or says_failed(part, scope) for part in given) or any(
        name == "error" for name, _ in call.keywords
    )


def _is_server_error(part: Expression) -> bool:
    return isinstance(part, Constant) and isinstance(part.value, int) and 500 <= part.value < 600
