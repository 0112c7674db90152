"""What calling something gives that is no plain function of the project; how arguments meet parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from turnlane.checker.libraries import frameworks
from turnlane.checker.libraries.effects import made_by
from turnlane.checker.python.facts import Call, Constant, Expression, Name, Parameter, Scope, Starred
from turnlane.checker.python.values import (
    ClassObject,
    Container,
    Coroutine,
    External,
    FunctionObject,
    Instance,
    LiteralValue,
    Method,
    Ref,
    Refs,
    Stream,
    Task,
    Value,
)

if TYPE_CHECKING:
    from turnlane.checker.python.evaluate import Evaluator
    from turnlane.checker.python.frames import Frame

MOST_ARGUMENT_VALUES: Final = 6


def bind(evaluator: Evaluator, scope: Scope, bound: bool, call: Call, frame: Frame) -> dict[str, Refs]:
    """What each parameter of `scope` gets from `call`; only values that can matter to a rule are kept.

    Without a use, an argument would make one more way to call the function that has to be followed.
    """
    positional = [p for p in scope.parameters if p.kind == "positional"]
    if bound:
        positional = positional[1:]
    given: dict[str, Refs] = {}
    for parameter, argument in zip(positional, call.arguments, strict=False):
        if isinstance(argument, Starred):
            break
        _give(evaluator, given, parameter, argument, frame, scope)
    named = {p.name: p for p in scope.parameters if p.kind in {"positional", "keyword"}}
    for name, argument in call.keywords:
        if name in named:
            _give(evaluator, given, named[name], argument, frame, scope)
    return given


def _give(
    evaluator: Evaluator,
    given: dict[str, Refs],
    parameter: Parameter,
    argument: Expression,
    frame: Frame,
    scope: Scope,
) -> None:
    refs: Refs = ()
    if not isinstance(argument, Constant) or _is_tested(parameter.name, scope):
        refs = tuple(ref for ref in evaluator.evaluate(argument, frame) if matters(ref))[:MOST_ARGUMENT_VALUES]
    # Without a value, what is known is that it is not the default.
    if refs or not (parameter.default is None or _is_same(parameter.default, argument)):
        given[parameter.name] = refs


def _is_same(default: Expression, argument: Expression) -> bool:
    return isinstance(default, Constant) and isinstance(argument, Constant) and default.value is argument.value


def _is_tested(name: str, scope: Scope) -> bool:
    """Whether a constant for this parameter decides a branch."""
    return any(
        isinstance(test, Name) and test.id == name
        for block in scope.blocks
        if block.kind == "if"
        for test in block.subject
    )


def matters(ref: Ref) -> bool:
    """Whether a rule or a branch can depend on the value."""
    match ref.value:
        case LiteralValue(value=value):
            return value is None or isinstance(value, bool)
        case Instance(cls=External(name=name)):
            return frameworks.lookup(name) is not None or name.startswith(_WORTH_FOLLOWING)
        case Container(items=items, store=store):
            return store is not None or any(matters(item) for item in items)
        case External():
            return False
        case _:
            return True


_WORTH_FOLLOWING: Final = (
    "asyncio.",
    "concurrent.",
    "threading.",
    "multiprocessing.",
    "fastapi.",
    "flask.",
    "queue.",
)


# --- Functions outside the project ---------------------------------------------------------------------------


def external_result(evaluator: Evaluator, external: External, number: int, frame: Frame) -> Iterator[Ref]:
    """What calling a name outside the project gives."""
    call = frame.scope.calls[number]
    name = external.name
    special = _FUNCTIONS.get(name)
    if special is not None:
        yield from special(evaluator, call, number, frame)
        return
    made = made_by(name)
    if made:
        yield Ref(evaluator.instance(evaluator.external(made), frame, number))
        return
    entry = frameworks.lookup(name)
    if isinstance(entry, frameworks.FunctionEntry):
        yield from _of_kind(evaluator, external, entry.kind, entry.returns, number, frame)
    elif isinstance(entry, frameworks.ClassEntry):
        yield Ref(evaluator.instance(evaluator.external(entry.name), frame, number))
    else:
        yield from _unknown(evaluator, name, number, frame)


def _unknown(evaluator: Evaluator, name: str, number: int, frame: Frame) -> Iterator[Ref]:
    """A class method of a framework's class (`Team.load_component`), or a name that looks like a class."""
    owner, _, last = name.rpartition(".")
    entry = frameworks.lookup(owner)
    if isinstance(entry, frameworks.ClassEntry):
        method = entry.method(last)
        if method is not None:
            returns = method.returns or (entry.name if last in _ALTERNATIVE_CONSTRUCTORS else "")
            yield from _of_kind(evaluator, evaluator.external(name), method.kind, returns, number, frame)
        elif last.startswith("from_"):
            yield Ref(evaluator.instance(evaluator.external(entry.name), frame, number))
    elif last[:1].isupper() or name in _LOWER_CASE_CLASSES:
        yield Ref(evaluator.instance(evaluator.external(name), frame, number))


_ALTERNATIVE_CONSTRUCTORS: Final = frozenset({"load_component", "from_config", "_from_config", "create"})

