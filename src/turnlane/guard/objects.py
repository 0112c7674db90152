"""What the guard knows about one object of a framework: where it was made, by whom, and who uses it now."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from typing import Any, Final, Literal

from turnlane.guard import locks, requests, stacks
from turnlane.guard.stacks import NO_STACK, Stack

Role = Literal["agent", "team", "chat", "context", "memory", "termination", "session", "client", "tool"]

TITLES: Final[dict[str, str]] = {
    "agent": "agent",
    "team": "team",
    "chat": "chat",
    "context": "model context",
    "memory": "memory",
    "termination": "termination condition",
    "session": "session",
    "client": "client",
    "tool": "tool",
}


class _Ref(weakref.ref[Any]):
    """One that knows whose place in the table is free when its object is gone."""

    __slots__ = ("identity",)
    identity: int


class Watched:
    """One object of a framework. Kept beside the object, never in it: users copy and pickle their objects.

    Attributes:
        role: what it is.
        made: the stack of its construction.
        arguments: what it was constructed with, to make another like it; only kept for experiments, since a tool
            that holds its own agent would keep it alive through them.
        pid: the process it was made in.
        request: whose work made it; None at import, in a script, or when it was made before the guard came.
        loop: the loop it was first used in.
        active: the runs that are in it now.
        last: the run that ended last.
        label: what people call it, where its type and name do not say it.
        dirty: whether runs have left state in it that nobody has reset or replaced since.
    """

    __slots__ = (
        "active", "arguments", "dirty", "label", "last", "loop", "loop_stack", "loop_thread", "made", "made_with",
        "notes", "pid", "ref", "request", "role", "thread", "type",
    )  # fmt: skip

    def __init__(self, thing: object, role: Role) -> None:
        self.role: Role = role
        self.type = type(thing)
        try:
            self.ref: _Ref | None = _Ref(thing, _gone)
            self.ref.identity = id(thing)
        except TypeError:
            self.ref = None
        self.made: Stack = NO_STACK
        self.arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.pid = os.getpid()
        self.thread = threading.current_thread().name
        self.request: requests.Request | None = None
        self.loop: weakref.ref[asyncio.AbstractEventLoop] | None = None
        self.loop_stack: Stack = NO_STACK
        self.loop_thread = ""
        self.active: list[Any] = []
        self.last: Any = None
        self.dirty = False
        self.notes: dict[str, Any] = {}
        self.label = ""

    def name(self, thing: object) -> str:
        """For people: `AssistantAgent 'support'`."""
        if self.label:
            return self.label
        own = getattr(thing, "name", None) or getattr(thing, "_name", None)
        kind = self.type.__name__
        return f"{kind} {own!r}" if isinstance(own, str) else kind


keep_arguments = False
"""Set by `install` when an experiment needs them."""

_known: dict[int, Watched] = {}
_lock = locks.free_after_fork()


def known(thing: object) -> Watched | None:
    """What is known of `thing`, or None if it was never seen."""
    watched = _known.get(id(thing))
    return watched if watched is not None and watched.ref is not None and watched.ref() is thing else None


def _gone(ref: _Ref) -> None:
    # Not under the lock: a collection may happen while it is held.
    watched = _known.get(ref.identity)
    if watched is not None and watched.ref is ref:
        _known.pop(ref.identity, None)
        watched.last = None  # which knows its object: nobody but the garbage collector would free the two


def watch(thing: object, role: Role) -> Watched:
    """What is known of `thing`, from now on if nothing was."""
    found = known(thing)
    if found is not None:
        return found
    watched = Watched(thing, role)
    if watched.ref is None:  # nobody would tell that it is gone, and its identity may be used again
        return watched
    with _lock:
        found = known(thing)  # another thread may have been faster
        if found is None:
            _known[watched.ref.identity] = watched
    return found or watched


def made(thing: object, role: Role, args: tuple[Any, ...], kwargs: dict[str, Any], *, skip: int = 2) -> Watched:
    """Note the construction of `thing`, whose caller is `skip` frames up."""
    watched = watch(thing, role)
    watched.made = stacks.capture_near(skip)
    if keep_arguments:
        watched.arguments = (args, kwargs)
    watched.request = requests.current.get()
    return watched


def every(role: Role | None = None) -> list[tuple[Any, Watched]]:
    """Every object that is alive, with what is known of it."""
    found = []
    for watched in tuple(_known.values()):
        thing = watched.ref() if watched.ref is not None else None
        if thing is not None and (role is None or watched.role == role):
            found.append((thing, watched))
    return found


def forked() -> None:
    """In a child after a fork: runs of the parent's threads are not in this process."""
    for watched in tuple(_known.values()):  # what a run held may be collected with it
        watched.active.clear()
