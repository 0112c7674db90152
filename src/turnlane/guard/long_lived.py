"""What a program keeps from one request to the next: lists and dicts of its modules, classes and objects.

Objects are asked by their type only: one that stands for another, such as Flask's `request`, would fetch that one.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import FrameType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, Final, NamedTuple

from turnlane.guard import stacks

LOOK_AGAIN: Final = 1.0
"""Seconds after which the program's modules are looked through again: they make new containers rarely."""

REST: Final = 300.0
"""The next look waits for so many times the CPU that this one took: a program may have many modules."""

MAX_ITEMS: Final = 60
MAX_TEXT: Final = 200_000

_CONTAINERS: Final = (list, deque, dict)
_PLAIN: Final = (str, bytes, int, float, bool, complex, type(None))
_NO_OWNER: Final = (*_PLAIN, ModuleType)


class Kept(NamedTuple):
    """Where a container is found again; the container itself is not held.

    Attributes:
        name: for people: `app.history`, `app.ChatService.history`.
        module: the module's name.
        steps: attributes from there.
        default: the position among a function's defaults; None for an attribute.
    """

    name: str
    module: str
    steps: tuple[str, ...]
    default: int | None = None

    def value(self) -> Any:
        """The container; None when it is gone."""
        found: Any = sys.modules.get(self.module)
        if len(self.steps) == 1 and self.default is None and type(found) is ModuleType:
            return found.__dict__.get(self.steps[0])
        for step in self.steps:
            found = _attribute(found, step)
        if self.default is not None:
            values = getattr(found, "__defaults__", None) or ()
            return values[self.default] if self.default < len(values) else None
        return found


class Captured(NamedTuple):
    """A container that a function on the stack has from the one that it was defined in.

    Attributes:
        name: for people: `history of create_app()`.
        held: the container.
    """

    name: str
    held: Any

    def value(self) -> Any:
        """The container."""
        return self.held


def captured(frames: Iterable[FrameType]) -> Iterator[Captured]:
    """The lists and dicts that the program's functions in these frames have captured."""
    for frame in frames:
        code = frame.f_code
        if code.co_freevars and stacks.is_users(code.co_filename):
            values = frame.f_locals
            outer = code.co_qualname.rpartition(".<locals>.")[0]
            for name in code.co_freevars:
                if _is_container(values.get(name)):
                    yield Captured(f"{name} of {outer}()", values[name])


_known: tuple[float, int, tuple[Kept, ...]] = (0.0, 0, ())
"""When to look again, the number of modules, and what was found."""


def containers() -> tuple[Kept, ...]:
    """The program's own lists and dicts that outlive a request."""
    global _known
    due, modules, found = _known
    if time.monotonic() > due or len(sys.modules) != modules:
        began = time.thread_time()
        found = tuple(_look())
        pause = max(LOOK_AGAIN, REST * (time.thread_time() - began))
        _known = (time.monotonic() + pause, len(sys.modules), found)
    return found


def forget() -> None:
    """Look anew. For tests."""
    global _known
    _known = (0.0, 0, ())


def _look() -> Iterator[Kept]:
    for name, module in tuple(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and isinstance(module, ModuleType) and stacks.is_users(file):
            yield from _of_module(name, module)


def _of_module(name: str, module: ModuleType) -> Iterator[Kept]:
    short = name.rpartition(".")[2]
    for key, value in tuple(vars(module).items()):
        if key.startswith("__") or _is(value, _NO_OWNER):
            continue
        if _is_container(value):
            yield Kept(f"{short}.{key}", name, (key,))
        elif _is(value, FunctionType) and value.__module__ == name:
            for number, default in enumerate(value.__defaults__ or ()):
                if _is_container(default):
                    yield Kept(f"a default of {short}.{key}()", name, (key,), number)
        else:
            yield from _of_object(f"{short}.{key}", name, key, value)


def _of_object(shown: str, module: str, key: str, value: Any) -> Iterator[Kept]:
    """Attributes of a class or object of the program, and what is kept in an application's `state`."""
    kind = value if _is(value, type) else type(value)
    state = _attribute(_attribute(value, "state"), "_state")
    if isinstance(state, dict):
        for name, held in tuple(state.items()):
            if _is_container(held):
                yield Kept(f"{shown}.state.{name}", module, (key, "state", "_state", name))
    if not stacks.is_users(getattr(sys.modules.get(kind.__module__), "__file__", None) or "<"):
        return
    for name, held in tuple({**_variables(kind), **_variables(value)}.items()):
        if not name.startswith("__") and _is_container(held):
            yield Kept(f"{shown}.{name}", module, (key, name))


def _variables(value: Any) -> Mapping[str, Any]:
    found = vars(value) if _is(value, type) else _own_variables(value)
    return found if _is(found, Mapping) else {}


def _own_variables(value: Any) -> Any:
    for kind in type(value).__mro__:
        found = vars(kind).get("__dict__")
        if found is not None:  # a property of that name answers for another object
            return found.__get__(value) if isinstance(found, GetSetDescriptorType | MemberDescriptorType) else None
    return None


def _is(value: Any, kinds: Any) -> bool:
    return issubclass(type(value), kinds)


def _attribute(value: Any, name: str) -> Any:
    """Without running a property of the program."""
    if _is(value, dict):
        return value.get(name)
    own = _variables(value)
    if name in own:
        return own[name]
    return _variables(type(value)).get(name) if value is not None and not _is(value, ModuleType) else None


def _is_container(value: Any) -> bool:
    return _is(value, _CONTAINERS)


def texts(value: Any, depth: int = 4) -> Iterator[str]:
    """The strings in a container and in the objects that it holds; of a long one the last items."""
    if _is(value, str):
        yield value
    elif depth == 0 or _is(value, _PLAIN):
        return
    elif _is(value, (*_CONTAINERS, tuple)):
        for item in last_items(value):
            yield from texts(item, depth - 1)
    elif not _is(value, (type, ModuleType, FunctionType)):
        for item in tuple(_variables(value).values()):
            yield from texts(item, depth - 1)


def last_items(value: Any) -> list[Any]:
    """What was put last into a container, in its order: a program's store may hold many thousands."""
    items: Iterable[Any] = value.values() if _is(value, dict) else value
    try:
        return list(islice(reversed(items), MAX_ITEMS))[::-1]  # type: ignore[call-overload]
    except RuntimeError:  # another thread is changing it
        return []


def joined(value: Any) -> str:
    """All of its strings, as one."""
    return "\0".join(texts(value))[-MAX_TEXT:]
