"""Frames and values, each made once."""

from __future__ import annotations

from collections.abc import Callable

from turnlane.checker.python.frames import Frame
from turnlane.checker.python.program import ModuleView, Program
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
    Refs,
    Stream,
    Task,
    Value,
)


class Objects:
    """Frames and values of one program. The same question gives the same object: they are compared by identity."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._interned: dict[tuple[object, ...], Value] = {}
        self._frames: dict[tuple[object, ...], Frame] = {}
        self._frames_of: dict[tuple[str, int], int] = {}

    # --- Frames ------------------------------------------------------------------------------------------

    def module_frame(self, path: str) -> Frame:
        """The top level of a file."""
        return self._frame(self.program[path], 0, None, {}, None, free=False, depth=0)

    def free_frame(
        self, path: str, scope: int, receiver: Ref | None = None, closure: Frame | None = None
    ) -> Frame:
        """A scope whose callers are not known."""
        view = self.program[path]
        parent = view.scopes[view.scopes[scope].parent] if scope else None
        if (
            receiver is None
            and parent is not None
            and parent.kind == "class"
            and view.scopes[scope].kind == "function"
        ):
            cls = self.class_object(path, parent.number, None)
            receiver = Ref(self.instance(cls, None, -1), "given")
        return self._frame(view, scope, receiver, {}, closure, free=True, depth=0)

    def function_frame(self, function: FunctionObject) -> Frame:
        """A function object whose callers are not known."""
        return self.free_frame(function.path, function.scope, function.receiver, function.closure)

    def _frame(
        self,
        view: ModuleView,
        scope: int,
        receiver: Ref | None,
        arguments: dict[str, Refs],
        closure: Frame | None,
        *,
        free: bool,
        depth: int,
    ) -> Frame:
        key = (view.path, scope, receiver, tuple(sorted(arguments.items(), key=_first)), closure, free)
        if key not in self._frames:
            self._frames[key] = Frame(
                view, view.scopes[scope], receiver, arguments, closure, free=free, depth=depth
            )
            place = (view.path, scope)
            self._frames_of[place] = self._frames_of.get(place, 0) + 1
        return self._frames[key]

    def around(self, frame: Frame) -> Frame:
        """The frame in which a function is defined: where its defaults, decorators and annotations stand."""
        parent = frame.scope.parent
        if parent <= 0:
            return self.module_frame(frame.path)
        if frame.closure is not None and frame.closure.scope.number == parent:
            return frame.closure
        return self.free_frame(frame.path, parent)

    # --- Values ------------------------------------------------------------------------------------------

    def _intern(self, key: tuple[object, ...], make: Callable[[], Value]) -> Value:
        if key not in self._interned:
            self._interned[key] = make()
        return self._interned[key]

    def external(self, name: str) -> External:
        found = self._intern(("external", name), lambda: External(name))
        assert isinstance(found, External)
        return found

    def literal(self, value: str | int | float | bool | None) -> LiteralValue:
        found = self._intern(("literal", type(value), value), lambda: LiteralValue(value))
        assert isinstance(found, LiteralValue)
        return found

    def instance(self, cls: ClassObject | External, frame: Frame | None, call: int) -> Instance:
        found = self._intern(("instance", cls, frame, call), lambda: Instance(cls, frame, call))
        assert isinstance(found, Instance)
        return found

    def class_object(self, path: str, scope: int, closure: Frame | None) -> ClassObject:
        found = self._intern(("class", path, scope, closure), lambda: ClassObject(path, scope, closure))
        assert isinstance(found, ClassObject)
        return found

    def function_object(
        self, path: str, scope: int, receiver: Ref | None, closure: Frame | None
    ) -> FunctionObject:
        found = self._intern(
            ("function", path, scope, receiver, closure), lambda: FunctionObject(path, scope, receiver, closure)
        )
        assert isinstance(found, FunctionObject)
        return found

    def method(self, receiver: Ref, cls: str, name: str) -> Method:
        found = self._intern(("method", receiver, cls, name), lambda: Method(receiver, cls, name))
        assert isinstance(found, Method)
        return found

    def container(self, kind: str, items: Refs, store: tuple[object, ...] | None = None) -> Container:
        found = self._intern(("container", kind, items, store), lambda: Container(kind, items, store))
        assert isinstance(found, Container)
        return found

    def coroutine(self, what: Value, results: Refs) -> Coroutine:
        found = self._intern(("coroutine", what, results), lambda: Coroutine(what, results))
        assert isinstance(found, Coroutine)
        return found

    def stream(self, what: Value, results: Refs) -> Stream:
        found = self._intern(("stream", what, results), lambda: Stream(what, results))
        assert isinstance(found, Stream)
        return found

    def task(self, of: Refs) -> Task:
        found = self._intern(("task", of), lambda: Task(of))
        assert isinstance(found, Task)
        return found

    def module_object(self, dotted: str, importer: str) -> ModuleObject | External:
        path = self.program.names.module(dotted, importer)
        if path is None and not dotted.startswith(".") and not self._is_namespace(dotted, importer):
            return self.external(dotted)
        found = self._intern(
            ("module", path, dotted, importer if path is None else ""),
            lambda: ModuleObject(dotted, importer, path),
        )
        assert isinstance(found, ModuleObject)
        return found

    def _is_namespace(self, dotted: str, importer: str) -> bool:
        """Whether a folder without `__init__.py` of that name holds something that this file imports."""
        prefix = f"{dotted}."
        return any(
            item.whole.startswith(prefix) and self.program.names.module(item.whole, importer) is not None
            for item in self.program[importer].module.imports
        )


def _first(pair: tuple[str, object]) -> str:
    return pair[0]