_LOWER_CASE_CLASSES: Final = frozenset({"aiohttp.web.RouteTableDef", "socketio.AsyncServer"})


def _of_kind(
    evaluator: Evaluator, what: External | Method, kind: str, returns: str, number: int, frame: Frame
) -> Iterator[Ref]:
    """The value of a call whose kind and result class the table knows."""
    results: Refs = ()
    if returns:
        results = (Ref(evaluator.instance(evaluator.external(returns), frame, number)),)
    if kind == "async":
        yield Ref(evaluator.coroutine(what, results))
    elif kind == "stream":
        yield Ref(evaluator.stream(what, results))
    else:
        yield from results


def _arguments(evaluator: Evaluator, call: Call, frame: Frame) -> Refs:
    """The values of all plain arguments."""
    return tuple(ref for argument in call.arguments for ref in evaluator.evaluate(argument, frame))


def _first(evaluator: Evaluator, call: Call, _number: int, frame: Frame) -> Iterator[Ref]:
    """Functions that give what they got: `asyncio.shield(x)`, `copy(x)`."""
    if call.arguments:
        yield from evaluator.evaluate(call.arguments[0], frame)


def _second(evaluator: Evaluator, call: Call, _number: int, frame: Frame) -> Iterator[Ref]:
    if len(call.arguments) > 1:
        yield from evaluator.evaluate(call.arguments[1], frame)


def _task(evaluator: Evaluator, call: Call, number: int, frame: Frame) -> Iterator[Ref]:
    yield Ref(evaluator.task(tuple(_first(evaluator, call, number, frame))))


def _gather(evaluator: Evaluator, call: Call, _number: int, frame: Frame) -> Iterator[Ref]:
    results = tuple(evaluator.awaited(_arguments(evaluator, call, frame)))
    yield Ref(evaluator.task((Ref(evaluator.container("list", results)),)))


def _run(evaluator: Evaluator, call: Call, _number: int, frame: Frame) -> Iterator[Ref]:
    if call.arguments:
        yield from evaluator.awaited(evaluator.evaluate(call.arguments[0], frame))


def _called(evaluator: Evaluator, call: Call, _number: int, frame: Frame) -> Iterator[Ref]:
    """`to_thread(f, ...)` gives what `f` gives, when it is awaited."""
    results: list[Ref] = []
    for ref in _first(evaluator, call, -1, frame):
        if isinstance(ref.value, FunctionObject):
            inner = evaluator.function_result(ref.value, None, frame)
            results += evaluator.awaited(tuple(inner))
    yield Ref(evaluator.task(tuple(results)))


def _dependency(evaluator: Evaluator, call: Call, _number: int, frame: Frame) -> Iterator[Ref]:
    """FastAPI's `Depends(f)` as a default: what `f` gives for each request."""
    for argument in (*call.arguments, *(value for _, value in call.keywords)):
        for ref in evaluator.evaluate(argument, frame):
            if isinstance(ref.value, FunctionObject):
                for result in evaluator.function_result(ref.value, None, frame):
                    if isinstance(result.value, Coroutine):
                        yield from result.value.results
                    elif isinstance(result.value, Container) and result.value.kind == "generator":
                        yield from result.value.items
                    elif isinstance(result.value, Stream):
                        yield from result.value.results
                    else:
                        yield result
            elif isinstance(ref.value, ClassObject):
                yield Ref(evaluator.instance(ref.value, frame, -1))


def _container(kind: str) -> Callable[[Evaluator, Call, int, Frame], Iterator[Ref]]:
    def made(evaluator: Evaluator, call: Call, _number: int, frame: Frame) -> Iterator[Ref]:
        items = tuple(evaluator.elements(_arguments(evaluator, call, frame)))
        if kind == "dict":
            items += tuple(ref for _, value in call.keywords for ref in evaluator.evaluate(value, frame))
        yield Ref(evaluator.container(kind, items))

    return made


def _default_dict(evaluator: Evaluator, call: Call, _number: int, frame: Frame) -> Iterator[Ref]:
    yield Ref(evaluator.container("dict", ()))


def _next(evaluator: Evaluator, call: Call, _number: int, frame: Frame) -> Iterator[Ref]:
    if call.arguments:
        yield from evaluator.elements(evaluator.evaluate(call.arguments[0], frame))


def _getattr(evaluator: Evaluator, call: Call, _number: int, frame: Frame) -> Iterator[Ref]:
    if len(call.arguments) > 1 and isinstance(call.arguments[1], Constant):
        name = call.arguments[1].value
        if isinstance(name, str):
            for ref in evaluator.evaluate(call.arguments[0], frame):
                yield from evaluator.attribute(ref, name, frame)


def _super(evaluator: Evaluator, _call: Call, _number: int, frame: Frame) -> Iterator[Ref]:
    """`super()`: the object itself; its own class's methods are found first, which is near enough."""
    if frame.receiver is not None:
        yield from evaluator.parent_object(frame)


