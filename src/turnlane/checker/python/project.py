"""What a Python rule is given: the explored program, and the answers that several rules need."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Final

from turnlane.checker.finding import Place, Step
from turnlane.checker.language import Sources
from turnlane.checker.libraries import frameworks
from turnlane.checker.libraries.frameworks import ClassEntry, FunctionEntry
from turnlane.checker.libraries.frameworks import Method as MethodEntry
from turnlane.checker.python.evaluate import Evaluator
from turnlane.checker.python.explore import Exploration, Route, Site
from turnlane.checker.python.facts import Attribute, Awaited, Call, CallRef, Expression, Module, Scope, Span
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.program import Program
from turnlane.checker.python.values import (
    ClassObject,
    External,
    FunctionObject,
    Holder,
    Instance,
    Method,
    ModuleObject,
    Ref,
)
from turnlane.checker.settings import Settings


class Project:
    """The program of one checked tree, as rules see it."""

    def __init__(self, modules: Mapping[str, Module], sources: Sources, settings: Settings) -> None:
        self.program = Program(modules)
        self.sources = sources
        self.settings = settings
        self._trees: dict[str, ast.Module | None] = {}

    @cached_property
    def exploration(self) -> Exploration:
        """All calls with the situations they run in."""
        exploration = Exploration(self.program)
        exploration.run()
        return exploration

    @property
    def evaluator(self) -> Evaluator:
        return self.exploration.evaluator

    @property
    def sites(self) -> list[Site]:
        """Every call whose callee is known, once for each way to get there."""
        return self.exploration.sites

    def calls_of(self, symbols: Iterable[str]) -> Iterator[Site]:
        """The sites that call one of these names outside the project, such as `asyncio.run`."""
        return self.exploration.calls_of(symbols)

    @cached_property
    def agent_calls(self) -> list[AgentCall]:
        """Every call of a method or function of a framework that starts a run."""
        return [call for site in self.sites for call in agent_calls_of(site) if call.runs]

    @cached_property
    def creations(self) -> list[tuple[Site, Ref, ClassEntry]]:
        """Every call that makes an object of a framework's class, or of a project class that inherits from one."""
        found = []
        for site in self.sites:
            if not any(_may_be_class(ref) for ref in site.targets):
                continue
            for ref in self.evaluator.call(site.number, site.frame):
                entry = class_entry(ref, self.evaluator)
                if entry is not None:
                    found.append((site, ref, entry))
        return found

    @cached_property
    def serving_routes(self) -> list[Route]:
        """The ways by which requests reach each function: one for each function that any request reaches."""
        found: dict[Frame, Route] = {}
        for route in self.exploration.routes:
            if route.situation.serves:
                found.setdefault(route.frame, route)
        return list(found.values())

    @cached_property
    def uses_agents(self) -> bool:
        """Whether the program has to do with agents at all: by its imports, or by what it calls its own things."""
        return any(
            frameworks.is_framework_module(item.module)
            for view in self.program.modules.values()
            for item in view.module.imports
        ) or any(
            _AGENT_WORDS.search(scope.name) or any(_AGENT_WORDS.search(read.name) for read in scope.reads)
            for view in self.program.modules.values()
            for scope in view.scopes
        )

    def tree(self, path: str) -> ast.Module | None:
        """The syntax tree of a file, for building fixes; None when it does not parse."""
        if path not in self._trees:
            self._trees[path] = _parsed(self.sources[path].text, path)
        return self._trees[path]

    # --- Places ---------------------------------------------------------------------------------------------

    def place(self, path: str, span: Span) -> Place:
        return Place(path, *span)

    def line_place(self, path: str, line: int) -> Place:
        """The whole text of a line."""
        text = self.sources[path].line(line)
        start = len(text) - len(text.lstrip())
        return Place(path, line, len(text[:start].encode()), line, len(text.rstrip().encode()))

    def site_place(self, site: Site) -> Place:
        return Place(site.path, *site.call.span)

    def touch(self, site: Site, holder: Holder) -> tuple[Place, Route]:
        """Where on the way to `site` the shared variable is read: the line that makes the call everybody's.

        The route is that of the function that reads it.
        """
        for route, number in site.way():
            if route.frame.place == holder.reader:
                call = route.frame.scope.calls[number]
                return self._read_place(route.frame, call, holder.root), route
        return self.site_place(site), site.route

    def _read_place(self, frame: Frame, call: Call, name: str) -> Place:
        """The name inside the call where it is written there; else the call."""
        for read in frame.scope.reads:
            if (
                read.name == name
                and call.span.line <= read.line <= call.span.end_line
                and call.span.line != read.line
            ):
                return Place(frame.path, read.line, read.column, read.line, read.column + len(name.encode()))
        return Place(frame.path, *call.span)

    def crossing(self, site: Site) -> tuple[Place, Route]:
        """Where async code leaves for the plain functions that lead to `site`.

        In one file it is the call itself; from another file it is the call in the last async function, which
        is the line to change. The route is that of the function where the place stands.
        """
        for route, number in site.way():
            if route.frame.scope.is_async or route.call < 0:
                if route.frame.path == site.path:
                    break
                return Place(route.frame.path, *route.frame.scope.calls[number].span), route
        return self.site_place(site), site.route

    def ways(self, site: Site, through: Callable[[Frame], bool]) -> Iterator[Site]:
        """The call once for each line in which async code, or an entry point, leaves for it.

        A plain function on the way for which `through` is false ends that way.
        """
        waiting: list[tuple[Route, tuple[Route, ...]]] = [(site.route, ())]
        seen: set[tuple[Frame, int]] = set()
        while waiting:
            route, below = waiting.pop()
            if route.frame.scope.is_async or route.previous is None:
                yield Site(_continued(route, below), site.number, site.targets)
            elif through(route.frame):
                for arrival in self.exploration.arrivals[route.frame, route.situation]:
                    if arrival.previous is None:
                        waiting.append((arrival, below))
                    elif (arrival.previous.frame, arrival.call) not in seen:
                        seen.add((arrival.previous.frame, arrival.call))
                        waiting.append((arrival.previous, (arrival, *below)))

    def trace(self, site: Site) -> tuple[Step, ...]:
        """The way from the entry point to the call, for the user."""
        steps = self.route_trace(site.route)
        return (*steps, Step(self.site_place(site), f"`{self.callee_text(site)}`")) if len(steps) > 1 else steps

    def route_trace(self, route: Route) -> tuple[Step, ...]:
        """The way from the entry point to a function, for the user; empty when it says nothing new."""
        steps = route.steps()
        if len(steps) == 1 and route.situation.kind in _OBVIOUS:
            return ()
        found = [self._start(steps[0])]
        for before, route in pairwise(steps):
            call = before.frame.scope.calls[route.call]
            found.append(
                Step(Place(before.frame.path, *call.span), f"calls `{route.frame.scope.qualname or 'it'}`")
            )
        return tuple(found)

    def _start(self, route: Route) -> Step:
        scope = route.frame.scope
        line = scope.line if scope.number else 1
        return Step(Place(route.frame.path, line, 0, line, 0), describe(route))

    def started_by(self, site: Site) -> str:
        """What starts the way to a call: ``handler `chat` (FastAPI)``."""
        return self.started(site.route)

    def started(self, route: Route) -> str:
        """What starts a way: ``handler `chat` (FastAPI)``."""
        return describe(route.steps()[0])

    def way(self, site: Site) -> str:
        """`chat` -> `answer` -> `asyncio.run`: the names on the way, for a message."""
        names = [route.frame.scope.name for route in site.route.steps() if route.frame.scope.number]
        return " -> ".join(f"`{name}`" for name in (*names, self.callee_text(site)))

    def callee_text(self, site: Site) -> str:
        """How the call is written, without its arguments and shortened."""
        span = site.call.span
        source = self.sources[site.path]
        text = source.text[source.offset(span.line, span.column) : source.offset(span.end_line, span.end_column)]
        # `(await connect()).run(x)`: the parentheses in front are not those of a call.
        start = text.lstrip("( \t\r\n").partition("(")[0].removeprefix("await ").rstrip(") \t\r\n")
        name = "".join(start.split()) + _after_call(site.call.callee)
        return name if len(name) <= 60 else f"...{name[-57:]}"


