"""What iterating, awaiting, unpacking and entering give, and what is put into a container after it was made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from turnlane.checker.python.facts import Constant, Expression
from turnlane.checker.python.values import (
    ClassObject,
    Container,
    Coroutine,
    FunctionObject,
    Instance,
    LiteralValue,
    Ref,
    Refs,
    Stream,
    Task,
    held,
)

if TYPE_CHECKING:
    from turnlane.checker.python.evaluate import Evaluator


def awaited(evaluator: Evaluator, refs: Refs) -> Iterator[Ref]:
    """What `await` gives."""
    for ref in refs:
        match ref.value:
            case Coroutine(results=results):
                yield from results
            case Task(of=of):
                yield from awaited(evaluator, of)
            case Stream() | LiteralValue():
                pass
            case _:
                yield ref


def elements(evaluator: Evaluator, refs: Refs, key: Expression | None = None) -> Iterator[Ref]:
    """What iterating gives, or with `key` a subscript."""
    for ref in refs:
        match ref.value:
            case Container():
                yield from _contained(evaluator, ref, key)
            case Stream(results=results):
                yield from results
            case _:
                pass


def _contained(evaluator: Evaluator, ref: Ref, key: Expression | None) -> Iterator[Ref]:
    container = ref.value
    assert isinstance(container, Container)
    position = key.value if isinstance(key, Constant) else None
    if container.kind == "tuple" and isinstance(position, int) and position < len(container.items):
        yield held(container.items[position], ref)
        return
    for item in container.items:
        yield held(item, ref)
    if container.store is not None:
        for item, keyed in evaluator.stored(container.store):
            constant = isinstance(key, Constant)
            # Something that is put in under a key is one conversation's; a list is everybody's.
            yield Ref(item.value, "keyed") if keyed and not constant else held(item, ref)


def put_in(evaluator: Evaluator, store: tuple[object, ...]) -> Iterator[tuple[Ref, bool]]:
    path, kind, name = store
    assert isinstance(path, str)
    assert isinstance(kind, str)
    assert isinstance(name, str)
    view = evaluator.program[path]
    for scope, value, keyed in view.stored.get((kind, name), ()):
        frame = evaluator.free_frame(path, scope) if scope else evaluator.module_frame(path)
        for ref in evaluator.evaluate(value, frame):
            yield ref, keyed and scope != 0


def unpacked(evaluator: Evaluator, refs: Refs, part: int) -> Iterator[Ref]:
    for ref in refs:
        container = ref.value
        if isinstance(container, Container) and container.kind == "tuple" and part < len(container.items):
            yield held(container.items[part], ref)
        else:
            yield from elements(evaluator, (ref,))


def entered(evaluator: Evaluator, refs: Refs) -> Iterator[Ref]:
    for ref in refs:
        match ref.value:
            case Instance(cls=ClassObject()):
                entered = [
                    result
                    for name in ("__aenter__", "__enter__")
                    for result in _method_results(evaluator, ref, name)
                ]
                yield from entered or [ref]
            case Container() | Stream():
                yield from elements(evaluator, (ref,))
            case Task(of=of):
                yield from of
            case _:
                yield ref


def _method_results(evaluator: Evaluator, ref: Ref, name: str) -> Iterator[Ref]:
    for member in evaluator.member(ref, name):
        if isinstance(member.value, FunctionObject):
            frame = evaluator.function_frame(member.value)
            for result in frame.scope.results:
                yield from evaluator.evaluate(result.value, frame)
