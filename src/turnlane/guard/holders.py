"""Who holds an object: asked of the garbage collector, seldom, only to be sure before something is reported."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Iterator
from typing import Any, Final

from turnlane.guard.objects import Watched, known
from turnlane.guard.stacks import is_users

DEPTH: Final = 3

_NO_HOLDERS: Final = (
    types.FrameType, types.FunctionType, types.CellType, types.CoroutineType, types.AsyncGeneratorType,
    types.GeneratorType, types.MethodType, types.ModuleType, type, Watched,
)  # fmt: skip


def kept_by_key(thing: object) -> bool:
    """Whether the program keeps `thing` as one of several of its kind in a mapping, such as sessions by their id.

    Costs about 10 ms for each level of holders in a program of ordinary size.
    """
    return any(_others_like(mapping, held) for mapping, held in _mappings(thing, DEPTH, set()))


def _mappings(thing: object, depth: int, seen: set[int]) -> Iterator[tuple[dict[Any, Any], object]]:
    """The mappings that hold `thing`, or a tuple, a list or an object of the user's that holds it."""
    if depth == 0 or id(thing) in seen:
        return
    seen.add(id(thing))
    for holder in gc.get_referrers(thing):
        if isinstance(holder, dict):
            owner = namespace_of(holder)
            if owner is None:
                yield holder, thing
            elif not isinstance(owner, types.ModuleType | type):
                yield from _mappings(owner, depth - 1, seen)
        elif isinstance(holder, tuple | list) or is_instance_of_users(holder):
            yield from _mappings(holder, depth - 1, seen)


def _others_like(mapping: dict[Any, Any], held: object) -> bool:
    place = _made(held)
    like = {  # each once: the names of a function's arguments may hold one object twice
        id(value): key
        for key, value in tuple(mapping.items())
        if type(value) is type(held) and _made(value) == place
    }
    keys = like.values()
    return len(like) > 1 and all(isinstance(key, str | int | tuple | bytes) or hasattr(key, "hex") for key in keys)


def _made(thing: object) -> object:
    watched = known(thing)
    return watched.made[:1] if watched is not None else None


def namespace_of(mapping: dict[Any, Any]) -> Any:
    """The object whose attributes these are; None for a mapping in its own right."""
    if "__name__" in mapping and "__builtins__" in mapping:
        return types.ModuleType(str(mapping["__name__"]))
    for holder in gc.get_referrers(mapping):
        if getattr(holder, "__dict__", None) is mapping:
            return holder
    return None


def is_instance_of_users(holder: object) -> bool:
    if isinstance(holder, _NO_HOLDERS):
        return False
    module = sys.modules.get(type(holder).__module__)
    return is_users(getattr(module, "__file__", None) or "<none>")
