"""What an expression stands for, in one frame: values followed through variables, attributes, calls and files.

The evaluation is lazy, memoised and bounded. It knows the order of statements only where it decides (a variable is
all that is assigned to it), and it prefers knowing nothing to guessing: an unknown value is no value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from turnlane.checker.libraries import frameworks
from turnlane.checker.python.calls import bind, external_result, is_dependency, method_result
from turnlane.checker.python.facts import (
    Assignment,
    Attribute,
    Awaited,
    Call,
    CallRef,
    Choice,
    Constant,
    Element,
    Entered,
    Expression,
    Function,
    Import,
    Items,
    Name,
    Other,
    Parameter,
    Scope,
    Starred,
    Subscript,
    Unpacked,
)
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.program import ModuleView, Program
from turnlane.checker.python.values import (
    SHARED,
    ClassObject,
    Container,
    Coroutine,
    External,
    FunctionObject,
    Holder,
    Instance,
    Lifetime,
    LiteralValue,
    Method,
    ModuleObject,
    Ref,
    Stream,
    Task,
    Value,
)

Refs = tuple[Ref, ...]

MOST_VALUES: Final = 12
"""Values of one expression that are followed; more are dropped."""
DEEPEST: Final = 14
"""Calls inside calls that are followed with their arguments."""
MOST_FRAMES: Final = 12
"""Ways to call one function that are told apart."""
DEEPEST_EVALUATION: Final = 70
"""Questions inside questions: up to a dozen of Python's calls each, of the thousand that Python allows."""
MOST_STEPS: Final = 20_000
"""Expressions evaluated for one question; a bound against programs that define everything by everything."""


