"""Attributes: of objects by their class and its bases, of modules, of applications and sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from turnlane.checker.libraries import frameworks
from turnlane.checker.python.annotations import types_in
from turnlane.checker.python.facts import Assignment, Attribute, Expression, Name, Scope
from turnlane.checker.python.lookup import always_binds, assigned, module_attribute, read
from turnlane.checker.python.program import last_name
from turnlane.checker.python.values import (
    ClassObject,
    Container,
    Coroutine,
    External,
    FunctionObject,
    Holder,
    Instance,
    Lifetime,
    LiteralValue,
    ModuleObject,
    Ref,
    Stream,
    Task,
    held,
    is_object,
    merged,
)

if TYPE_CHECKING:
    from turnlane.checker.python.evaluate import Evaluator
    from turnlane.checker.python.frames import Frame
    from turnlane.checker.python.program import ModuleView


def attribute_values(evaluator: Evaluator, base: Expression, name: str, frame: Frame) -> Iterator[Ref]:
    if isinstance(base, Attribute) and base.name == "state" and name in evaluator.program.app_state:
        found = list(_app_state(evaluator, name, frame))
        if found:
            yield from found
            return
    if last_name(base) == "session_state":
        found = list(session_state(evaluator, name))
        if found:
            yield from found
            return
    just_set = _just_set(evaluator, base, name, frame)
    if just_set is not None:
        yield from assigned(evaluator, just_set, frame, ("attribute", name))
        return
    for ref in evaluator.evaluate(base, frame):
        yield from attribute(evaluator, ref, name, frame)


def _just_set(evaluator: Evaluator, base: Expression, name: str, frame: Frame) -> Assignment | None:
    """The assignment of this very function that always sets `evaluator.name` anew; None when there is none.

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
            and always_binds(frame.scope, assignment)
        ):
            found = assignment
    return found


def _app_state(evaluator: Evaluator, name: str, frame: Frame) -> Iterator[Ref]:
    for path, scope, assignment in evaluator.program.app_state[name]:
        inside = evaluator.free_frame(path, scope) if scope else evaluator.module_frame(path)
        for ref in assigned(evaluator, assignment, inside, ("attribute", name)):
            if not is_object(ref.value) or ref.lifetime in {"keyed", "session"}:
                yield ref
            else:
                holder = Holder("app", f"app.state.{name}", path, assignment.span.line, frame.place, name)
                yield Ref(ref.value, "app", holder)


def session_state(evaluator: Evaluator, name: str) -> Iterator[Ref]:
    """What a Streamlit program keeps for each user."""
    for path, number, assignment in evaluator.program.session_state.get(name, ()):
        frame = evaluator.free_frame(path, number) if number else evaluator.module_frame(path)
        for ref in assigned(evaluator, assignment, frame, ("attribute", name)):
            yield ref if ref.shared else Ref(ref.value, "session")


def attribute(evaluator: Evaluator, ref: Ref, name: str, frame: Frame) -> Iterator[Ref]:
    """`ref.name`"""
    value = ref.value
    match value:
        case ModuleObject():
            yield from read(
                evaluator,
                merged(module_attribute(evaluator, value, name, frame.path)),
                frame,
                _local_root(ref, name),
            )
        case External():
            yield Ref(evaluator.external(f"{value.name}.{name}"))
        case Instance(cls=ClassObject()) | ClassObject():
            yield from evaluator.member(ref, name)
        case Instance(cls=External(name=cls)):
            yield _outside_member(evaluator, ref, value, cls, name)
        case Container(kind=kind):
            yield Ref(evaluator.method(ref, f"builtins.{kind}", name), ref.lifetime, ref.holder)
        case LiteralValue(value=str()):
            yield Ref(evaluator.method(ref, "builtins.str", name))
        case Task():
            yield Ref(evaluator.method(ref, "asyncio.Task", name))
        case Coroutine() | Stream():
            yield Ref(evaluator.method(ref, "types.Coroutine", name))
        case FunctionObject():
            yield Ref(evaluator.method(ref, "types.Function", name))
        case _:
            pass


def _outside_member(evaluator: Evaluator, ref: Ref, value: Instance, cls: str, name: str) -> Ref:
    """A method of an object from outside, or the part that a property gives: `client.chat.completions`."""
    entry = frameworks.lookup(cls)
    known = entry.method(name) if isinstance(entry, frameworks.ClassEntry) else None
    if known is not None and known.kind == "property" and known.returns:
        part = evaluator.instance(evaluator.external(known.returns), value.frame, value.call)
        return Ref(part, ref.lifetime, ref.holder)
    return Ref(evaluator.method(ref, cls, name), ref.lifetime, ref.holder)


def bases(evaluator: Evaluator, cls: ClassObject) -> Iterator[ClassObject | External]:
    """The direct bases of a class of the project."""
    scope = evaluator.program[cls.path].scopes[cls.scope]
    frame = evaluator.around(evaluator.free_frame(cls.path, cls.scope, closure=cls.closure))
    for base in scope.bases:
        for ref in types_in(evaluator, base, frame):
            if isinstance(ref.value, ClassObject | External):
                yield ref.value