def _after_call(callee: Expression) -> str:
    """What is asked of the result of a call: `(...).embeddings.create` of `client().embeddings.create`."""
    names: list[str] = []
    while isinstance(callee, Attribute):
        names.append(callee.name)
        callee = callee.base
    called = callee.value if isinstance(callee, Awaited) else callee
    return f"(...).{'.'.join(reversed(names))}" if names and isinstance(called, CallRef) else ""


def _continued(route: Route, below: tuple[Route, ...]) -> Route:
    """The way through `route` and then down the calls in `below`."""
    for step in below:
        route = step._replace(previous=route, entry=route.entry, length=route.length + 1)
    return route


def _may_be_class(ref: Ref) -> bool:
    value = ref.value
    return isinstance(value, ClassObject) or (
        isinstance(value, External) and frameworks.is_framework_module(value.name)
    )


_AGENT_WORDS: Final = re.compile(r"(?i)agent|llm|gpt|prompt|chat_?completion|autogen")


_OBVIOUS: Final = frozenset({"library", "cell", "import", "script"})
"""Where a call that stands there needs no word on how it is reached."""

_NOUNS: Final = {
    "request": "handler",
    "cell": "notebook cell",
    "script": "program",
    "import": "import of this file",
    "library": "function",
}
"""What messages call a kind of situation, where that is not its own name."""


