"""The changes that `turnlane probe` makes inside the program, to see whether a failure vanishes with them.

`fresh-agents`: each request runs agents and teams of its own, made anew like the ones that it would have shared.
`fresh-contexts`: each request's agents and teams work on model contexts, memories and termination conditions of
its own, where they would have worked on shared ones. What a request made itself stays as it is.
"""

from __future__ import annotations

import copy
from collections import defaultdict, deque
from types import ModuleType
from typing import Any, Final

from turnlane.guard import journals, objects, patching, requests
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import watch_construction
from turnlane.guard.requests import Request
from turnlane.guard.stacks import is_users

FRESH_AGENTS: Final = "fresh-agents"
FRESH_CONTEXTS: Final = "fresh-contexts"

RUNNING: Final = ("agent", "team")
WORKED_ON: Final = ("context", "memory", "termination", "session")
_NOTE: Final = "stand-ins"
_CONTAINERS: Final = (list, dict, set, deque, defaultdict)


def install() -> None:
    """Make the change that the settings name; nothing in a program that is only watched."""
    change = journals.settings().experiment
    if change is None:
        return
    when_imported("autogen_core.model_context._chat_completion_context", _contexts)
    when_imported("autogen_core.memory._base_memory", _memories)
    if change == FRESH_AGENTS:
        patching.stand_in = stand_in
    elif change == FRESH_CONTEXTS:
        patching.stand_in = with_own_parts


def uninstall() -> None:
    """Leave the program as it is again."""
    patching.stand_in = None


def _contexts(module: ModuleType) -> None:
    watch_construction(module.ChatCompletionContext, "context")


def _memories(module: ModuleType) -> None:
    watch_construction(module.Memory, "memory")


def stand_in(thing: Any) -> Any:
    """What the present request runs in the place of `thing`: itself, if the request made it or it is no agent."""
    request, watched = requests.current.get(), objects.known(thing)
    if request is None or watched is None or watched.request is request or watched.role not in RUNNING:
        return thing
    try:
        return _made_anew(thing, _stand_ins(request))
    except Exception as error:  # it cannot be made like that: the experiment shows nothing then
        journals.trouble(f"experiment with {watched.type.__name__}", error)
        return thing


def with_own_parts(thing: Any) -> Any:
    """`thing`, with what it works on replaced by the present request's own, where the user's code shares it."""
    request, watched = requests.current.get(), objects.known(thing)
    if request is None or watched is None or watched.role not in RUNNING:
        return thing
    try:
        made = _stand_ins(request)
        for name, value in list(vars(thing).items()):
            parts = value if type(value) is list else [value]
            own = [_own(part, request, made) for part in parts]
            if any(new is not part for new, part in zip(own, parts, strict=True)):
                setattr(thing, name, own if type(value) is list else own[0])
    except Exception as error:
        journals.trouble(f"experiment with {watched.type.__name__}", error)
    return thing


def _own(part: Any, request: Request, made: dict[int, tuple[Any, Any]]) -> Any:
    watched = objects.known(part)
    if watched is None or watched.role not in WORKED_ON or watched.request is request:
        return part
    # What a framework makes for each of its agents is the agent's, not something that the user's code shares. No
    # framework makes termination conditions, but for those that `a | b` puts together.
    by_user = bool(watched.made) and is_users(watched.made[0][0].co_filename)
    if not by_user and watched.role != "termination":
        return part
    return _made_anew(part, made)


def _stand_ins(request: Request) -> dict[int, tuple[Any, Any]]:
    """What was made for this request, by the identity of the original, which is held so that it stays its own."""
    made: dict[int, tuple[Any, Any]] = request.notes.setdefault(_NOTE, {})
    return made


def _made_anew(thing: Any, made: dict[int, tuple[Any, Any]]) -> Any:
    """An object like `thing` when it was new, with parts that are new as well. Clients and tools stay the same."""
    known = made.get(id(thing))
    if known is not None:
        return known[1]
    watched = objects.known(thing)
    if watched is None or watched.role not in (*RUNNING, *WORKED_ON):
        return _container(thing, made) if type(thing) in (list, tuple) else thing
    if hasattr(thing, "register_reply"):
        return _copied(thing, made)
    if watched.arguments is None:
        return thing
    args, kwargs = watched.arguments
    fresh = watched.type(
        *(_made_anew(arg, made) for arg in args), **{name: _made_anew(arg, made) for name, arg in kwargs.items()}
    )
    made[id(thing)] = (thing, fresh)
    return fresh


def _container(parts: Any, made: dict[int, tuple[Any, Any]]) -> Any:
    return type(parts)(_made_anew(part, made) for part in parts)


def _copied(thing: Any, made: dict[int, tuple[Any, Any]]) -> Any:
    """A classic agent gets its tools after its construction: a copy keeps them, without the messages."""
    fresh = copy.copy(thing)
    made[id(thing)] = (thing, fresh)
    for name, value in vars(thing).items():
        if type(value) in _CONTAINERS:
            setattr(fresh, name, copy.copy(value))
    if hasattr(thing, "_oai_messages"):
        fresh._oai_messages = defaultdict(list)
    objects.watch(fresh, "agent").request = requests.current.get()
    return fresh
