"""The state outside a tool that its function changes: module globals, closure variables, attributes of objects.

Read from the function's bytecode: where it reads each of them, where it changes them, where it calls a function
that does. Only functions of the user's own are looked into.
"""

from __future__ import annotations

import dis
import inspect
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from turnlane.guard.stacks import is_users

DEPTH: Final = 3
MAX_ENTRIES: Final = 2000
"""Containers with more entries are not compared."""

MAX_INNER: Final = 50
MUTATORS: Final = frozenset(
    {"append", "extend", "insert", "pop", "popitem", "remove", "clear", "update", "setdefault", "add", "discard"}
)
LOADS: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"})
STORES: Final = frozenset({"STORE_GLOBAL", "STORE_DEREF"})
ATTRIBUTES: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
SELF: Final = frozenset({"LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_FAST_CHECK"})
OWN: Final = ("self", "cls")
PLAIN: Final = (
    *SELF,
    "LOAD_CONST",
    "LOAD_SMALL_INT",
    "LOAD_DEREF",
    "LOAD_GLOBAL",
    "LOAD_NAME",
    "LOAD_ATTR",
)

_TWO_IN_ONE: Final = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": ("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
}
"""Instructions of Python 3.13 and later, and those of Python 3.11 that do the same."""

Identity = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Root:
    """One place outside a function: its name for people, and what it holds now."""

    name: str
    identity: Identity
    read: Callable[[], Any]


@dataclass(slots=True)
class Use:
    """One point of a function's code where state is read or changed, by itself or by a helper that it calls."""

    offset: int
    line: int
    root: Root | None = None
    reads: bool = False
    helper: types.CodeType | None = None


@dataclass(slots=True)
class Plan:
    """What a function and its helpers do with the state outside them.

    Attributes:
        uses: by code, in the code's order.
        calls: by code, the offsets and lines at which it calls something.
        roots: what is changed somewhere.
    """

    uses: dict[types.CodeType, list[Use]] = field(default_factory=dict)
    calls: dict[types.CodeType, list[tuple[int, int]]] = field(default_factory=dict)
    roots: dict[Identity, Root] = field(default_factory=dict)

    def reads(self, code: types.CodeType, identity: Identity, depth: int = DEPTH) -> Iterator[int]:
        """The offsets in `code` where the state is read, by it or by a helper."""
        return self._offsets(code, identity, depth, reads=True)

    def writes(self, code: types.CodeType, identity: Identity, depth: int = DEPTH) -> Iterator[int]:
        """The offsets in `code` where the state is changed, by it or by a helper."""
        return self._offsets(code, identity, depth, reads=False)

    def _offsets(self, code: types.CodeType, identity: Identity, depth: int, *, reads: bool) -> Iterator[int]:
        for use in self.uses.get(code, ()):
            if use.root is not None and use.root.identity == identity and use.reads is reads:
                yield use.offset
            elif use.helper is not None and depth > 0:
                inner = self._offsets(use.helper, identity, depth - 1, reads=reads)
                if next(inner, None) is not None:
                    yield use.offset


def plan_of(function: Any) -> Plan | None:
    """What `function` changes outside itself; None when that is nothing."""
    plan = Plan()
    _look_into(function, plan, DEPTH)
    return plan if plan.roots else None


def takes_lock(plan: Plan) -> bool:
    """Whether a function of the plan takes a lock: a `with`, or a call of `acquire`."""
    return any(_locks(code) for code in plan.uses)


