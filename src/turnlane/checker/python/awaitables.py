"""What a call gives that has to be awaited or read: a coroutine or a stream."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import Final, Literal, NamedTuple

from turnlane.checker.libraries.frameworks import ClassEntry, lookup
from turnlane.checker.python.facts import Attribute, Call, Expression, Name, Scope
from turnlane.checker.python.project import Project
from turnlane.checker.python.running import known_entry
from turnlane.checker.python.values import ClassObject, FunctionObject, Instance, Method, Ref, symbol_of

STANDARD: Final = frozenset(
    {
        "asyncio.sleep",
        "asyncio.wait_for",
        "asyncio.wait",
        "asyncio.to_thread",
        "asyncio.open_connection",
        "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
        "asyncio.Event.wait",
        "asyncio.Queue.put",
        "asyncio.Queue.get",
        "asyncio.Queue.join",
        "anyio.sleep",
        "anyio.to_thread.run_sync",
    }
)
"""Coroutine functions of the standard library and of anyio."""

TRANSPARENT: Final = frozenset({"staticmethod", "classmethod", "abstractmethod", "override", "wraps"})
"""Decorators that leave a function as it is: async, or not."""


class Awaitable(NamedTuple):
    """What has to be awaited or read before it is worth anything."""

    kind: Literal["async", "stream"]
    framework: bool
    """Whether a framework defines what is called, not the project."""


class Awaitables:
    """Answers for one project, each worked out once."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._of_functions: dict[FunctionObject, Awaitable | None] = {}

    def given_by(self, ref: Ref, call: Call) -> Awaitable | None:
        """What `call` of this value gives; None when it is neither a coroutine nor a stream, or may not be."""
        value = ref.value
        if isinstance(value, FunctionObject):
            if value not in self._of_functions:
                self._of_functions[value] = self._of_function(value)
            return self._of_functions[value]
        if symbol_of(ref) in STANDARD:
            return Awaitable("async", False)
        return _of_framework(ref, call)

    def _of_function(self, function: FunctionObject) -> Awaitable | None:
        scope = self._project.program[function.path].scopes[function.scope]
        if not scope.is_async or not is_plain(scope) or self.is_overridden(function, scope):
            return None
        return Awaitable("stream" if scope.is_generator else "async", False)

    def is_overridden(self, function: FunctionObject, scope: Scope) -> bool:
        """Whether a class above or below has a method of that name that is async where this one is not.

        Or the other way: which of them a call reaches is not sure then.
        """
        receiver = function.receiver
        if receiver is None or not (others := self._methods.get((scope.name, not scope.is_async))):
            return False
        evaluator = self._project.evaluator
        cls = receiver.value.cls if isinstance(receiver.value, Instance) else receiver.value
        above = evaluator.mro(cls) if isinstance(cls, ClassObject) else ()
        if any(isinstance(base, ClassObject) and (base.path, base.scope) in others for base in above):
            return True
        own = (function.path, scope.parent)
        return receiver.lifetime == "given" and any(
            isinstance(base, ClassObject) and (base.path, base.scope) == own
            for path, parent in others
            for base in evaluator.mro(evaluator.class_object(path, parent, None))
        )

    @cached_property
    def _methods(self) -> dict[tuple[str, bool], list[tuple[str, int]]]:
        """The classes that define a method, by its name and whether it is async."""
        found: dict[tuple[str, bool], list[tuple[str, int]]] = defaultdict(list)
        for path, view in self._project.program.modules.items():
            for scope in view.scopes:
                if scope.kind == "function" and view.scopes[scope.parent].kind == "class":
                    found[scope.name, scope.is_async].append((path, scope.parent))
        return found


def is_plain(scope: Scope) -> bool:
    """Whether no decorator changes what calling the function gives."""
    return all(_last_name(one) in TRANSPARENT for one in scope.decorators)


def _last_name(expression: Expression) -> str:
    if isinstance(expression, Name):
        return expression.id
    return expression.name if isinstance(expression, Attribute) else ""


def _of_framework(ref: Ref, call: Call) -> Awaitable | None:
    entry = known_entry(ref.value)
    if entry is None or (entry.kind != "async" and entry.kind != "stream"):
        return None
    when = getattr(entry, "streams_when", "")
    if when and any(name in {when, ""} for name, _ in call.keywords):
        return None
    if isinstance(ref.value, Method) and not _is_sure(ref.value, entry.runs and entry.kind == "async"):
        return None
    return Awaitable(entry.kind, True)


def _is_sure(method: Method, is_run: bool) -> bool:
    """Whether the method is a coroutine function or an async generator in all releases, and no less."""
    entry = lookup(method.cls)
    if not isinstance(entry, ClassEntry) or entry.role == "cancellation_token":  # it hands futures through
        return False
    # Its streams can be awaited, and its plain methods change from release to release.
    return is_run or entry.family != "agent_framework"
