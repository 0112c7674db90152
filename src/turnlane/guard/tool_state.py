"""The state outside a tool that its function changes: module globals, closure variables, attributes of its object.

Read from the function's bytecode, once per function: what it reads before it waits, what it changes, whether it
takes a lock. Only functions of the user's own are looked into, and what those call in the same module or object.
"""

from __future__ import annotations

import dis
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from turnlane.guard.stacks import is_users

DEPTH: Final = 3
MAX_ENTRIES: Final = 2000
"""Containers with more entries are not compared."""

WAITS: Final = frozenset({"SEND", "YIELD_VALUE", "YIELD_FROM"})
MUTATORS: Final = frozenset(
    {"append", "extend", "insert", "pop", "popitem", "remove", "clear", "update", "setdefault", "add", "discard"}
)
LOADS: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"})
STORES: Final = frozenset({"STORE_GLOBAL", "STORE_DEREF"})
LOCKS: Final = frozenset({"acquire", "acquire_nowait", "transaction", "begin"})


@dataclass(frozen=True, slots=True)
class Root:
    """One name outside a function that it may change.

    Attributes:
        name: for people: `stock`, `self.orders`.
        read: gives what it holds now.
        stale: whether it is read before the function waits or calls another, so that what is written may be old.
    """

    name: str
    identity: tuple[int, str]
    read: Callable[[], Any]
    stale: bool


def roots_of(function: Any) -> tuple[Root, ...]:
    """What `function` and those that it calls change outside themselves; empty when they take a lock."""
    found: dict[tuple[int, str], Root] = {}
    for target in _reached(function, DEPTH, set()):
        if _locks(target):
            return ()
        for root in _own_roots(target):
            before = found.get(root.identity)
            if before is None or root.stale:
                found[root.identity] = root
    return tuple(found.values())


def _reached(function: Any, depth: int, seen: set[int]) -> Iterator[Any]:
    """The function and the user's own functions that it calls."""
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    if code is None or id(code) in seen or depth == 0 or not is_users(code.co_filename):
        return
    seen.add(id(code))
    yield plain
    for called in _called(plain):
        yield from _reached(called, depth - 1, seen)


def _called(function: Any) -> Iterator[Any]:
    owner = getattr(function, "__self__", None)
    previous: Any = None
    for step in dis.get_instructions(function):
        if step.opname in LOADS:
            previous = _value(function, step)
            if isinstance(previous, types.FunctionType | types.MethodType):
                yield previous
        elif step.opname in ("LOAD_FAST", "LOAD_FAST_BORROW") and step.argval == "self":
            previous = owner
        elif step.opname in ("LOAD_METHOD", "LOAD_ATTR") and previous is not None:
            method = _static(previous, step.argval)
            if isinstance(method, types.FunctionType) and not isinstance(previous, type):
                yield types.MethodType(method, previous)
            previous = None
        else:
            previous = None


def _own_roots(function: Any) -> Iterator[Root]:
    """The names that one function reads and changes."""
    steps = list(dis.get_instructions(function))
    waits = [number for number, step in enumerate(steps) if step.opname in WAITS]
    calls = [number for number, step in enumerate(steps) if step.opname.startswith("CALL")]
    pauses = waits if waits else calls
    for key, (reads, writes) in _uses(function, steps).items():
        if not writes:
            continue
        name, read, identity = key[0], _reader(function, key), _identity(function, key)
        if read is None:
            continue
        first = min(reads, default=len(steps))
        stale = any(first < pause < max(writes) for pause in pauses)
        yield Root(name, identity, read, stale)


def _uses(function: Any, steps: list[dis.Instruction]) -> dict[tuple[str, str], tuple[list[int], list[int]]]:
    """Where a function reads and where it changes each name: by the name as it is shown, and its kind."""
    found: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
    for number, step in enumerate(steps):
        key = _key(function, steps, number)
        if key is None:
            continue
        reads, writes = found.setdefault(key, ([], []))
        if step.opname in STORES or step.opname == "STORE_ATTR":
            writes.append(number)
        else:
            what = _what_with(steps, number + (2 if key[1] == "self" else 1))
            (writes if what == "write" else reads).append(number)
            if what == "change":
                writes.append(number)
    return found