def _look_into(function: Any, plan: Plan, depth: int) -> types.CodeType | None:
    plain = inspect.unwrap(function)
    code: types.CodeType | None = getattr(plain, "__code__", None)
    if code is None or not is_users(code.co_filename) or depth == 0:
        return None
    if code in plan.uses:
        return code
    found = plan.uses.setdefault(code, [])
    steps = list(_steps(code))
    plan.calls[code] = [(step.offset, _line(step)) for step in steps if step.opname.startswith("CALL")]
    aliases: dict[str, Root] = {}
    for number, step in enumerate(steps):
        uses = _uses(plain, steps, number, step, plan, depth)
        if step.opname in SELF and step.argval in aliases:
            uses = _on_alias(aliases[step.argval], steps, number)
        for use in uses:
            found.append(use)
            if use.root is not None and (name := _aliased(steps, number)):
                aliases[name] = use.root
            if use.root is not None and not use.reads:
                plan.roots[use.root.identity] = use.root
    return code


def _steps(code: types.CodeType) -> Iterator[dis.Instruction]:
    """The instructions of a code, named as in Python 3.11."""
    for step in dis.get_instructions(code):
        if step.opname in _TWO_IN_ONE:
            for opname, argval in zip(_TWO_IN_ONE[step.opname], step.argval, strict=True):
                yield step._replace(opname=opname, argval=argval)
        elif step.opname == "BINARY_OP" and step.argrepr == "[]":  # Python 3.14
            yield step._replace(opname="BINARY_SUBSCR")
        else:
            yield step


_GETTING: Final = ("LOAD_METHOD", "BINARY_SUBSCR", "PRECALL", "CALL", "PUSH_NULL", "BUILD_MAP", "BUILD_LIST")


def _aliased(steps: list[dis.Instruction], number: int) -> str | None:
    """The local variable that an entry is given to: `record = stock[item]`, `record = stock.get(item)`."""
    for step in steps[number + 1 : number + 10]:
        if step.opname == "STORE_FAST":
            return str(step.argval)
        if step.opname not in (*PLAIN, *_GETTING):
            return None
    return None


def _on_alias(root: Root, steps: list[dis.Instruction], number: int) -> Iterator[Use]:
    """What is done with an entry by its local name; to hand it on, or to reckon with it, is no new reading."""
    for step in steps[number + 1 : number + 4]:
        if step.opname in ("BINARY_SUBSCR", "STORE_SUBSCR", "COPY") or step.argval in MUTATORS:
            yield from _worked_on(root, steps, number, number + 1)
            return
        if step.opname not in PLAIN:
            return


def _line(step: dis.Instruction) -> int:
    return (step.positions.lineno if step.positions is not None else None) or 0


def _uses(
    function: Any, steps: list[dis.Instruction], number: int, step: dis.Instruction, plan: Plan, depth: int
) -> Iterator[Use]:
    if step.opname in STORES:
        root = _named(function, str(step.argval))
        if root is not None:
            yield Use(step.offset, _line(step), root)
    elif step.opname == "STORE_ATTR":
        owner = _stored_on(function, steps, number)
        if owner is not None and _is_state(_held(owner[1], str(step.argval))):
            yield Use(step.offset, _line(step), _attribute(*owner, str(step.argval)))
    elif step.opname in LOADS or (step.opname in SELF and step.argval in OWN):
        yield from _loaded(function, steps, number, step, plan, depth)


def _loaded(
    function: Any, steps: list[dis.Instruction], number: int, step: dis.Instruction, plan: Plan, depth: int
) -> Iterator[Use]:
    name = str(step.argval)
    value = _receiver(function, step)
    if isinstance(value, types.FunctionType):
        yield from _helper(step, value, plan, depth)
    elif _is_state(value):
        root = _named(function, name)
        if root is not None:
            yield from _worked_on(root, steps, number, number + 1)
    elif _is_users_object(value):
        yield from _on_attributes(name, value, steps, number + 1, plan, depth)


