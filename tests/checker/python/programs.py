"""Small programs as text, and how tests ask what an expression in them stands for.

A program is one text. `# file: PATH` starts a new file; without one it is `main.py`. `look(EXPRESSION)` marks the
expressions that a test asks about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import dedent

from turnlane.checker.python.evaluate import Evaluator
from turnlane.checker.python.explore import Exploration, Route, Site
from turnlane.checker.python.extract import extract
from turnlane.checker.python.facts import Call, Expression, Name
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.program import Program
from turnlane.checker.python.project import Project
from turnlane.checker.python.values import (
    ClassObject,
    Container,
    Coroutine,
    External,
    FunctionObject,
    Instance,
    LiteralValue,
    Method,
    ModuleObject,
    Ref,
    Stream,
    Task,
    Value,
)
from turnlane.checker.settings import Settings
from turnlane.checker.source import Source

_FILE = re.compile(r"^# file: (\S+)\n", re.MULTILINE)


def files(code: str) -> dict[str, str]:
    """The files of a program, by path."""
    first, *parts = _FILE.split(dedent(code))
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    if first.strip():
        found["main.py"] = first
    return found


class Counting(Evaluator):
    """Counts what is asked, for bounds on work that do not depend on the machine."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.asked = 0

    def evaluate(self, expression: Expression, frame: Frame) -> tuple[Ref, ...]:
        self.asked += 1
        return super().evaluate(expression, frame)


class Checked:
    """A program made of text, ready to be asked."""

    def __init__(self, code: str) -> None:
        self.files = files(code)
        facts = {path: extract(path, text.encode()) for path, text in self.files.items()}
        assert not [problem for module in facts.values() for problem in module.problems]
        self.program = Program(facts)
        self.evaluator = Counting(self.program)
        sources = {path: Source(path, text) for path, text in self.files.items()}
        self.project = Project(facts, sources, Settings())

    @property
    def exploration(self) -> Exploration:
        return self.project.exploration

    # --- Frames ------------------------------------------------------------------------------------------

    def scope(self, qualname: str, path: str = "") -> tuple[str, int]:
        """Path and number of a scope; the path may be left out when one file only has it."""
        (found,) = [
            (view.path, scope.number)
            for view in self.program.modules.values()
            for scope in view.scopes
            if scope.qualname == qualname and path in {"", view.path} and scope.number
        ]
        return found

    def frame(self, path: str, number: int) -> Frame:
        return self.evaluator.free_frame(path, number) if number else self.evaluator.module_frame(path)

    # --- Values ------------------------------------------------------------------------------------------

    def looks(self) -> Iterator[tuple[Frame, Call]]:
        """Each `look(...)` with the frame of its scope when the callers are not known."""
        for path, view in self.program.modules.items():
            for scope in view.scopes:
                for call in scope.calls:
                    if isinstance(call.callee, Name) and call.callee.id == "look":
                        yield self.frame(path, scope.number), call

    def refs(self) -> list[Ref]:
        """What the expressions in `look(...)` stand for."""
        return [ref for frame, call in self.looks() for ref in self.evaluator.evaluate(call.arguments[0], frame)]

    def values(self) -> list[str]:
        """The same, each as `Agent module`: the value, and how long it lives when it is not fresh."""
        return [self.text(ref) for ref in self.refs()]

    def holders(self) -> list[str]:
        """Of the same, who holds them: `agent at main.py:3, read in chat as agent`."""
        return [self.holder(ref) for ref in self.refs()]

    def text(self, ref: Ref, depth: int = 0) -> str:
        value = self.value(ref.value, depth)
        return value if ref.lifetime == "fresh" else f"{value} {ref.lifetime}"

    def holder(self, ref: Ref) -> str:
        if ref.holder is None:
            return ""
        path, number = ref.holder.reader
        reader = self.program[path].scopes[number].qualname or "the module" if path else "nobody"
        return f"{ref.holder.name} at {ref.holder.path}:{ref.holder.line}, read in {reader} as {ref.holder.root}"

    def value(self, value: Value, depth: int = 0) -> str:
        """What a value is; what is nested more than three deep is left out."""
        match value:
            case External(name=name):
                return name
            case ModuleObject(dotted=dotted, path=path):
                return f"module {path or dotted}"
            case ClassObject(path=path, scope=scope):
                return f"class {self.program[path].scopes[scope].name}"
            case FunctionObject(path=path, scope=scope):
                return f"def {self.program[path].scopes[scope].qualname}"
            case Instance(cls=cls, call=call):
                name = cls.name.rpartition(".")[2] if isinstance(cls, External) else self.value(cls)[6:]
                return name if call >= 0 else f"{name}?"
            case Method(cls=cls, name=name):
                return f"{cls.rpartition('.')[2]}.{name}"
            case Container(kind=kind, items=items):
                return f"{kind}{self._list(items, depth)}"
            case Coroutine(results=results):
                return f"coroutine{self._list(results, depth)}"
            case Stream(results=results):
                return f"stream{self._list(results, depth)}"
            case Task(of=of):
                return f"task{self._list(of, depth)}"
            case LiteralValue(value=constant):
                return repr(constant)
            case _:
                raise AssertionError(value)

    def _list(self, refs: tuple[Ref, ...], depth: int) -> str:
        return f"[{', '.join(self.text(ref, depth + 1) for ref in refs)}]" if depth < 3 else "[...]"

    # --- Ways --------------------------------------------------------------------------------------------

    def sites(self, start: str = "") -> list[Site]:
        """The explored calls of `look`; with `start`, those that the entry point of that name reaches."""
        return [
            site
            for site in self.exploration.sites
            if isinstance(site.call.callee, Name)
            and site.call.callee.id == "look"
            and start in {"", site.route.entry.name}
        ]

    def met(self, start: str = "") -> list[str]:
        """What the expressions in `look(...)` stand for on each explored way to them."""
        return [
            self.text(ref)
            for site in self.sites(start)
            for ref in self.project.evaluator.evaluate(site.call.arguments[0], site.frame)
        ]

    def situations(self, start: str = "") -> list[str]:
        """Where each `look()` runs: `FastAPI request, loop, many users`."""
        return [situation(site.route) for site in self.sites(start)]

    def ways(self, start: str = "") -> list[str]:
        """The functions on the way to each `look()`: `chat > answer`."""
        return [" > ".join(names(site.route)) for site in self.sites(start)]

    def lines(self) -> list[int]:
        """The lines of the explored calls of `look`, each once."""
        return sorted({site.call.span.line for site in self.sites()})

    def entries(self) -> list[str]:
        """What starts by itself: `chat: FastAPI request, loop, many users`, without top levels of files."""
        return [
            f"{entry.name}: {situation(Route(entry.frame, entry.situation, None, -1, entry, 0))}"
            for entry in self.exploration.entries
            if entry.situation.kind not in {"import"}
        ]


def situation(route: Route) -> str:
    where = route.situation
    loop = {True: "loop", False: "no loop", None: "maybe loop"}[where.loop]
    users = {"many": "many users", "one": "one user", "unknown": "unknown users"}[where.users]
    thread = ", own thread" if where.thread else ""
    return f"{where.host} {where.kind}, {loop}, {users}{thread}".strip()


def names(route: Route) -> list[str]:
    return [step.frame.scope.qualname or "the module" for step in route.steps()]
