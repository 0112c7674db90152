"""One project's TypeScript, linked: what the rules ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from turnlane.checker.finding import Finding, Fix, Severity
from turnlane.checker.finding import Place as FilePlace
from turnlane.checker.finding import Step as TraceStep
from turnlane.checker.settings import Settings
from turnlane.checker.typescript.agents import Agents, Run
from turnlane.checker.typescript.facts import Call, Config, Member, Module, Name, Scope, Span
from turnlane.checker.typescript.handlers import Handler, handlers
from turnlane.checker.typescript.reach import CallGraph, Place, Step, way
from turnlane.checker.typescript.sharing import Sharing
from turnlane.checker.typescript.specifiers import Specifiers
from turnlane.checker.typescript.values import Values


class Project:
    """The linked facts of all TypeScript and JavaScript files."""

    def __init__(
        self,
        modules: Mapping[str, Module],
        configs: Mapping[str, Config] | None = None,
        settings: Settings | None = None,
        packages: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        self.modules = modules
        self.specifiers = Specifiers(modules, configs or {})
        self.values = Values(modules, self.specifiers)
        self.graph = CallGraph(self.values)
        self.agents = Agents(self.values, self.graph, settings or Settings())
        self.packages = packages or {}
        """The content of each `package.json`, by its folder."""

    @cached_property
    def handlers(self) -> dict[Place, Handler]:
        """Every function that serves requests."""
        return handlers(self.values)

    @cached_property
    def served(self) -> dict[Place, Step | None]:
        """Every function that runs when some handler does."""
        return self.graph.reach(list(self.handlers))

    @cached_property
    def sharing(self) -> Sharing:
        """Where values live."""
        return Sharing(self.values, self.graph, self.served, set(self.handlers))

    def scope(self, place: Place) -> Scope:
        """The facts of a function."""
        return self.modules[place[0]].scopes[place[1]]

    def places(self) -> Iterator[Place]:
        """Every scope of the project."""
        for path, module in self.modules.items():
            for scope in module.scopes:
                yield path, scope.number

    def calls(self) -> Iterator[tuple[Place, int, Call]]:
        """Every call of the project, with its scope and its number there."""
        for place in self.places():
            for number, call in enumerate(self.scope(place).calls):
                yield place, number, call

    def runs(self) -> Iterator[Run]:
        """Every call that runs an agent or writes to a conversation."""
        for place in self.places():
            yield from self.agents.runs(place)

    def call(self, run: Run) -> Call:
        """The call of a run."""
        return self.modules[run.path].scopes[run.scope].calls[run.number]

    # --- Findings -----------------------------------------------------------------------------------------------

    def finding(
        self,
        code: str,
        path: str,
        span: Span,
        message: str,
        severity: Severity,
        *,
        help: str = "",
        trace: tuple[TraceStep, ...] = (),
        fix: Fix | None = None,
    ) -> Finding:
        """A finding of these files."""
        return Finding(code, file_place(path, span), message, severity, help, trace, fix)

    def trace(self, place: Place, reached: dict[Place, Step | None] | None = None) -> tuple[TraceStep, ...]:
        """The way from a handler to a function, for a finding in it."""
        steps = way(self.served if reached is None else reached, place)
        root = steps[0][0] if steps else place
        handler = self.handlers.get(root)
        scope = self.scope(root)
        found = [TraceStep(file_place(root[0], scope.span), handler.title if handler else f"`{scope.name}`")]
        for caller, span in steps:
            found.append(TraceStep(file_place(caller[0], span), self._step(caller, span)))
        return tuple(found)

    def _step(self, caller: Place, span: Span) -> str:
        call = next((call for call in self.scope(caller).calls if call.span == span), None)
        name = called(call) if call is not None else ""
        return f"calls `{name}`" if name else "a function written here"

    def handler_of(self, place: Place) -> str:
        """How messages call the handler that leads to a function."""
        steps = way(self.served, place)
        handler = self.handlers.get(steps[0][0] if steps else place)
        return handler.title if handler else "a handler"


def called(call: Call) -> str:
    """The name of what a call calls, with what stands before its last dot when that is a name."""
    if isinstance(call.callee, Name):
        return call.callee.id
    if isinstance(call.callee, Member):
        base = call.callee.base
        before = base.id if isinstance(base, Name) else base.name if isinstance(base, Member) else ""
        return f"{before}.{call.callee.name}" if before else call.callee.name
    return ""


def file_place(path: str, span: Span) -> FilePlace:
    """A span of a file."""
    return FilePlace(path, *span)