class Evaluator:
    """Evaluates expressions of one program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.per_run_modules: set[str] = set()
        """Modules whose top level runs once for each user's request: Streamlit's main scripts."""
        self._interned: dict[tuple[object, ...], Value] = {}
        self._frames: dict[tuple[object, ...], Frame] = {}
        self._frames_of: dict[tuple[str, int], int] = {}
        self._module_names: dict[tuple[str, str], Refs | None] = {}
        self._members: dict[tuple[Ref, str], Refs | None] = {}
        self._stores: dict[tuple[object, ...], tuple[tuple[Ref, bool], ...] | None] = {}
        self._steps = 0
        self._mro: dict[ClassObject, tuple[ClassObject | External, ...]] = {}
        self._direct_bases: dict[ClassObject, tuple[ClassObject | External, ...]] = {}
        self._depth = 0

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

    def call_frame(self, function: FunctionObject, call: Call, frame: Frame) -> Frame:
        """The frame of `function` when `call` of `frame` runs it."""
        view = self.program[function.path]
        place = (function.path, function.scope)
        if frame.depth >= DEEPEST or self._frames_of.get(place, 0) > MOST_FRAMES:
            receiver = function.receiver
            known = receiver if receiver is not None and receiver.shared else None
            return self.free_frame(function.path, function.scope, known, function.closure)
        arguments = bind(self, view.scopes[function.scope], function.receiver is not None, call, frame)
        return self._frame(
            view,
            function.scope,
            function.receiver,
            arguments,
            function.closure,
            free=False,
            depth=frame.depth + 1,
        )

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

    # --- Values, each made once ---------------------------------------------------------------------------

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

    # --- Expressions --------------------------------------------------------------------------------------

    def evaluate(self, expression: Expression, frame: Frame) -> Refs:
        """All values that `expression` can stand for in `frame`, each with its lifetime."""
        kind = type(expression)
        # Two thirds of all questions: remembered by the frame, and merged already.
        if kind is Name:
            return self.name(expression.id, frame)  # type: ignore[union-attr]
        if kind is CallRef:
            return self.call(expression.number, frame)  # type: ignore[union-attr]
        return self._merged(lambda: self._evaluate(expression, frame))

    def _merged(self, question: Callable[[], Iterable[Ref]]) -> Refs:
        """The answer to a question that may be asked inside of others; nothing when they are too many."""
        if self._depth == 0:
            self._steps = 0
        if self._depth > DEEPEST_EVALUATION or self._steps > MOST_STEPS:
            return ()
        self._depth += 1
        self._steps += 1
        try:
            return _merged(question())
        finally:
            self._depth -= 1

    def _evaluate(self, expression: Expression, frame: Frame) -> Iterable[Ref]:
        match expression:
            case Name(id=name):
                return self.name(name, frame)
            case Attribute(base=base, name=name):
                return self._attribute_expression(base, name, frame)
            case CallRef(number=number):
                return self.call(number, frame)
            case Awaited(value=value):
                return self.awaited(self.evaluate(value, frame))
            case Constant(value=value):
                return (Ref(self.literal(value)),)
            case Choice(options=options):
                return (ref for option in options for ref in self.evaluate(option, frame))
            case Items(kind=kind, values=values):
                parts = _merged(ref for value in values for ref in self.evaluate(value, frame))
                if kind in {"tuple", "list"} and len(values) <= 8:
                    parts = (
                        tuple((self.evaluate(value, frame) or (Ref(self.literal(None)),))[0] for value in values)
                        if kind == "tuple"
                        else parts
                    )
                return (Ref(self.container(kind, parts)),)
            case Subscript(base=base, key=key):
                return self._subscript(base, key, frame)
            case Element(of=of):
                return self.elements(self.evaluate(of, frame))
            case Unpacked(of=of, part=part):
                return self._unpacked(self.evaluate(of, frame), part)
            case Entered(of=of):
                return self._entered(self.evaluate(of, frame))
            case Function(scope=scope):
                return (Ref(self.function_object(frame.path, scope, None, frame)),)
            case Starred(base=base):
                return self.elements(self.evaluate(base, frame))
            case Other(parts=parts) if parts:
                # `MaxMessageTermination(10) | TextMentionTermination("DONE")` is a condition as its parts are.
                return (ref for part in parts for ref in self.evaluate(part, frame) if _is_condition(ref))
            case _:
                return ()

    def awaited(self, refs: Refs) -> Iterator[Ref]:
        """What `await` gives."""
        for ref in refs:
            match ref.value:
                case Coroutine(results=results):
                    yield from results
                case Task(of=of):
                    yield from self.awaited(of)
                case Stream() | LiteralValue():
                    pass
                case _:
                    yield ref

    def elements(self, refs: Refs, *, key: Expression | None = None) -> Iterator[Ref]:
        """What iterating gives, or with `key` a subscript."""
        for ref in refs:
            match ref.value:
                case Container():
                    yield from self._contained(ref, key)
                case Stream(results=results):
                    yield from results
                case _:
                    pass

    def _contained(self, ref: Ref, key: Expression | None) -> Iterator[Ref]:
        container = ref.value
        assert isinstance(container, Container)
        position = key.value if isinstance(key, Constant) else None
        if container.kind == "tuple" and isinstance(position, int) and position < len(container.items):
            yield _held(container.items[position], ref)
            return
        for item in container.items:
            yield _held(item, ref)
        if container.store is not None:
            for item, keyed in self._stored(container.store):
                constant = isinstance(key, Constant)
                # Something that is put in under a key is one conversation's; a list is everybody's.
                yield Ref(item.value, "keyed") if keyed and not constant else _held(item, ref)

    def _stored(self, store: tuple[object, ...]) -> tuple[tuple[Ref, bool], ...]:
        """What is put into a container after it was made: each value, and whether under a key."""
        if store not in self._stores:
            self._stores[store] = None
            self._stores[store] = tuple(dict.fromkeys(self._put_in(store)))
        return self._stores[store] or ()

    def _put_in(self, store: tuple[object, ...]) -> Iterator[tuple[Ref, bool]]:
        path, kind, name = store
        assert isinstance(path, str)
        assert isinstance(kind, str)
        assert isinstance(name, str)
        view = self.program[path]
        for scope, value, keyed in view.stored.get((kind, name), ()):
            frame = self.free_frame(path, scope) if scope else self.module_frame(path)
            for ref in self.evaluate(value, frame):
                yield ref, keyed and scope != 0

    def _subscript(self, base: Expression, key: Expression, frame: Frame) -> Iterator[Ref]:
        if isinstance(key, Constant) and isinstance(key.value, str) and _last_name(base) == "session_state":
            yield from self._session_state(key.value)
            return
        refs = self.evaluate(base, frame)
        yield from self.elements(refs, key=key)
        for ref in refs:
            if isinstance(ref.value, External):
                # `list[Agent]`, `dict[str, Agent]`: the type stays what it is.
                yield ref

    def _unpacked(self, refs: Refs, part: int) -> Iterator[Ref]:
        for ref in refs:
            container = ref.value
            if isinstance(container, Container) and container.kind == "tuple" and part < len(container.items):
                yield _held(container.items[part], ref)
            else:
                yield from self.elements((ref,))

    def _entered(self, refs: Refs) -> Iterator[Ref]:
        for ref in refs:
            match ref.value:
                case Instance(cls=ClassObject()):
                    entered = [
                        result
                        for name in ("__aenter__", "__enter__")
                        for result in self._method_results(ref, name)
                    ]
                    yield from entered or [ref]
                case Container() | Stream():
                    yield from self.elements((ref,))
                case Task(of=of):
                    yield from of
                case _:
                    yield ref

    def _method_results(self, ref: Ref, name: str) -> Iterator[Ref]:
        for member in self.member(ref, name):
            if isinstance(member.value, FunctionObject):
                frame = self.function_frame(member.value)
                for result in frame.scope.results:
                    yield from self.evaluate(result.value, frame)

    # --- Names --------------------------------------------------------------------------------------------

    def name(self, name: str, frame: Frame) -> Refs:
        """What the variable `name` can be in `frame`."""
        if name in frame.names:
            return frame.names[name] or ()
        frame.names[name] = None
        found = self._merged(lambda: self._name(name, frame))
        frame.names[name] = found
        return found

    def _name(self, name: str, frame: Frame) -> Iterator[Ref]:
        scope = frame.scope
        if scope.number == 0:
            yield from self._read(self.module_name(frame.path, name), frame, name)
            return
        if name in scope.globals:
            made_here = [
                assignment
                for assigner, assignment in frame.view.assigned.get((0, name), ())
                if assigner == scope.number
                and not assignment.augmented
                and not _is_nothing(assignment.value)
                and _always_runs(scope, assignment.block)
            ]
            if made_here:
                yield from self.assigned(made_here[-1], frame, ("name", name))
                return
            yield from self._read(self.module_name(frame.path, name), frame, name)
            return
        if name not in scope.nonlocals and frame.view.binds(scope.number, name):
            yield from self._local(name, frame)
            return
        yield from self._outer(name, frame)

    def _local(self, name: str, frame: Frame) -> Iterator[Ref]:
        view, number = frame.view, frame.scope.number
        parameter = next((p for p in frame.scope.parameters if p.name == name), None)
        if parameter is not None:
            yield from self.parameter(parameter, frame)
        for assigner, assignment in view.assigned.get((number, name), ()):
            if assignment.augmented:
                continue
            inside = frame if assigner == number else self.free_frame(frame.path, assigner)
            yield from self.assigned(assignment, inside, ("name", name))
        definition = view.definitions.get((number, name))
        if definition is not None:
            yield self._defined(view, definition, frame)
        for item in view.imports.get((number, name), ()):
            yield from self.imported(frame.path, item)

    def _outer(self, name: str, frame: Frame) -> Iterator[Ref]:
        """A variable of a function around this one, or of the module, or a builtin."""
        closure = frame.closure
        for outer in frame.view.enclosing(frame.scope):
            around = closure if closure is not None and closure.scope.number == outer.number else None
            if frame.view.binds(outer.number, name):
                inside = around or self.free_frame(frame.path, outer.number)
                refs = _merged(self._local(name, inside))
                yield from self._closed_over(refs, name, frame, outer)
                return
            closure = around.closure if around is not None else None
        yield from self._read(self.module_name(frame.path, name), frame, name)

    def _closed_over(self, refs: Refs, name: str, frame: Frame, outer: Scope) -> Iterator[Ref]:
        """Variables of the function around a handler outlive the request: an app factory's."""
        for ref in refs:
            if frame.free and ref.lifetime == "fresh" and _is_object(ref.value):
                holder = Holder("closure", name, frame.path, outer.line, frame.place, name)
                yield Ref(ref.value, "closure", holder)
            elif ref.holder is not None:
                yield ref._replace(holder=ref.holder._replace(reader=frame.place, root=name))
            else:
                yield ref

    def _read(self, refs: Refs, frame: Frame, root: str) -> Iterator[Ref]:
        """The refs of a module's variable as `frame` reads them."""
        for ref in refs:
            if ref.holder is not None:
                yield ref._replace(holder=ref.holder._replace(reader=frame.place, root=root))
            else:
                yield ref

    def module_name(self, path: str, name: str) -> Refs:
        """What the variable `name` of a file can be, as others see it."""
        key = (path, name)
        if key in self._module_names:
            return self._module_names[key] or ()
        self._module_names[key] = None
        found = self._merged(lambda: self._module_name(path, name))
        self._module_names[key] = found
        return found

    def _module_name(self, path: str, name: str) -> Iterator[Ref]:
        view = self.program[path]
        bound = False
        for assigner, assignment in view.assigned.get((0, name), ()):
            bound = True
            if assignment.augmented:
                continue
            frame = self.module_frame(path) if assigner == 0 else self.free_frame(path, assigner)
            for ref in self.assigned(assignment, frame, ("name", name)):
                yield self._kept_by_module(ref, path, name, assignment)
        definition = view.definitions.get((0, name))
        if definition is not None:
            bound = True
            yield self._defined(view, definition, None)
        for item in view.imports.get((0, name), ()):
            bound = True
            yield from self.imported(path, item)
        if not bound:
            yield from self._star_imported(view, name)

    def _star_imported(self, view: ModuleView, name: str) -> Iterator[Ref]:
        found = False
        for item in view.imports.get((0, "*"), ()):
            target = self.module_object(item.module, view.path)
            if isinstance(target, ModuleObject) and target.path is not None and target.path != view.path:
                refs = self.module_name(target.path, name)
                found = found or bool(refs)
                yield from refs
            elif isinstance(target, External) and frameworks.lookup(f"{target.name}.{name}") is not None:
                found = True
                yield Ref(self.external(f"{target.name}.{name}"))
        if not found:
            yield Ref(self.external(f"builtins.{name}"))

    def _kept_by_module(self, ref: Ref, path: str, name: str, assignment: Assignment) -> Ref:
        if not _is_object(ref.value) or ref.lifetime in {"session", "keyed"}:
            return ref
        if path in self.per_run_modules and ref.lifetime not in SHARED:
            return ref
        if ref.lifetime == "cached" and path in self.per_run_modules:
            return ref
        return Ref(ref.value, "module", Holder("module", name, path, assignment.span.line, (path, 0), name))

    def assigned(self, assignment: Assignment, frame: Frame, store: tuple[str, str]) -> Iterator[Ref]:
        """What an assignment binds; a container remembers the variable's name."""
        refs = self.evaluate(assignment.value, frame)
        for ref in refs:
            if isinstance(ref.value, Container) and ref.value.store is None:
                container = self.container(ref.value.kind, ref.value.items, (frame.path, *store))
                yield ref._replace(value=container)
            else:
                yield ref
        if assignment.annotation is not None and not any(_is_object(ref.value) for ref in refs):
            yield from self.annotated(assignment.annotation, frame)

    def _defined(self, view: ModuleView, definition: Scope, closure: Frame | None) -> Ref:
        if definition.kind == "class":
            return Ref(self.class_object(view.path, definition.number, closure))
        return Ref(self.function_object(view.path, definition.number, None, closure))

    def imported(self, importer: str, item: Import) -> Iterator[Ref]:
        """What an import binds."""
        module = self.module_object(item.module, importer)
        if not item.name:
            yield Ref(module)
        elif isinstance(module, ModuleObject):
            yield from self.module_attribute(module, item.name, importer)
        else:
            # A module in a folder without `__init__.py`, or a name outside the project.
            yield Ref(self.module_object(f"{module.name}.{item.name}", importer))

    def module_attribute(self, module: ModuleObject, name: str, importer: str) -> Iterator[Ref]:
        """`module.name`: a variable of it, else a module in its package."""
        if module.path is not None:
            refs = self.module_name(module.path, name)
            if refs and not all(_is_builtin(ref.value) for ref in refs):
                yield from refs
                return
        separator = "" if module.dotted.endswith(".") else "."
        dotted = f"{module.dotted}{separator}{name}"
        if self.program.names.module(dotted, module.importer) is not None:
            yield Ref(self.module_object(dotted, module.importer))

    # --- Parameters and annotations ------------------------------------------------------------------------

    def parameter(self, parameter: Parameter, frame: Frame) -> Iterator[Ref]:
        """What a parameter can be in `frame`."""
        scope = frame.scope
        is_first = bool(scope.parameters) and scope.parameters[0].name == parameter.name
        if is_first and frame.receiver is not None and _has_self(frame.view, scope):
            yield frame.receiver
            return
        given = frame.arguments.get(parameter.name)
        if given:
            yield from given
            return
        # Given, but nothing is known of it: it is not the default.
        default = parameter.default if given is None else None
        around = self.around(frame)
        found = False
        if isinstance(default, Constant):
            if not frame.free:
                yield Ref(self.literal(default.value))
        elif default is not None:
            for ref in self.evaluate(default, around):
                found = True
                yield self._default(ref, parameter, frame)
        if not found and parameter.annotation is not None:
            yield from self.annotated(parameter.annotation, around)

    def _default(self, ref: Ref, parameter: Parameter, frame: Frame) -> Ref:
        """A default value is made once, when the function is defined; a dependency for each request."""
        if (
            not isinstance(ref.value, Instance | Container)
            or ref.lifetime != "fresh"
            or self._is_dependency(parameter, frame)
        ):
            return ref
        holder = Holder("default", parameter.name, frame.path, frame.scope.line, frame.place, parameter.name)
        return Ref(ref.value, "default", holder)

    def _is_dependency(self, parameter: Parameter, frame: Frame) -> bool:
        """Whether a host calls what the default names, for each request: `Depends(f)`."""
        if not isinstance(parameter.default, CallRef):
            return False
        around = self.around(frame)
        callee = around.scope.calls[parameter.default.number].callee
        return any(is_dependency(ref.value) for ref in self.evaluate(callee, around))

    def around(self, frame: Frame) -> Frame:
        """The frame in which a function is defined: where its defaults, decorators and annotations stand."""
        parent = frame.scope.parent
        if parent <= 0:
            return self.module_frame(frame.path)
        if frame.closure is not None and frame.closure.scope.number == parent:
            return frame.closure
        return self.free_frame(frame.path, parent)

    def annotated(self, annotation: Expression, frame: Frame) -> Iterator[Ref]:
        """Objects of the type that an annotation names; their origin is not known."""
        for ref in self.evaluate_type(annotation, frame):
            match ref.value:
                case ClassObject():
                    yield Ref(self.instance(ref.value, None, -1), "given")
                case External(name=name) if _is_class_name(name):
                    yield Ref(self.instance(ref.value, None, -1), "given")
                case Instance() | Container():
                    yield ref
                case _:
                    pass

    def evaluate_type(self, annotation: Expression, frame: Frame) -> Iterator[Ref]:
        """The classes in an annotation: `X`, `X | None`, `Optional[X]`, `list[X]`, `Annotated[X, Depends(f)]`."""
        match annotation:
            case Name() | Attribute():
                yield from self.evaluate(annotation, frame)
            case Choice(options=options):
                for option in options:
                    yield from self.evaluate_type(option, frame)
            case Subscript(base=base, key=key):
                yield from self._generic(base, key, frame)
            case _:
                for part in getattr(annotation, "parts", ()):
                    yield from self.evaluate_type(part, frame)

    def _generic(self, base: Expression, key: Expression, frame: Frame) -> Iterator[Ref]:
        parts = key.values if isinstance(key, Items) else (key,)
        last = _last_name(base)
        if last in {"Optional", "Union"}:
            for part in parts:
                yield from self.evaluate_type(part, frame)
        elif last == "Annotated" and parts:
            depends = [ref for part in parts[1:] for ref in self.evaluate(part, frame)]
            made = [ref for ref in depends if isinstance(ref.value, Instance) and ref.value.call >= 0]
            if made:
                yield from made
            else:
                yield from self.evaluate_type(parts[0], frame)
        elif last in {"list", "List", "Sequence", "Iterable", "set", "Set", "tuple", "Tuple", "dict", "Dict"}:
            items = _merged(self.annotated(parts[-1], frame)) if parts else ()
            kind = last.lower() if last.lower() in {"list", "set", "dict"} else "list"
            yield Ref(self.container(kind, items), "given")
        else:
            yield from self.evaluate_type(base, frame)

    # --- Attributes -----------------------------------------------------------------------------------------

    def _attribute_expression(self, base: Expression, name: str, frame: Frame) -> Iterator[Ref]:
        if isinstance(base, Attribute) and base.name == "state" and name in self.program.app_state:
            found = list(self._app_state(name, frame))
            if found:
                yield from found
                return
        if _last_name(base) == "session_state":
            found = list(self._session_state(name))
            if found:
                yield from found
                return
        just_set = self._just_set(base, name, frame)
        if just_set is not None:
            yield from self.assigned(just_set, frame, ("attribute", name))
            return
        for ref in self.evaluate(base, frame):
            yield from self.attribute(ref, name, frame)

    def _just_set(self, base: Expression, name: str, frame: Frame) -> Assignment | None:
        """The assignment of this very function that always sets `self.name` anew; None when there is none.

        What it reads back is what it made, though the object that holds it is everybody's.
        """
        if not isinstance(base, Name) or name not in frame.view.attributes_set[frame.scope.number]:
            return None
        if frame.view.class_of_self(frame.scope, base.id) is None:
            return None
        found = None
        for assignment in frame.scope.assignments:
            target = assignment.target
            if (
                isinstance(target, Attribute)
                and target.name == name
                and isinstance(target.base, Name)
                and target.base.id == base.id
                and not assignment.augmented
                and not _is_nothing(assignment.value)
                and _always_runs(frame.scope, assignment.block)
            ):
                found = assignment
        return found

    def _app_state(self, name: str, frame: Frame) -> Iterator[Ref]:
        for path, scope, assignment in self.program.app_state[name]:
            inside = self.free_frame(path, scope) if scope else self.module_frame(path)
            for ref in self.assigned(assignment, inside, ("attribute", name)):
                if not _is_object(ref.value) or ref.lifetime in {"keyed", "session"}:
                    yield ref
                else:
                    holder = Holder("app", f"app.state.{name}", path, assignment.span.line, frame.place, name)
                    yield Ref(ref.value, "app", holder)

    def _session_state(self, name: str) -> Iterator[Ref]:
        """What a Streamlit program keeps for each user."""
        for path, number, assignment in self.program.session_state.get(name, ()):
            frame = self.free_frame(path, number) if number else self.module_frame(path)
            for ref in self.assigned(assignment, frame, ("attribute", name)):
                yield ref if ref.shared else Ref(ref.value, "session")

    def attribute(self, ref: Ref, name: str, frame: Frame) -> Iterator[Ref]:
        """`ref.name`"""
        value = ref.value
        match value:
            case ModuleObject():
                yield from self._read(
                    _merged(self.module_attribute(value, name, frame.path)), frame, _local_root(ref, name)
                )
            case External():
                yield Ref(self.external(f"{value.name}.{name}"))
            case Instance(cls=ClassObject()) | ClassObject():
                yield from self.member(ref, name)
            case Instance(cls=External(name=cls)):
                yield self._outside_member(ref, value, cls, name)
            case Container(kind=kind):
                yield Ref(self.method(ref, f"builtins.{kind}", name), ref.lifetime, ref.holder)
            case LiteralValue(value=str()):
                yield Ref(self.method(ref, "builtins.str", name))
            case Task():
                yield Ref(self.method(ref, "asyncio.Task", name))
            case Coroutine() | Stream():
                yield Ref(self.method(ref, "types.Coroutine", name))
            case FunctionObject():
                yield Ref(self.method(ref, "types.Function", name))
            case _:
                pass

    def _outside_member(self, ref: Ref, value: Instance, cls: str, name: str) -> Ref:
        """A method of an object from outside, or the part that a property gives: `client.chat.completions`."""
        entry = frameworks.lookup(cls)
        known = entry.method(name) if isinstance(entry, frameworks.ClassEntry) else None
        if known is not None and known.kind == "property" and known.returns:
            part = self.instance(self.external(known.returns), value.frame, value.call)
            return Ref(part, ref.lifetime, ref.holder)
        return Ref(self.method(ref, cls, name), ref.lifetime, ref.holder)

    def mro(self, cls: ClassObject) -> tuple[ClassObject | External, ...]:
        """The class and its bases, in an order near to Python's."""
        if cls not in self._mro:
            self._mro[cls] = (cls,)  # for a base that is found through the class itself, in broken code
            order: dict[ClassObject | External, None] = {}
            waiting: list[ClassObject | External] = [cls]
            while waiting:
                one = waiting.pop()
                if one not in order:
                    order[one] = None
                    waiting += reversed(self._bases(one))
            # What is outside the project comes last: a method that the project defines wins.
            self._mro[cls] = tuple(sorted(order, key=lambda one: isinstance(one, External)))
        return self._mro[cls]

    def _bases(self, cls: ClassObject | External) -> tuple[ClassObject | External, ...]:
        """The direct bases of a class of the project."""
        if isinstance(cls, External):
            return ()
        if cls not in self._direct_bases:
            scope = self.program[cls.path].scopes[cls.scope]
            frame = self.around(self.free_frame(cls.path, cls.scope, closure=cls.closure))
            self._direct_bases[cls] = tuple(
                ref.value
                for base in scope.bases
                for ref in self.evaluate_type(base, frame)
                if isinstance(ref.value, ClassObject | External)
            )
        return self._direct_bases[cls]

    def parent_object(self, frame: Frame) -> Iterator[Ref]:
        """What `super()` is in a method: the object, seen as an object of the next class."""
        assert frame.receiver is not None
        view = frame.view
        parent = view.scopes[frame.scope.parent]
        if parent.kind != "class":
            return
        cls = self.class_object(frame.path, parent.number, frame.closure)
        for base in self.mro(cls)[1:2]:
            yield Ref(self.instance(base, None, -1), frame.receiver.lifetime, frame.receiver.holder)

    def member(self, ref: Ref, name: str) -> Refs:
        """An attribute of an object of the project's own class, or of the class."""
        key = (ref, name)
        if key in self._members:
            return self._members[key] or ()
        self._members[key] = None
        found = self._merged(lambda: self._member(ref, name))
        self._members[key] = found
        return found

    def _member(self, ref: Ref, name: str) -> Iterator[Ref]:
        cls = ref.value.cls if isinstance(ref.value, Instance) else ref.value
        assert isinstance(cls, ClassObject)
        outside: list[str] = []
        for one in self.mro(cls):
            if isinstance(one, External):
                outside.append(one.name)
                continue
            found = list(self._member_of(one, ref, name))
            if found:
                yield from found
                return
        known = [base for base in outside if frameworks.lookup(base) is not None]
        for base in known or outside[:1]:
            yield Ref(self.method(ref, base, name), ref.lifetime, ref.holder)

    def _member_of(self, cls: ClassObject, ref: Ref, name: str) -> Iterator[Ref]:
        view = self.program[cls.path]
        definition = view.definitions.get((cls.scope, name))
        if definition is not None:
            yield from self._method_member(view, cls, definition, ref)
            return
        own = list(self._own_attribute(view, cls, ref, name))
        yield from own
        if any(_is_object(one.value) for one in own):
            return
        for _, assignment in view.assigned.get((cls.scope, name), ()):
            frame = self.free_frame(cls.path, cls.scope)
            for value in self.assigned(assignment, frame, ("attribute", name)):
                yield self._class_attribute(value, view, cls, name, assignment, ref)

    def _class_attribute(
        self, value: Ref, view: ModuleView, cls: ClassObject, name: str, assignment: Assignment, ref: Ref
    ) -> Ref:
        if value.lifetime == "given":  # an annotation only: a field of this object
            return Ref(value.value, ref.lifetime, ref.holder)
        if not isinstance(value.value, Instance | Container | Task | Coroutine | Stream) or value.shared:
            return value
        title = f"{view.scopes[cls.scope].name}.{name}"
        holder = Holder("class", title, cls.path, assignment.span.line, ("", -1), name)
        return Ref(value.value, "class", holder)

    def _method_member(self, view: ModuleView, cls: ClassObject, definition: Scope, ref: Ref) -> Iterator[Ref]:
        if definition.kind == "class":
            yield Ref(self.class_object(view.path, definition.number, cls.closure))
            return
        kinds = {_last_name(decorator) for decorator in definition.decorators}
        if kinds & {"property", "cached_property"}:
            function = self.function_object(view.path, definition.number, ref, cls.closure)
            frame = self.function_frame(function)
            for result in definition.results:
                for value in self.evaluate(result.value, frame):
                    yield _held(value, ref) if ref.shared else value
            return
        if "staticmethod" in kinds:
            receiver = None
        elif "classmethod" in kinds:
            receiver = Ref(cls)
        else:
            receiver = ref if isinstance(ref.value, Instance) else None
        yield Ref(
            self.function_object(view.path, definition.number, receiver, cls.closure), ref.lifetime, ref.holder
        )

    def _own_attribute(self, view: ModuleView, cls: ClassObject, ref: Ref, name: str) -> Iterator[Ref]:
        """What the methods of a class assign to `self.name`."""
        for number, assignment in view.self_attributes.get((cls.scope, name), ()):
            if assignment.augmented:
                continue
            frame = self._assigning_frame(view, number, ref)
            for value in self.assigned(assignment, frame, ("attribute", name)):
                if value.shared or value.lifetime in {"keyed", "session"}:
                    yield value
                elif ref.shared:
                    yield _held(value, ref, name)
                else:
                    lifetime: Lifetime = value.lifetime if ref.lifetime == "fresh" else ref.lifetime
                    yield Ref(value.value, lifetime, value.holder)

    def _assigning_frame(self, view: ModuleView, number: int, ref: Ref) -> Frame:
        """The frame in which a method assigns to an attribute of `ref`: for `__init__` the call that made it."""
        scope = view.scopes[number]
        instance = ref.value
        if (
            scope.name == "__init__"
            and isinstance(instance, Instance)
            and instance.frame is not None
            and instance.call >= 0
        ):
            function = self.function_object(view.path, number, ref, None)
            return self.call_frame(function, instance.frame.scope.calls[instance.call], instance.frame)
        receiver = ref if view.scopes[scope.parent].kind == "class" else None
        return self.free_frame(view.path, number, receiver)

    # --- Calls ------------------------------------------------------------------------------------------------

    def call(self, number: int, frame: Frame) -> Refs:
        """What call `number` of the frame's scope gives."""
        if number in frame.calls:
            return frame.calls[number] or ()
        frame.calls[number] = None
        found = self._merged(lambda: self._call(number, frame))
        frame.calls[number] = found
        return found

    def _call(self, number: int, frame: Frame) -> Iterator[Ref]:
        call = frame.scope.calls[number]
        for ref in self.evaluate(call.callee, frame):
            value = ref.value
            match value:
                case ClassObject():
                    yield Ref(self.instance(value, frame, number))
                case FunctionObject():
                    yield from self.function_result(value, call, frame)
                case External():
                    yield from external_result(self, value, number, frame)
                case Method():
                    yield from method_result(self, value, number, frame)
                case Instance(cls=ClassObject()):
                    for member in self.member(ref, "__call__"):
                        if isinstance(member.value, FunctionObject):
                            yield from self.function_result(member.value, call, frame)
                case _:
                    pass

    def function_result(self, function: FunctionObject, call: Call | None, frame: Frame) -> Iterator[Ref]:
        """What calling a function of the project gives; without a call, with unknown arguments."""
        inside = self.call_frame(function, call, frame) if call is not None else self.function_frame(function)
        scope = inside.scope
        results = _merged(ref for one in scope.results for ref in self.evaluate(one.value, inside))
        if not results and scope.returns is not None:
            results = _merged(self.annotated(scope.returns, self.around(inside)))
        if scope.is_generator:
            parts = _merged(ref for one in scope.yields for ref in self.evaluate(one.value, inside))
            value = self.stream(function, parts) if scope.is_async else self.container("generator", parts)
            yield Ref(value)
        elif scope.is_async:
            yield Ref(self.coroutine(function, results))
        elif self.is_cached(function):
            yield from self._cached(results, function, call, frame)
        else:
            yield from results

    def is_cached(self, function: FunctionObject) -> bool:
        """Whether the function's result is kept and given to all callers."""
        scope = self.program[function.path].scopes[function.scope]
        return any(_last_name(self._decorator_callee(one, function)) in _CACHES for one in scope.decorators)

    def _decorator_callee(self, decorator: Expression, function: FunctionObject) -> Expression:
        if isinstance(decorator, CallRef):
            scopes = self.program[function.path].scopes
            return scopes[scopes[function.scope].parent].calls[decorator.number].callee
        return decorator

    def _cached(self, results: Refs, function: FunctionObject, call: Call | None, frame: Frame) -> Iterator[Ref]:
        scope = self.program[function.path].scopes[function.scope]
        # A result for each argument is kept apart: a cache by session is right.
        by_key = call is not None and any(
            not isinstance(one, Constant) for one in (*call.arguments, *(value for _, value in call.keywords))
        )
        for ref in results:
            if not _is_object(ref.value):
                yield ref
            elif by_key:
                yield Ref(ref.value, "keyed")
            else:
                name = f"{scope.name}()"
                yield Ref(
                    ref.value, "cached", Holder("cached", name, function.path, scope.line, frame.place, scope.name)
                )