def _on_attributes(
    name: str, owner: Any, steps: list[dis.Instruction], number: int, plan: Plan, depth: int
) -> Iterator[Use]:
    """What is done with `owner.a` or `owner.a.b`: a method of the user's is called, or state is worked on."""
    while number < len(steps) and steps[number].opname in ("COPY", "PUSH_NULL"):
        number += 1
    while number < len(steps) and steps[number].opname in ATTRIBUTES:
        attribute = str(steps[number].argval)
        held = _held(owner, attribute)
        if isinstance(held, types.FunctionType | classmethod | staticmethod):
            yield from _helper(steps[number], _bound(held, owner), plan, depth)
            return
        if _is_state(held):
            yield from _worked_on(_attribute(name, owner, attribute), steps, number, number + 1)
            return
        if not _is_users_object(held):
            return
        name, owner, number = f"{name}.{attribute}", held, number + 1


def _bound(method: Any, owner: Any) -> Any:
    """A method as it is called on `owner`."""
    if isinstance(method, types.FunctionType):
        return method if isinstance(owner, type) else types.MethodType(method, owner)
    if isinstance(method, classmethod):
        return types.MethodType(method.__func__, owner if isinstance(owner, type) else type(owner))
    return method.__func__


def _stored_on(function: Any, steps: list[dis.Instruction], number: int) -> tuple[str, Any] | None:
    """The object whose attribute is set, and its name: loaded just before, or copied first for `+=`."""
    before = number - 1
    if before >= 0 and steps[before].opname == "SWAP":
        copies = (index for index in range(before, 0, -1) if steps[index].opname == "COPY")
        before = next(copies, 0) - 1
    if before < 0:
        return None
    step, attributes = steps[before], []
    while step.opname in ATTRIBUTES and before > 0:
        attributes.append(str(step.argval))
        before -= 1
        step = steps[before]
    if step.opname not in LOADS and not (step.opname in SELF and step.argval in OWN):
        return None
    name, owner = str(step.argval), _receiver(function, step)
    for attribute in reversed(attributes):
        name, owner = f"{name}.{attribute}", _held(owner, attribute)
    return (name, owner) if _is_users_object(owner) else None


def _helper(step: dis.Instruction, function: Any, plan: Plan, depth: int) -> Iterator[Use]:
    code = _look_into(function, plan, depth - 1)
    if code is not None:
        yield Use(step.offset, _line(step), helper=code)


def _worked_on(root: Root, steps: list[dis.Instruction], number: int, start: int) -> Iterator[Use]:
    """What is done with a value that was just loaded: an entry is read, changed, or read and changed again."""
    offset, line = steps[number].offset, _line(steps[number])
    inner: int | None = None
    keys = 0
    for index in range(start, min(start + 8, len(steps))):
        step = steps[index]
        if step.opname in ("STORE_SUBSCR", "DELETE_SUBSCR"):
            if keys > 1:  # other[key] = value
                break
            yield Use(offset, line, root)
            return
        if step.opname == "BINARY_SUBSCR" and inner is None:  # stock[item]["pieces"]: of an entry
            inner, keys = index, 0
            continue
        keys += step.opname in PLAIN and step.opname not in ATTRIBUTES
        if step.opname in ATTRIBUTES:
            if index in (start, (inner or -2) + 1) and step.argval in MUTATORS:
                yield Use(offset, line, root)
                return
            if index == start:
                break
        elif step.opname == "COPY":  # value[key] += ...
            yield Use(offset, line, root, reads=True)
            stored = next((one for one in steps[index:] if one.opname in ("STORE_SUBSCR", "STORE_ATTR")), step)
            yield Use(stored.offset, _line(stored), root)
            return
        elif step.opname not in PLAIN:
            break
    yield Use(offset, line, root, reads=True)


def _self(function: Any) -> Any:
    return getattr(function, "__self__", None)


def _receiver(function: Any, step: dis.Instruction) -> Any:
    """What a step loads: the method's own object, a global, or a variable of an enclosing function."""
    return _self(function) if step.opname in SELF else _value(function, str(step.argval))


def _value(function: Any, name: str) -> Any:
    if name in function.__code__.co_freevars:
        cell = function.__closure__[function.__code__.co_freevars.index(name)]
        try:
            return cell.cell_contents
        except ValueError:
            return None
    return function.__globals__.get(name)


