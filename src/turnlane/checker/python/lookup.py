"""Names: variables of a function, those it closes over, those of its module, and what it imports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from turnlane.checker.libraries import frameworks
from turnlane.checker.python.annotations import annotated, parameter_values
from turnlane.checker.python.facts import Assignment, Constant, Import, Scope
from turnlane.checker.python.values import (
    SHARED,
    Container,
    External,
    Holder,
    ModuleObject,
    Ref,
    Refs,
    Value,
    is_object,
    merged,
)

if TYPE_CHECKING:
    from turnlane.checker.python.evaluate import Evaluator
    from turnlane.checker.python.frames import Frame
    from turnlane.checker.python.program import ModuleView


def name_values(evaluator: Evaluator, name: str, frame: Frame) -> Iterator[Ref]:
    scope = frame.scope
    if scope.number == 0:
        yield from read(evaluator, evaluator.module_name(frame.path, name), frame, name)
        return
    if name in scope.globals:
        made_here = [
            assignment
            for assigner, assignment in frame.view.assigned.get((0, name), ())
            if assigner == scope.number and always_binds(scope, assignment)
        ]
        if made_here:
            yield from assigned(evaluator, made_here[-1], frame, ("name", name))
            return
        yield from read(evaluator, evaluator.module_name(frame.path, name), frame, name)
        return
    if name not in scope.nonlocals and frame.view.binds(scope.number, name):
        yield from _local(evaluator, name, frame)
        return
    yield from _outer(evaluator, name, frame)


def _local(evaluator: Evaluator, name: str, frame: Frame) -> Iterator[Ref]:
    view, number = frame.view, frame.scope.number
    parameter = next((p for p in frame.scope.parameters if p.name == name), None)
    if parameter is not None:
        yield from parameter_values(evaluator, parameter, frame)
    for assigner, assignment in view.assigned.get((number, name), ()):
        if assignment.augmented:
            continue
        inside = frame if assigner == number else evaluator.free_frame(frame.path, assigner)
        yield from assigned(evaluator, assignment, inside, ("name", name))
    definition = view.definitions.get((number, name))
    if definition is not None:
        yield _defined(evaluator, view, definition, frame)
    for item in view.imports.get((number, name), ()):
        yield from _imported(evaluator, frame.path, item)


def _outer(evaluator: Evaluator, name: str, frame: Frame) -> Iterator[Ref]:
    """A variable of a function around this one, or of the module, or a builtin."""
    closure = frame.closure
    for outer in frame.view.enclosing(frame.scope):
        around = closure if closure is not None and closure.scope.number == outer.number else None
        if frame.view.binds(outer.number, name):
            inside = around or evaluator.free_frame(frame.path, outer.number)
            refs = merged(_local(evaluator, name, inside))
            yield from _closed_over(evaluator, refs, name, frame, outer)
            return
        closure = around.closure if around is not None else None
    yield from read(evaluator, evaluator.module_name(frame.path, name), frame, name)


def _closed_over(evaluator: Evaluator, refs: Refs, name: str, frame: Frame, outer: Scope) -> Iterator[Ref]:
    """Variables of the function around a handler outlive the request: an app factory's."""
    for ref in refs:
        if frame.free and ref.lifetime == "fresh" and is_object(ref.value):
            holder = Holder("closure", name, frame.path, outer.line, frame.place, name)
            yield Ref(ref.value, "closure", holder)
        elif ref.holder is not None:
            yield ref._replace(holder=ref.holder._replace(reader=frame.place, root=name))
        else:
            yield ref


def read(evaluator: Evaluator, refs: Refs, frame: Frame, root: str) -> Iterator[Ref]:
    """The refs of a module's variable as `frame` reads them."""
    for ref in refs:
        if ref.holder is not None:
            yield ref._replace(holder=ref.holder._replace(reader=frame.place, root=root))
        else:
            yield ref


def module_values(evaluator: Evaluator, path: str, name: str) -> Iterator[Ref]:
    view = evaluator.program[path]
    bound = False
    for assigner, assignment in view.assigned.get((0, name), ()):
        bound = True
        if assignment.augmented:
            continue
        frame = evaluator.module_frame(path) if assigner == 0 else evaluator.free_frame(path, assigner)
        for ref in assigned(evaluator, assignment, frame, ("name", name)):
            yield _kept_by_module(evaluator, ref, path, name, assignment)
    definition = view.definitions.get((0, name))
    if definition is not None:
        bound = True
        yield _defined(evaluator, view, definition, None)
    for item in view.imports.get((0, name), ()):
        bound = True
        yield from _imported(evaluator, path, item)
    if not bound:
        yield from _star_imported(evaluator, view, name)