def parent_object(evaluator: Evaluator, frame: Frame) -> Iterator[Ref]:
    """What `super()` is in a method: the object, seen as an object of the next class."""
    assert frame.receiver is not None
    view = frame.view
    parent = view.scopes[frame.scope.parent]
    if parent.kind != "class":
        return
    cls = evaluator.class_object(frame.path, parent.number, frame.closure)
    for base in evaluator.mro(cls)[1:2]:
        yield Ref(evaluator.instance(base, None, -1), frame.receiver.lifetime, frame.receiver.holder)


def member_values(evaluator: Evaluator, ref: Ref, name: str) -> Iterator[Ref]:
    cls = ref.value.cls if isinstance(ref.value, Instance) else ref.value
    assert isinstance(cls, ClassObject)
    outside: list[str] = []
    for one in evaluator.mro(cls):
        if isinstance(one, External):
            outside.append(one.name)
            continue
        found = list(_member_of(evaluator, one, ref, name))
        if found:
            yield from found
            return
    known = [base for base in outside if frameworks.lookup(base) is not None]
    for base in known or outside[:1]:
        yield Ref(evaluator.method(ref, base, name), ref.lifetime, ref.holder)


def _member_of(evaluator: Evaluator, cls: ClassObject, ref: Ref, name: str) -> Iterator[Ref]:
    view = evaluator.program[cls.path]
    definition = view.definitions.get((cls.scope, name))
    if definition is not None:
        yield from _method_member(evaluator, view, cls, definition, ref)
        return
    own = list(_own_attribute(evaluator, view, cls, ref, name))
    yield from own
    if any(is_object(one.value) for one in own):
        return
    for _, assignment in view.assigned.get((cls.scope, name), ()):
        frame = evaluator.free_frame(cls.path, cls.scope)
        for value in assigned(evaluator, assignment, frame, ("attribute", name)):
            yield _class_attribute(evaluator, value, view, cls, name, assignment, ref)


def _class_attribute(
    evaluator: Evaluator,
    value: Ref,
    view: ModuleView,
    cls: ClassObject,
    name: str,
    assignment: Assignment,
    ref: Ref,
) -> Ref:
    if value.lifetime == "given":  # an annotation only: a field of this object
        return Ref(value.value, ref.lifetime, ref.holder)
    if not isinstance(value.value, Instance | Container | Task | Coroutine | Stream) or value.shared:
        return value
    title = f"{view.scopes[cls.scope].name}.{name}"
    holder = Holder("class", title, cls.path, assignment.span.line, ("", -1), name)
    return Ref(value.value, "class", holder)


def _method_member(
    evaluator: Evaluator, view: ModuleView, cls: ClassObject, definition: Scope, ref: Ref
) -> Iterator[Ref]:
    if definition.kind == "class":
        yield Ref(evaluator.class_object(view.path, definition.number, cls.closure))
        return
    kinds = {last_name(decorator) for decorator in definition.decorators}
    if kinds & {"property", "cached_property"}:
        function = evaluator.function_object(view.path, definition.number, ref, cls.closure)
        frame = evaluator.function_frame(function)
        for result in definition.results:
            for value in evaluator.evaluate(result.value, frame):
                yield held(value, ref) if ref.shared else value
        return
    if "staticmethod" in kinds:
        receiver = None
    elif "classmethod" in kinds:
        receiver = Ref(cls)
    else:
        receiver = ref if isinstance(ref.value, Instance) else None
    yield Ref(
        evaluator.function_object(view.path, definition.number, receiver, cls.closure), ref.lifetime, ref.holder
    )


def _own_attribute(evaluator: Evaluator, view: ModuleView, cls: ClassObject, ref: Ref, name: str) -> Iterator[Ref]:
    """What the methods of a class assign to `evaluator.name`."""
    for number, assignment in view.self_attributes.get((cls.scope, name), ()):
        if assignment.augmented:
            continue
        frame = _assigning_frame(evaluator, view, number, ref)
        for value in assigned(evaluator, assignment, frame, ("attribute", name)):
            if value.shared or value.lifetime in {"keyed", "session"}:
                yield value
            elif ref.shared:
                yield held(value, ref, name)
            else:
                lifetime: Lifetime = value.lifetime if ref.lifetime == "fresh" else ref.lifetime
                yield Ref(value.value, lifetime, value.holder)


def _assigning_frame(evaluator: Evaluator, view: ModuleView, number: int, ref: Ref) -> Frame:
    """The frame in which a method assigns to an attribute of `ref`: for `__init__` the call that made it."""
    scope = view.scopes[number]
    instance = ref.value
    if (
        scope.name == "__init__"
        and isinstance(instance, Instance)
        and instance.frame is not None
        and instance.call >= 0
    ):
        function = evaluator.function_object(view.path, number, ref, None)
        return evaluator.call_frame(function, instance.frame.scope.calls[instance.call], instance.frame)
    receiver = ref if view.scopes[scope.parent].kind == "class" else None
    return evaluator.free_frame(view.path, number, receiver)


def _local_root(ref: Ref, name: str) -> str:
    value = ref.value
    return value.dotted.rpartition(".")[2] if isinstance(value, ModuleObject) else name