def _named(function: Any, name: str) -> Root | None:
    """A global, or a variable of an enclosing function."""
    if name in function.__code__.co_freevars:
        cell = function.__closure__[function.__code__.co_freevars.index(name)]
        return Root(name, (id(cell), name), lambda: cell.cell_contents)
    if name in function.__code__.co_cellvars:
        return None
    namespace = function.__globals__
    return Root(name, (id(namespace), name), lambda: namespace.get(name))


def _attribute(name: str, owner: Any, attribute: str) -> Root:
    """An attribute; a dict or list that a class holds is the same one for all of its objects."""
    if isinstance(_held(owner, attribute), dict | list | set) and attribute not in _variables(owner):
        holder = next(kind for kind in _kinds(owner) if attribute in vars(kind))
    else:
        holder = owner
    first, _, rest = name.partition(".")
    if first in OWN and not rest:
        name = (owner if isinstance(owner, type) else type(owner)).__name__
    return Root(f"{name}.{attribute}", (id(holder), attribute), lambda: _held(holder, attribute))


def _held(owner: Any, attribute: str) -> Any:
    """The value of an attribute, without running a property of the program."""
    own = _variables(owner)
    if attribute in own:
        return own[attribute]
    return next((vars(kind)[attribute] for kind in _kinds(owner) if attribute in vars(kind)), None)


def _variables(owner: Any) -> Any:
    return {} if isinstance(owner, type) else getattr(owner, "__dict__", {})


def _kinds(owner: Any) -> tuple[type, ...]:
    return (owner if isinstance(owner, type) else type(owner)).__mro__


def _is_state(value: Any) -> bool:
    return isinstance(value, dict | list | set | int | float | str | tuple | frozenset) and not isinstance(
        value, bool
    )


def _is_users_object(value: Any) -> bool:
    """Whether it is a class of the program or an object of one."""
    if value is None or isinstance(value, types.ModuleType | types.FunctionType):
        return False
    kind = value if isinstance(value, type) else type(value)
    return any(
        isinstance(one, types.FunctionType) and is_users(one.__code__.co_filename) for one in vars(kind).values()
    ) or is_users(getattr(_held(kind, "__init__"), "__code__", _NO_CODE).co_filename)


def _locks(code: types.CodeType) -> bool:
    for step in dis.get_instructions(code):
        if step.opname in ATTRIBUTES and step.argval in ("acquire", "transaction"):
            return True
        if step.opname in ("BEFORE_WITH", "BEFORE_ASYNC_WITH") or (
            step.opname == "LOAD_SPECIAL" and "enter" in str(step.argrepr)
        ):
            return True
    return False


def entries(value: Any) -> dict[Any, Any] | None:
    """What a value holds, entry by entry, to compare later; None when it is too large or just being changed."""
    try:
        if isinstance(value, dict):
            return {key: _mark(entry) for key, entry in value.items()} if len(value) <= MAX_ENTRIES else None
        return {"": len(value) if isinstance(value, list | set) else _mark(value)}
    except RuntimeError:
        return None


def _mark(entry: Any, depth: int = 1) -> Any:
    if isinstance(entry, int | float | str | bytes | None):
        return entry
    if isinstance(entry, dict) and depth:
        return id(entry), tuple((key, _mark(value, depth - 1)) for key, value in entry.items())[:MAX_INNER]
    if isinstance(entry, list | set | dict):
        return id(entry), len(entry)
    return id(entry)


def changed(before: dict[Any, Any] | None, after: dict[Any, Any] | None) -> set[Any]:
    """The entries that differ."""
    if before is None or after is None:
        return set()
    return {key for key in before.keys() | after.keys() if before.get(key, _ABSENT) != after.get(key, _ABSENT)}


_ABSENT: Final = object()
_NO_CODE: Final = compile("", "<none>", "exec")
