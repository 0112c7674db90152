"""Who holds an object: asked of the garbage collector, seldom, only to be sure before something is reported."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Iterator
from typing import Any, Final

from turnlane.guard.objects import Watched, known
from turnlane.guard.stacks import is_users
from turnlane.guard.thread_times import not_the_programs

DEPTH: Final = 3

_NO_HOLDERS: Final = (
    types.FrameType, types.FunctionType, types.CellType, types.CoroutineType, types.AsyncGeneratorType,
    types.GeneratorType, types.MethodType, types.ModuleType, type, Watched,
)  # fmt: skip


def keys_of(thing: object) -> list[object]:
    """By which keys the program keeps `thing` and others of its kind in a mapping, such as sessions by their id.

    Costs about 30 ms for each level of holders in a program of ordinary size.
    """
    found: list[object] = []
    with not_the_programs():
        for mapping, held in _mappings(thing):
            keys = _keys_of_like(mapping, held)
            if len(keys) > len(found):
                found = keys
            if len(found) > 1:
                break
    return found


def _mappings(thing: object) -> Iterator[tuple[dict[Any, Any], object]]:
    """The mappings that hold `thing`, or a tuple, a list or an object of the user's that holds it.

    All holders of one level are asked for at once: each question goes through every object of the process.
    """
    level: tuple[object, ...] = (thing,)
    seen = {id(thing)}
    for _ in range(DEPTH):
        before = level
        mappings, level = _holders(before, seen)
        held = {id(one): one for one in before}
        for mapping in mappings:
            yield from ((mapping, held[number]) for number in held.keys() & set(map(id, tuple(mapping.values()))))


def _holders(held: tuple[object, ...], seen: set[int]) -> tuple[tuple[dict[Any, Any], ...], tuple[object, ...]]:
    """Who holds one of these, and was not seen yet: mappings in their own right, and what may be held in turn."""
    found = [one for one in gc.get_referrers(*held) if one is not held and id(one) not in seen]
    seen.update(map(id, found))
    dicts = tuple(one for one in found if isinstance(one, dict) and not _is_module(one))
    owners = _owners(dicts)
    return (
        tuple(one for one in dicts if id(one) not in owners),
        (
            *(one for one in found if isinstance(one, tuple | list) or is_instance_of_users(one)),
            *(owner for owner in owners.values() if not isinstance(owner, types.ModuleType | type)),
        ),
    )


def _owners(mappings: tuple[dict[Any, Any], ...]) -> dict[int, object]:
    """Those whose attributes some of the mappings are, by the identity of the mapping."""
    wanted = {id(mapping) for mapping in mappings}
    return {
        id(attributes): holder
        for holder in gc.get_referrers(*mappings)
        if id(attributes := getattr(holder, "__dict__", None)) in wanted
    }


def _keys_of_like(mapping: dict[Any, Any], held: object) -> list[object]:
    place = _made(held)
    like = {  # each once: the names of a function's arguments may hold one object twice
        id(value): key
        for key, value in tuple(mapping.items())
        if type(value) is type(held) and _made(value) == place
    }
    keys = list(like.values())
    return keys if all(isinstance(key, str | int | tuple | bytes) or hasattr(key, "hex") for key in keys) else []


def _made(thing: object) -> object:
    watched = known(thing)
    return watched.made[:1] if watched is not None else None


def namespace_of(mapping: dict[Any, Any]) -> Any:
    """The object whose attributes these are; None for a mapping in its own right."""
    if _is_module(mapping):
        return types.ModuleType(str(mapping["__name__"]))
    return next(iter(_owners((mapping,)).values()), None)


def _is_module(mapping: dict[Any, Any]) -> bool:
    return "__name__" in mapping and "__builtins__" in mapping


def is_instance_of_users(holder: object) -> bool:
    """Whether it is an object of a class of the program's own."""
    if isinstance(holder, _NO_HOLDERS):
        return False
    module = sys.modules.get(type(holder).__module__)
    return is_users(getattr(module, "__file__", None) or "<none>")