def _session_get(evaluator: Evaluator, call: Call, _number: int, frame: Frame) -> Iterator[Ref]:
    """Chainlit's `user_session.get("name")`: what any `set` of that name keeps for the user."""
    name = frame.view.text(call.arguments[0]) if call.arguments else None
    for path, scope, value in evaluator.program.session_values.get(name, ()) if name is not None else ():
        inside = evaluator.free_frame(path, scope) if scope else evaluator.module_frame(path)
        for ref in evaluator.evaluate(value, inside):
            yield ref if ref.shared else Ref(ref.value, "session")


_FUNCTIONS: Final[dict[str, Callable[[Evaluator, Call, int, Frame], Iterator[Ref]]]] = {
    "asyncio.create_task": _task,
    "asyncio.ensure_future": _task,
    "asyncio.run_coroutine_threadsafe": _task,
    "asyncio.gather": _gather,
    "asyncio.wait_for": _first,
    "asyncio.shield": _first,
    "asyncio.run": _run,
    "nest_asyncio.asyncio.run": _run,
    "anyio.run": _called,
    "asyncio.to_thread": _called,
    "anyio.to_thread.run_sync": _called,
    "starlette.concurrency.run_in_threadpool": _called,
    "fastapi.concurrency.run_in_threadpool": _called,
    "functools.partial": _first,
    "functools.wraps": _first,
    "copy.copy": _first,
    "typing.cast": _second,
    "builtins.iter": _first,
    "builtins.reversed": _first,
    "builtins.list": _container("list"),
    "builtins.sorted": _container("list"),
    "builtins.tuple": _container("list"),
    "builtins.set": _container("set"),
    "builtins.dict": _container("dict"),
    "builtins.enumerate": _container("list"),
    "collections.OrderedDict": _container("dict"),
    "collections.deque": _container("list"),
    "collections.defaultdict": _default_dict,
    "builtins.next": _next,
    "builtins.anext": _next,
    "builtins.getattr": _getattr,
    "builtins.super": _super,
    "fastapi.Depends": _dependency,
    "fastapi.Security": _dependency,
    "fastapi.params.Depends": _dependency,
    "chainlit.user_session.get": _session_get,
    "streamlit.session_state.get": _session_get,
}
"""Functions whose result is known from their arguments."""


def is_dependency(value: Value) -> bool:
    """Whether calling the value makes a default that a host works out anew for each request."""
    return isinstance(value, External) and _FUNCTIONS.get(value.name) is _dependency


# --- Methods of objects whose class is outside the project -----------------------------------------------------


def method_result(evaluator: Evaluator, method: Method, number: int, frame: Frame) -> Iterator[Ref]:
    """What calling a method gives."""
    call = frame.scope.calls[number]
    if method.cls.startswith("builtins."):
        yield from _container_method(evaluator, method, call, frame)
        return
    if method.cls == "asyncio.Task" and method.name == "result":
        value = method.receiver.value
        if isinstance(value, Task):
            yield from evaluator.awaited(value.of)
        return
    if method.cls.startswith("asyncio.") and method.name in {"create_task", "run_until_complete"}:
        yield from (_task if method.name == "create_task" else _run)(evaluator, call, number, frame)
        return
    if method.name in {"run_in_executor", "submit"}:
        yield from _executed(evaluator, call, method.name == "submit", frame)
        return
    entry = frameworks.lookup(method.cls)
    if isinstance(entry, frameworks.ClassEntry):
        known = entry.method(method.name)
        if known is not None:
            kind = known.kind
            if known.streams_when and _is_true(call, known.streams_when):
                kind = "stream"
            yield from _of_kind(evaluator, method, kind, known.returns, number, frame)


def _is_true(call: Call, keyword: str) -> bool:
    return any(
        name == keyword and isinstance(value, Constant) and value.value is True for name, value in call.keywords
    )


def _executed(evaluator: Evaluator, call: Call, is_submit: bool, frame: Frame) -> Iterator[Ref]:
    position = 0 if is_submit else 1
    if len(call.arguments) <= position:
        return
    results: list[Ref] = []
    for ref in evaluator.evaluate(call.arguments[position], frame):
        if isinstance(ref.value, FunctionObject):
            results += evaluator.awaited(tuple(evaluator.function_result(ref.value, None, frame)))
    yield Ref(evaluator.task(tuple(results)))


def _container_method(evaluator: Evaluator, method: Method, call: Call, frame: Frame) -> Iterator[Ref]:
    key = call.arguments[0] if call.arguments else None
    match method.name:
        case "get" | "pop" | "setdefault" | "popitem" | "popleft" | "get_nowait":
            yield from evaluator.elements((method.receiver,), key=key)
            if method.name != "popitem":
                for argument in call.arguments[1:2]:
                    yield from evaluator.evaluate(argument, frame)
        case "values" | "copy":
            yield Ref(method.receiver.value, method.receiver.lifetime, method.receiver.holder)
        case "items":
            pair = (Ref(evaluator.literal(None)), *evaluator.elements((method.receiver,)))
            if len(pair) > 1:
                rows = tuple(Ref(evaluator.container("tuple", (pair[0], one))) for one in pair[1:])
                yield Ref(evaluator.container("list", rows), method.receiver.lifetime, method.receiver.holder)
        case _:
            pass