def describe(route: Route) -> str:
    """What starts a route: ``handler `chat` (FastAPI)``."""
    situation, scope = route.situation, route.frame.scope
    name = route.entry.name or (scope.qualname if situation.kind == "library" else "")
    noun = _NOUNS.get(situation.kind, situation.kind)
    host = f" ({situation.host})" if situation.host and situation.kind not in {"library", "cell"} else ""
    return f"{noun} `{name}`{host}" if name else f"{noun}{host}"


def _parsed(text: str, path: str) -> ast.Module | None:
    flags = ast.PyCF_ONLY_AST
    if path.endswith(".ipynb"):
        flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        tree = compile(text, "<checked>", "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree if isinstance(tree, ast.Module) else None


# --- Calls of frameworks -------------------------------------------------------------------------------------


class AgentCall:
    """A call of a framework's method or function, with what the table says of it."""

    __slots__ = ("cls", "entry", "receiver", "site", "target")

    def __init__(
        self,
        site: Site,
        target: Ref,
        cls: ClassEntry | None,
        entry: MethodEntry | FunctionEntry,
        receiver: Ref | None,
    ) -> None:
        self.site = site
        self.target = target
        self.cls = cls
        """The class whose method is called; None for a function."""
        self.entry = entry
        self.receiver = receiver
        """The object, with how long it lives; None for a function or a class method."""

    @property
    def name(self) -> str:
        """The method's plain name."""
        return self.entry.name.rpartition(".")[2]

    @property
    def runs(self) -> bool:
        """Whether it starts a run, or asks the model."""
        return self.entry.runs

    @property
    def kind(self) -> str:
        """ "sync", "async", "stream" or "property", with the keyword that makes a stream of it looked at."""
        when = getattr(self.entry, "streams_when", "")
        if when and any(
            name == when and getattr(value, "value", None) is True for name, value in self.site.call.keywords
        ):
            return "stream"
        return self.entry.kind

    @property
    def role(self) -> str:
        """What the object is to the rules; empty for a function."""
        return (self.cls.role or "") if self.cls is not None else ""


def agent_calls_of(site: Site) -> Iterator[AgentCall]:
    """What a site calls of the frameworks."""
    for ref in site.targets:
        value = ref.value
        if isinstance(value, Method):
            cls = frameworks.lookup(value.cls)
            if isinstance(cls, ClassEntry):
                method = cls.method(value.name)
                if method is not None:
                    yield AgentCall(site, ref, cls, method, value.receiver)
        elif isinstance(value, External):
            entry = frameworks.lookup(value.name)
            if isinstance(entry, FunctionEntry):
                yield AgentCall(site, ref, None, entry, None)


def class_entry(ref: Ref, evaluator: Evaluator) -> ClassEntry | None:
    """The framework class of an object: its own, or the first that its project class inherits from."""
    value = ref.value
    if not isinstance(value, Instance):
        return None
    if isinstance(value.cls, External):
        entry = frameworks.lookup(value.cls.name)
        return entry if isinstance(entry, ClassEntry) else None
    for base in evaluator.mro(value.cls):
        if isinstance(base, External):
            entry = frameworks.lookup(base.name)
            if isinstance(entry, ClassEntry):
                return entry
    return None


def class_name(ref: Ref, evaluator: Evaluator) -> str:
    """The plain name of an object's class, for messages."""
    value = ref.value
    if not isinstance(value, Instance):
        return ""
    if isinstance(value.cls, External):
        return value.cls.name.rpartition(".")[2]
    return evaluator.program[value.cls.path].scopes[value.cls.scope].name


__all__ = [
    "AgentCall",
    "FunctionObject",
    "ModuleObject",
    "Project",
    "Scope",
    "agent_calls_of",
    "class_entry",
    "class_name",
    "describe",
]