def _star_imported(evaluator: Evaluator, view: ModuleView, name: str) -> Iterator[Ref]:
    found = False
    for item in view.imports.get((0, "*"), ()):
        target = evaluator.module_object(item.module, view.path)
        if isinstance(target, ModuleObject) and target.path is not None and target.path != view.path:
            refs = evaluator.module_name(target.path, name)
            found = found or bool(refs)
            yield from refs
        elif isinstance(target, External) and frameworks.lookup(f"{target.name}.{name}") is not None:
            found = True
            yield Ref(evaluator.external(f"{target.name}.{name}"))
    if not found:
        yield Ref(evaluator.external(f"builtins.{name}"))


def _kept_by_module(evaluator: Evaluator, ref: Ref, path: str, name: str, assignment: Assignment) -> Ref:
    if not is_object(ref.value) or ref.lifetime in {"session", "keyed"}:
        return ref
    if path in evaluator.per_run_modules and ref.lifetime not in SHARED:
        return ref
    if ref.lifetime == "cached" and path in evaluator.per_run_modules:
        return ref
    return Ref(ref.value, "module", Holder("module", name, path, assignment.span.line, (path, 0), name))


def assigned(evaluator: Evaluator, assignment: Assignment, frame: Frame, store: tuple[str, str]) -> Iterator[Ref]:
    """What an assignment binds; a container remembers the variable's name."""
    refs = evaluator.evaluate(assignment.value, frame)
    for ref in refs:
        if isinstance(ref.value, Container) and ref.value.store is None:
            container = evaluator.container(ref.value.kind, ref.value.items, (frame.path, *store))
            yield ref._replace(value=container)
        else:
            yield ref
    if assignment.annotation is not None and not any(is_object(ref.value) for ref in refs):
        yield from annotated(evaluator, assignment.annotation, frame)


def _defined(evaluator: Evaluator, view: ModuleView, definition: Scope, closure: Frame | None) -> Ref:
    if definition.kind == "class":
        return Ref(evaluator.class_object(view.path, definition.number, closure))
    return Ref(evaluator.function_object(view.path, definition.number, None, closure))


def _imported(evaluator: Evaluator, importer: str, item: Import) -> Iterator[Ref]:
    """What an import binds."""
    module = evaluator.module_object(item.module, importer)
    if not item.name:
        yield Ref(module)
    elif isinstance(module, ModuleObject):
        yield from module_attribute(evaluator, module, item.name, importer)
    else:
        # A module in a folder without `__init__.py`, or a name outside the project.
        yield Ref(evaluator.module_object(f"{module.name}.{item.name}", importer))


def module_attribute(evaluator: Evaluator, module: ModuleObject, name: str, importer: str) -> Iterator[Ref]:
    """`module.name`: a variable of it, else a module in its package."""
    if module.path is not None:
        refs = evaluator.module_name(module.path, name)
        if refs and not all(_is_builtin(ref.value) for ref in refs):
            yield from refs
            return
    separator = "" if module.dotted.endswith(".") else "."
    dotted = f"{module.dotted}{separator}{name}"
    if evaluator.program.names.module(dotted, module.importer) is not None:
        yield Ref(evaluator.module_object(dotted, module.importer))


def always_binds(scope: Scope, assignment: Assignment) -> bool:
    """Whether every run of the function gives the variable a new value there, unless it ends before."""
    value = assignment.value
    is_nothing = isinstance(value, Constant) and value.value is None
    return not assignment.augmented and not is_nothing and _always_runs(scope, assignment.block)


def _always_runs(scope: Scope, block: int) -> bool:
    while block > 0:
        if scope.blocks[block].kind not in {"try", "with", "async with", "else of try", "finally"}:
            return False
        block = scope.blocks[block].parent
    return True


def _is_builtin(value: Value) -> bool:
    return isinstance(value, External) and value.name.startswith("builtins.")
