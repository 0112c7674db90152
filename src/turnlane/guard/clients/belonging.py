"""A client belongs to the loop that used it first (TL112, TL103) and to its process (TL301, TL605)."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Mapping
from typing import Any, Final

from turnlane.guard import journals, loop_owners, objects, requests, runs, stacks
from turnlane.guard.journal import Sighting
from turnlane.guard.loop_owners import Owner
from turnlane.guard.meetings import with_stacks
from turnlane.guard.objects import Watched
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Stack

_IN_MEMORY: Final = ("ASGI", "WSGI", "Mock")
"""Transports without connections, by a part of their class's name."""
_PRE_FORK: Final = ("gunicorn.arbiter", "uwsgi")
"""Modules of servers that load the application before they fork only when they are told to."""
_FORKING_WORKERS: Final = ("celery", "rq")
"""Hosts whose workers fork from a process that has loaded the program."""


def install() -> None:
    """Listen to forks, and to runs of teams, which have queues of their own."""
    runs.beginning.append(_run_begins)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forked)


def _forked() -> None:
    # Known where the server's settings have been seen.
    if journals.where_is("preload") is None and any(name in sys.modules for name in _PRE_FORK):
        journals.note_where(preload=True)


def used(client: Any) -> None:
    """A client is about to send a request.

    Raises:
        HazardError: strict mode.
    """
    watched = objects.watch(client, "client")
    if watched.pid != os.getpid():
        _after_fork(client, watched)
    watched.notes.setdefault("used", os.getpid())
    loop = asyncio._get_running_loop()
    if loop is not None:
        _on_loop(client, watched, loop)


def _on_loop(client: Any, watched: Watched, loop: Any) -> None:
    if watched.loop is None:
        _first_loop(watched, loop)
        return
    first = watched.loop()
    if first is loop or "two loops" in watched.notes:
        return
    if not holds_connections(client):
        _first_loop(watched, loop)
        return
    watched.notes["two loops"] = True
    outer = outermost()
    if outer is not None and outer.notes.get("two loops"):
        return
    if outer is not None:
        outer.notes["two loops"] = True
    journals.report(
        second_loop(watched, label_of(watched), first, loop, outer.stack if outer else stacks.capture())
    )


def _first_loop(watched: Watched, loop: Any) -> None:
    watched.loop = weakref.ref(loop)
    watched.loop_thread = threading.current_thread().name
    outer = outermost()
    watched.loop_stack = outer.stack if outer is not None else stacks.capture()
    watched.notes["owner"] = loop_owners.owner_of(loop)


def _run_begins(run: Run) -> None:
    """A team has queues, which belong to the loop that it first ran on."""
    watched = run.watched
    if watched.role != "team" or run.loop is None:
        return
    if watched.loop is None:
        watched.loop, watched.loop_stack = weakref.ref(run.loop), run.stack
        watched.notes["owner"] = loop_owners.owner_of(run.loop)
    elif watched.loop() is not run.loop and "two loops" not in watched.notes:
        watched.notes["two loops"] = run.notes["two loops"] = True
        journals.report(second_loop(watched, run.label, watched.loop(), run.loop, run.stack))


def second_loop(watched: Watched, label: str, first: Any, loop: Any, stack: Stack) -> Sighting:
    """What is used on a second loop: while the first one is alive, or after it."""
    one: Owner | None = watched.notes.get("owner")
    other = loop_owners.owner_of(loop)
    at_once = first is not None and not first.is_closed() and first.is_running()
    code = "TL103" if _in_threads(one, other, at_once) else "TL112"
    when = "while the first one runs" if at_once else "and the first one is gone"
    request = requests.current.get()
    return Sighting(
        code=code,
        message=f"{label} was used on one event loop ({one.who if one else 'unknown thread'}) and is used on "
        f"another now ({other.who if other else 'this thread'}), {when}: its connections belong to the first.",
        stack=stack,
        stacks=with_stacks(
            ("used first here", watched.loop_stack),
            ("the first loop was started here", one.stack if one else ()),
            ("used here, on another loop", stack),
            ("the second loop was started here", other.stack if other else ()),
            ("made here", watched.made),
        ),
        object=label,
        request=request.id if request else None,
        conversation=request.conversation if request else None,
        place=stacks.place_of(stack),
    )


def _in_threads(one: Owner | None, other: Owner | None, at_once: bool) -> bool:
    """Whether loops of threads are the mistake, and not one `asyncio.run` after the other."""
    if one is None or other is None or (one.thread == other.thread and one.in_main_thread):
        return False
    if at_once and (one.in_main_thread or not (one.by_runner and other.by_runner)):
        return True
    # A private loop of a worker. A sync handler that calls `asyncio.run` is the other hazard.
    return not other.by_runner and not other.in_main_thread


def holds_connections(client: Any) -> bool:
    """Whether connections of an earlier loop are kept; True when nobody can say."""
    transport = getattr(client, "_transport", None)
    if any(part in type(transport).__name__ for part in _IN_MEMORY) or _has_one_for_each_loop(transport):
        return False
    found = []
    for one in (transport, *getattr(client, "_mounts", {}).values()):
        pool = getattr(one, "_pool", None)
        if one is not None:
            found.append(getattr(pool, "_connections", None))
    known = [connections for connections in found if connections is not None]
    return not known or any(known)


def _has_one_for_each_loop(transport: Any) -> bool:
    """Whether a transport of the program's own keeps another one for every loop."""
    held = getattr(transport, "__dict__", {}).values()
    return any(
        isinstance(value, weakref.WeakKeyDictionary)
        or (isinstance(value, Mapping) and any(isinstance(key, asyncio.AbstractEventLoop) for key in tuple(value)))
        for value in held
    )


def _after_fork(client: Any, watched: Watched) -> None:
    made_in, watched.pid = watched.pid, os.getpid()
    watched.loop = None
    preload = bool(journals.where_is("preload"))
    request = requests.current.get()
    by_server = preload or (request is not None and request.host in _FORKING_WORKERS)
    # A client that only blocks, and was not used, has nothing that could be shared yet. Under a server that forks
    # its workers that is luck: the first warm-up call changes it.
    idle = "used" not in watched.notes and not hasattr(client, "aclose")
    watched.notes.pop("used", None)
    if idle and not by_server:
        return
    label = label_of(watched)
    outer = outermost()
    here = outer.stack if outer is not None else stacks.capture()
    journals.report(
        Sighting(
            code="TL605" if preload else "TL301",
            message=f"{label} was made in process {made_in} before it forked, and is used in process "
            f"{os.getpid()}: both share {'what it opens before a fork' if idle else 'its connections'}.",
            stack=watched.made or here,
            stacks=with_stacks(("made here, before the fork", watched.made), ("used here, after it", here)),
            object=label,
            request=request.id if request else None,
            conversation=request.conversation if request else None,
        )
    )


def outermost() -> Run | None:
    """The run that the user's own code called."""
    run = runs.enclosing()
    if run is None:
        return None
    return (run, *run.ancestors())[-1]


def label_of(watched: Watched) -> str:
    """What the user made: `OpenAIChatCompletionClient`, not the HTTP client inside it."""
    name = watched.type.__name__
    for code, _ in watched.made:
        if stacks.is_users(code.co_filename):
            break
        owner, _, method = code.co_qualname.rpartition(".")
        if method == "__init__" and owner:
            name = owner.rpartition(".")[2]
    return f"client {name}" if "client" not in name.lower() else name