_CACHES: Final = frozenset(
    {"lru_cache", "cache", "cache_resource", "cached_property", "alru_cache", "experimental_singleton"}
)
"""Decorators that give every caller the same object. `st.cache_data` gives each a copy."""


def _merged(refs: Iterable[Ref]) -> Refs:
    """Each once, in order, and not more than are worth following."""
    if type(refs) is tuple and len(refs) < 2:
        return refs
    found: dict[Ref, None] = {}
    for ref in refs:
        found.setdefault(ref)
        if len(found) >= MOST_VALUES:
            break
    return tuple(found)


def _held(item: Ref, holder: Ref, attribute: str = "") -> Ref:
    """A part of something: it lives at least as long as what holds it."""
    if item.shared or not holder.shared:
        if holder.lifetime in {"keyed", "session"} and item.lifetime in {"fresh", "given"}:
            return Ref(item.value, holder.lifetime)
        return item
    kept = holder.holder
    if kept is not None and attribute:
        kept = kept._replace(name=f"{kept.name}.{attribute}")
    return Ref(item.value, holder.lifetime, kept)


def _is_object(value: Value) -> bool:
    """Whether it matters who else holds the value."""
    return isinstance(value, Instance | Container | Coroutine | Stream | Task)


def _is_nothing(value: Expression) -> bool:
    return isinstance(value, Constant) and value.value is None


