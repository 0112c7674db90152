"""What calling something gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from turnlane.checker.python.annotations import annotated
from turnlane.checker.python.calls import external_result, method_result
from turnlane.checker.python.facts import Call, CallRef, Constant, Expression
from turnlane.checker.python.program import last_name
from turnlane.checker.python.values import (
    ClassObject,
    External,
    FunctionObject,
    Holder,
    Instance,
    Method,
    Ref,
    Refs,
    is_object,
    merged,
)

if TYPE_CHECKING:
    from turnlane.checker.python.evaluate import Evaluator
    from turnlane.checker.python.frames import Frame


def call_values(evaluator: Evaluator, number: int, frame: Frame) -> Iterator[Ref]:
    call = frame.scope.calls[number]
    for ref in evaluator.evaluate(call.callee, frame):
        value = ref.value
        match value:
            case ClassObject():
                yield Ref(evaluator.instance(value, frame, number))
            case FunctionObject():
                yield from function_result(evaluator, value, call, frame)
            case External():
                yield from external_result(evaluator, value, number, frame)
            case Method():
                yield from method_result(evaluator, value, number, frame)
            case Instance(cls=ClassObject()):
                for member in evaluator.member(ref, "__call__"):
                    if isinstance(member.value, FunctionObject):
                        yield from function_result(evaluator, member.value, call, frame)
            case _:
                pass


def function_result(
    evaluator: Evaluator, function: FunctionObject, call: Call | None, frame: Frame
) -> Iterator[Ref]:
    """What calling a function of the project gives; without a call, with unknown arguments."""
    inside = (
        evaluator.call_frame(function, call, frame) if call is not None else evaluator.function_frame(function)
    )
    scope = inside.scope
    results = merged(ref for one in scope.results for ref in evaluator.evaluate(one.value, inside))
    if not results and scope.returns is not None:
        results = merged(annotated(evaluator, scope.returns, evaluator.around(inside)))
    if scope.is_generator:
        parts = merged(ref for one in scope.yields for ref in evaluator.evaluate(one.value, inside))
        value = evaluator.stream(function, parts) if scope.is_async else evaluator.container("generator", parts)
        yield Ref(value)
    elif scope.is_async:
        yield Ref(evaluator.coroutine(function, results))
    elif is_cached(evaluator, function):
        yield from _cached(evaluator, results, function, call, frame)
    else:
        yield from results


def is_cached(evaluator: Evaluator, function: FunctionObject) -> bool:
    """Whether the function's result is kept and given to all callers."""
    scope = evaluator.program[function.path].scopes[function.scope]
    return any(last_name(_decorator_callee(evaluator, one, function)) in _CACHES for one in scope.decorators)


def _decorator_callee(evaluator: Evaluator, decorator: Expression, function: FunctionObject) -> Expression:
    if isinstance(decorator, CallRef):
        scopes = evaluator.program[function.path].scopes
        return scopes[scopes[function.scope].parent].calls[decorator.number].callee
    return decorator


def _cached(
    evaluator: Evaluator, results: Refs, function: FunctionObject, call: Call | None, frame: Frame
) -> Iterator[Ref]:
    scope = evaluator.program[function.path].scopes[function.scope]
    # A result for each argument is kept apart: a cache by session is right.
    by_key = call is not None and any(
        not isinstance(one, Constant) for one in (*call.arguments, *(value for _, value in call.keywords))
    )
    for ref in results:
        if not is_object(ref.value):
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
