"""Where each call of a program can run: from every entry point along the calls, with the values that meet there.

An entry point is a function that somebody else calls (a request handler, a callback, a task, a tool, a test), the
top level of a file, a notebook's cells. From each, the exploration follows the calls into the project's functions
and keeps what a rule needs to know: whether a loop runs on that thread, whose request it is, and the way there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, NamedTuple

from turnlane.checker.libraries.effects import by_method
from turnlane.checker.python.boundaries import Crossing, crossing_of
from turnlane.checker.python.entries import Entry, entries_of
from turnlane.checker.python.evaluate import Evaluator
from turnlane.checker.python.facts import Attribute, Block, Call, Name, Scope
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.program import Program
from turnlane.checker.python.situations import Situation
from turnlane.checker.python.values import (
    ClassObject,
    External,
    FunctionObject,
    Instance,
    LiteralValue,
    Method,
    Ref,
    symbol_of,
)

LONGEST_ROUTE: Final = 24
MOST_VISITS: Final = 60_000
"""Frames visited in one program, by situation; a bound against explosions, far above what projects need."""
MOST_ARRIVALS: Final = 100
"""Calls of one function in one situation that are told apart."""


class Route(NamedTuple):
    """How a frame was reached: from an entry point by calls."""

    frame: Frame
    situation: Situation
    previous: Route | None
    call: int
    """The call of the previous frame that leads here; -1 at the entry point."""
    entry: Entry
    length: int

    def steps(self) -> list[Route]:
        """From the entry point to here."""
        found: list[Route] = []
        route: Route | None = self
        while route is not None:
            found.append(route)
            route = route.previous
        return found[::-1]


class Site(NamedTuple):
    """One call under one way to get there."""

    route: Route
    number: int
    targets: tuple[Ref, ...]
    """What is called, as far as it is known."""

    @property
    def frame(self) -> Frame:
        return self.route.frame

    @property
    def scope(self) -> Scope:
        return self.route.frame.scope

    @property
    def path(self) -> str:
        return self.route.frame.view.path

    @property
    def call(self) -> Call:
        return self.route.frame.scope.calls[self.number]

    @property
    def situation(self) -> Situation:
        return self.route.situation

    def way(self) -> Iterator[tuple[Route, int]]:
        """Each function on the way here, this one first, with its call that leads on; -1 past the entry point."""
        after = self.number
        for route in reversed(self.route.steps()):
            yield route, after
            after = route.call

    def blocks(self) -> Iterator[Block]:
        """The blocks around the call, innermost first."""
        scope = self.scope
        for number in self.frame.view.blocks_around(scope, self.call.block):
            yield scope.blocks[number]


class Exploration:
    """All calls of a program with the situations they run in."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.evaluator = Evaluator(program)
        self.sites: list[Site] = []
        self.routes: list[Route] = []
        """Each visited frame in each situation, by the first way that led there."""
        self.entries: list[Entry] = []
        self.arrivals: dict[tuple[Frame, Situation], list[Route]] = {}
        """All ways of one step into a frame; sites are kept for the first only."""
        self._seen: set[tuple[Frame, Situation]] = set()
        self._reached: set[tuple[str, int]] = set()

    def run(self) -> None:
        """Explore the whole program, once."""
        self.entries = list(entries_of(self.program, self.evaluator))
        for entry in self.entries:
            self._enter(entry)
        for path, view in self.program.modules.items():
            for scope in view.scopes[1:]:
                if scope.kind == "function" and (path, scope.number) not in self._reached:
                    frame = self.evaluator.free_frame(path, scope.number)
                    situation = Situation("library", "library", True if scope.is_async else None, "unknown")
                    self._enter(Entry(frame, situation, "", None))

    def _enter(self, entry: Entry) -> None:
        route = Route(entry.frame, entry.situation, None, -1, entry, 0)
        self._visit(route, entry.only_blocks)

    def _visit(self, root: Route, only_blocks: frozenset[int] | None) -> None:
        """Depth first, without recursion: programs nest deeper than Python's stack."""
        waiting = [root]
        while waiting:
            route = waiting.pop()
            key = (route.frame, route.situation)
            blocks = only_blocks if route is root else None
            arrivals = self.arrivals.setdefault(key, [])
            if len(arrivals) < MOST_ARRIVALS:
                arrivals.append(route)
            if (key in self._seen and blocks is None) or len(self._seen) > MOST_VISITS:
                continue
            self._seen.add(key)
            self._reached.add(route.frame.place)
            self.routes.append(route)
            waiting += reversed(list(self._follow(route, blocks)))

    def _follow(self, route: Route, only_blocks: frozenset[int] | None) -> Iterator[Route]:
        """Record the calls of one frame, and yield where they lead."""
        frame = route.frame
        scope = frame.scope
        dead = self._dead_blocks(frame)
        for number, call in enumerate(scope.calls):
            if only_blocks is not None and call.block not in only_blocks:
                continue
            if dead and any(block in dead for block in frame.view.blocks_around(scope, call.block)):
                continue
            targets = self.evaluator.evaluate(call.callee, frame) or self._by_method(call)
            if targets:
                site = Site(route, number, targets)
                self.sites.append(site)
                if route.length < LONGEST_ROUTE:
                    yield from self._lead_on(site)
        if only_blocks is None or 0 in only_blocks:
            # A class body runs where it stands.
            for child in frame.view.children.get(scope.number, ()):
                if child.kind == "class":
                    inside = self.evaluator.free_frame(
                        frame.path, child.number, closure=frame if scope.number else None
                    )
                    yield route._replace(frame=inside)

    def _by_method(self, call: Call) -> tuple[Ref, ...]:
        """What a method of an object of unknown type is, where its name alone leaves no doubt."""
        known = by_method(call.callee.name) if isinstance(call.callee, Attribute) else None
        return (Ref(self.evaluator.external(known.symbol)),) if known is not None else ()

    def _lead_on(self, site: Site) -> Iterator[Route]:
        """The frames that a call runs."""
        for ref in site.targets:
            value = ref.value
            match value:
                case FunctionObject():
                    yield self._into(site, value, site.call, site.situation)
                case ClassObject():
                    yield from self._construct(site, value)
                case Instance(cls=ClassObject()):
                    for member in self.evaluator.member(ref, "__call__"):
                        if isinstance(member.value, FunctionObject):
                            yield self._into(site, member.value, site.call, site.situation)
                case External() | Method():
                    crossing = crossing_of(symbol_of(ref), site.call)
                    if crossing is not None:
                        yield from self._cross(site, crossing)
                case _:
                    pass

    def _into(self, site: Site, function: FunctionObject, call: Call, situation: Situation) -> Route:
        frame = self.evaluator.call_frame(function, call, site.frame)
        if frame.scope.is_async:
            situation = situation._replace(loop=True)
        route = site.route
        return Route(frame, situation, route, site.number, route.entry, route.length + 1)

    def _construct(self, site: Site, cls: ClassObject) -> Iterator[Route]:
        made = Ref(self.evaluator.instance(cls, site.frame, site.number))
        for name in ("__init__", "__post_init__"):
            for member in self.evaluator.member(made, name):
                if isinstance(member.value, FunctionObject):
                    yield self._into(site, member.value, site.call, site.situation)

    def _cross(self, site: Site, crossing: Crossing) -> Iterator[Route]:
        """Into a function that is handed over: to a thread, a process, a task, the same thread later."""
        situation = crossing.situation(site.situation)
        for ref in self.evaluator.evaluate(crossing.function, site.frame):
            if isinstance(ref.value, FunctionObject):
                yield self._into(site, ref.value, crossing.call, situation)

    # --- Branches that are not taken --------------------------------------------------------------------------

    def _dead_blocks(self, frame: Frame) -> frozenset[int]:
        """Blocks that the arguments of this very call rule out: `if dry_run: return`."""
        if frame.free or not frame.arguments:
            return frozenset()
        dead: set[int] = set()
        for number, block in enumerate(frame.scope.blocks):
            if block.kind not in {"if", "else"} or len(block.subject) != 1:
                continue
            truth = self._truth(block, frame)
            if truth is None:
                continue
            if truth is (block.kind == "else"):
                dead.add(number)
            elif _ends_function(frame.scope, number):
                dead |= _after(frame.scope, block)
        return frozenset(dead)

    def _truth(self, block: Block, frame: Frame) -> bool | None:
        """What a test of a plain parameter comes to; None when that is not known."""
        test = block.subject[0]
        if not isinstance(test, Name) or test.id not in frame.arguments:
            return None
        known = {bool(ref.value.value) for ref in frame.arguments[test.id] if isinstance(ref.value, LiteralValue)}
        others = any(not isinstance(ref.value, LiteralValue) for ref in frame.arguments[test.id])
        assigned = frame.view.assigned.get((frame.scope.number, test.id))
        return known.pop() if len(known) == 1 and not others and not assigned else None

    # --- What rules ask -----------------------------------------------------------------------------------------

    @cached_property
    def by_symbol(self) -> dict[str, list[Site]]:
        """Sites by the dotted names of what they call."""
        found: dict[str, list[Site]] = {}
        for site in self.sites:
            for ref in site.targets:
                symbol = symbol_of(ref)
                if symbol:
                    found.setdefault(symbol, []).append(site)
        return found

    def calls_of(self, symbols: Iterable[str]) -> Iterator[Site]:
        """The sites that call one of the names."""
        for symbol in symbols:
            yield from self.by_symbol.get(symbol, ())


def _ends_function(scope: Scope, block: int) -> bool:
    return any(one.block == block for one in scope.results) or any(one.block == block for one in scope.raises)


def _after(scope: Scope, block: Block) -> set[int]:
    """Blocks that start after `block` inside the same parent, and the parent's own rest can't be told apart."""
    return {
        number
        for number, other in enumerate(scope.blocks)
        if other.line > block.end_line and other.parent == block.parent
    }