def _always_runs(scope: Scope, block: int) -> bool:
    """Whether every run of the function passes the block, unless it ends before."""
    while block > 0:
        if scope.blocks[block].kind not in {"try", "with", "async with", "else of try", "finally"}:
            return False
        block = scope.blocks[block].parent
    return True


def _is_condition(ref: Ref) -> bool:
    value = ref.value
    if not isinstance(value, Instance) or not isinstance(value.cls, External):
        return False
    entry = frameworks.lookup(value.cls.name)
    return isinstance(entry, frameworks.ClassEntry) and entry.role == "termination"


def _is_builtin(value: Value) -> bool:
    return isinstance(value, External) and value.name.startswith("builtins.")


def _is_class_name(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last[:1].isupper() or frameworks.lookup(name) is not None


def _has_self(view: ModuleView, scope: Scope) -> bool:
    return view.scopes[scope.parent].kind == "class" and scope.kind == "function"


def _last_name(expression: Expression) -> str:
    match expression:
        case Name(id=name) | Attribute(name=name):
            return name
        case Subscript(base=base):
            return _last_name(base)
        case _:
            return ""


def _local_root(ref: Ref, name: str) -> str:
    value = ref.value
    return value.dotted.rpartition(".")[2] if isinstance(value, ModuleObject) else name


def _first(pair: tuple[str, object]) -> str:
    return pair[0]
