"""What a parameter can be when it is not known what it is given: its default and its annotation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from turnlane.checker.libraries import frameworks
from turnlane.checker.python.calls import is_dependency
from turnlane.checker.python.facts import (
    Attribute,
    CallRef,
    Choice,
    Constant,
    Expression,
    Items,
    Name,
    Parameter,
    Scope,
    Subscript,
)
from turnlane.checker.python.program import last_name
from turnlane.checker.python.values import ClassObject, Container, External, Holder, Instance, Ref, merged

if TYPE_CHECKING:
    from turnlane.checker.python.evaluate import Evaluator
    from turnlane.checker.python.frames import Frame
    from turnlane.checker.python.program import ModuleView


def parameter_values(evaluator: Evaluator, parameter: Parameter, frame: Frame) -> Iterator[Ref]:
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
    around = evaluator.around(frame)
    found = False
    if isinstance(default, Constant):
        if not frame.free:
            yield Ref(evaluator.literal(default.value))
    elif default is not None:
        for ref in evaluator.evaluate(default, around):
            found = True
            yield _default(evaluator, ref, parameter, frame)
    if not found and parameter.annotation is not None:
        yield from annotated(evaluator, parameter.annotation, around)


def _default(evaluator: Evaluator, ref: Ref, parameter: Parameter, frame: Frame) -> Ref:
    """A default value is made once, when the function is defined; a dependency for each request."""
    if (
        not isinstance(ref.value, Instance | Container)
        or ref.lifetime != "fresh"
        or _is_dependency(evaluator, parameter, frame)
    ):
        return ref
    holder = Holder("default", parameter.name, frame.path, frame.scope.line, frame.place, parameter.name)
    return Ref(ref.value, "default", holder)


def _is_dependency(evaluator: Evaluator, parameter: Parameter, frame: Frame) -> bool:
    """Whether a host calls what the default names, for each request: `Depends(f)`."""
    if not isinstance(parameter.default, CallRef):
        return False
    around = evaluator.around(frame)
    callee = around.scope.calls[parameter.default.number].callee
    return any(is_dependency(ref.value) for ref in evaluator.evaluate(callee, around))


def annotated(evaluator: Evaluator, annotation: Expression, frame: Frame) -> Iterator[Ref]:
    """Objects of the type that an annotation names; their origin is not known."""
    for ref in types_in(evaluator, annotation, frame):
        match ref.value:
            case ClassObject():
                yield Ref(evaluator.instance(ref.value, None, -1), "given")
            case External(name=name) if _is_class_name(name):
                yield Ref(evaluator.instance(ref.value, None, -1), "given")
            case Instance() | Container():
                yield ref
            case _:
                pass


def types_in(evaluator: Evaluator, annotation: Expression, frame: Frame) -> Iterator[Ref]:
    """The classes in an annotation: `X`, `X | None`, `Optional[X]`, `list[X]`, `Annotated[X, Depends(f)]`."""
    match annotation:
        case Name() | Attribute():
            yield from evaluator.evaluate(annotation, frame)
        case Choice(options=options):
            for option in options:
                yield from types_in(evaluator, option, frame)
        case Subscript(base=base, key=key):
            yield from _generic(evaluator, base, key, frame)
        case _:
            for part in getattr(annotation, "parts", ()):
                yield from types_in(evaluator, part, frame)


def _generic(evaluator: Evaluator, base: Expression, key: Expression, frame: Frame) -> Iterator[Ref]:
    parts = key.values if isinstance(key, Items) else (key,)
    last = last_name(base)
    if last in {"Optional", "Union"}:
        for part in parts:
            yield from types_in(evaluator, part, frame)
    elif last == "Annotated" and parts:
        depends = [ref for part in parts[1:] for ref in evaluator.evaluate(part, frame)]
        made = [ref for ref in depends if isinstance(ref.value, Instance) and ref.value.call >= 0]
        if made:
            yield from made
        else:
            yield from types_in(evaluator, parts[0], frame)
    elif last in {"list", "List", "Sequence", "Iterable", "set", "Set", "tuple", "Tuple", "dict", "Dict"}:
        items = merged(annotated(evaluator, parts[-1], frame)) if parts else ()
        kind = last.lower() if last.lower() in {"list", "set", "dict"} else "list"
        yield Ref(evaluator.container(kind, items), "given")
    else:
        yield from types_in(evaluator, base, frame)


def _is_class_name(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last[:1].isupper() or frameworks.lookup(name) is not None


def _has_self(view: ModuleView, scope: Scope) -> bool:
    return view.scopes[scope.parent].kind == "class" and scope.kind == "function"