def _key(function: Any, steps: list[dis.Instruction], number: int) -> tuple[str, str] | None:
    step = steps[number]
    if step.opname in LOADS | STORES:
        kind = "cell" if "DEREF" in step.opname else "global"
        name = str(step.argval)
        if kind == "global" and not _is_state(function.__globals__.get(name), step.opname):
            return None
        return name, kind
    if (
        step.opname in ("LOAD_FAST", "LOAD_FAST_BORROW")
        and step.argval == "self"
        and hasattr(function, "__self__")
    ):
        after = steps[number + 1] if number + 1 < len(steps) else step
        if after.opname in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"):
            value = getattr(function.__self__, "__dict__", {}).get(after.argval)
            return (f"self.{after.argval}", "self") if _is_state(value, after.opname) else None
    return None


def _is_state(value: Any, opname: str) -> bool:
    if opname.startswith("STORE"):
        return True
    if isinstance(value, dict | list | set | bytearray):
        return True
    return isinstance(value, int | float | str | tuple | frozenset) and not isinstance(value, type)


def _what_with(steps: list[dis.Instruction], start: int) -> str:
    """What is done with a value that was just loaded: `read`, `write` an entry, or `change` it in place."""
    for step in steps[start : start + 6]:
        if step.opname in ("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_ATTR"):
            return "write"
        if step.opname in ("LOAD_METHOD", "LOAD_ATTR"):
            return "change" if step.argval in MUTATORS else "read"
        if step.opname == "COPY":  # value[key] += ...: read and written again
            return "change"
        if not step.opname.startswith(("LOAD_FAST", "LOAD_CONST", "LOAD_DEREF", "CACHE", "EXTENDED_ARG")):
            return "read"
    return "read"


def _reader(function: Any, key: tuple[str, str]) -> Callable[[], Any] | None:
    name, kind = key
    if kind == "global":
        namespace: Mapping[str, Any] = function.__globals__
        return lambda: namespace.get(name)
    if kind == "self":
        owner, attribute = function.__self__, name.removeprefix("self.")
        return lambda: getattr(owner, "__dict__", {}).get(attribute)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    cell = cells.get(name)
    return (lambda: cell.cell_contents) if cell is not None and _has_contents(cell) else None


def _has_contents(cell: Any) -> bool:
    try:
        value = cell.cell_contents
    except ValueError:
        return False
    return isinstance(value, dict | list | set | int | float | str | tuple)


def _identity(function: Any, key: tuple[str, str]) -> tuple[int, str]:
    name, kind = key
    if kind == "global":
        return id(function.__globals__), name
    if kind == "self":
        return id(function.__self__), name
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    return id(cells.get(name)), name


def _locks(function: Any) -> bool:
    """Whether a function takes a lock: `with` around something that is none of ours to judge, or `acquire`."""
    for step in dis.get_instructions(function):
        if step.opname in ("LOAD_METHOD", "LOAD_ATTR") and step.argval in LOCKS:
            return True
        if step.opname in ("BEFORE_WITH", "BEFORE_ASYNC_WITH", "SETUP_WITH", "SETUP_ASYNC_WITH"):
            return True
        if step.opname == "LOAD_SPECIAL" and "enter" in str(step.argrepr):
            return True
    return False


def _value(function: Any, step: dis.Instruction) -> Any:
    if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
        return function.__globals__.get(step.argval)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    try:
        return cells[step.argval].cell_contents
    except (KeyError, ValueError):
        return None


def _static(owner: Any, name: str) -> Any:
    try:
        return inspect.getattr_static(type(owner), name)
    except AttributeError:
        return None


def entries(value: Any) -> dict[Any, Any] | None:
    """What a value holds, entry by entry, to compare later; None when it is too large or of another kind."""
    try:
        if isinstance(value, dict):
            return {key: _mark(entry) for key, entry in value.items()} if len(value) <= MAX_ENTRIES else None
        if isinstance(value, list | set):
            return {"": (len(value), id(value))} if isinstance(value, set) else {"": len(value)}
        return {"": _mark(value)}
    except RuntimeError:  # changed by another thread meanwhile
        return None


def _mark(entry: Any) -> Any:
    if isinstance(entry, int | float | str | bytes | bool | None | tuple):
        return entry
    if isinstance(entry, list | set | dict):
        return type(entry).__name__, id(entry), len(entry)
    return id(entry)


def changed(before: dict[Any, Any] | None, after: dict[Any, Any] | None) -> set[Any]:
    """The entries that differ."""
    if before is None or after is None:
        return set()
    return {key for key in before.keys() | after.keys() if before.get(key, _ABSENT) != after.get(key, _ABSENT)}


_ABSENT: Final = object()
