"""Closes the model clients and workbenches that were made for one run only.

Whether somebody else holds one (a module, a cache, a closure of the factory) can't be read off it, so its
references are counted: when the run's stand-in was the last to refer to it, it is closed at once; else when the
last other holder lets go of it. One that is never let go of is shared by the process, and stays open.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from typing import Any

from autogen_core.tools import StaticWorkbench

from turnlane.runtime.agents import openai_client
from turnlane.runtime.agents.agentchat.model_client import BoundaryClient
from turnlane.runtime.agents.agentchat.tools import GuardedWorkbench

_OURS = 2
"""References that `close_own` itself holds: its variable, and the argument of `getrefcount`."""

_CLOSERS = ("close", "stop", "aclose")
"""How a model client, a workbench and an HTTP client are closed."""

_watched: dict[int, weakref.ref[Any]] = {}
_closing: set[asyncio.Task[None]] = set()


async def close_own(stand_ins: list[BoundaryClient | GuardedWorkbench]) -> None:
    """Close what the stand-ins stood for, each now or when nobody holds it any more. Never raises."""
    while stand_ins:
        thing: Any = stand_ins.pop().let_go()
        if isinstance(thing, StaticWorkbench):
            continue  # has nothing to close
        own_http = openai_client.http_client_of(thing)
        if isinstance(own_http, openai_client.SharedHttpClient):
            continue  # costs nothing to drop
        if own_http is not None:
            # Given by the user, perhaps to many clients: whoever closes the model client closes it for all.
            _close_when_dropped(own_http)
        elif sys.getrefcount(thing) <= _OURS:
            await _close(thing)
        else:
            _close_when_dropped(thing)


def _close_when_dropped(thing: Any) -> None:
    number = id(thing)
    if number in _watched and _watched[number]() is thing:
        return
    _watched[number] = weakref.ref(thing, lambda _: _watched.pop(number, None))
    twin = object.__new__(type(thing))
    twin.__dict__.update(thing.__dict__)
    loop = asyncio.get_running_loop()

    def dropped() -> None:
        # The garbage collector may run in any thread, and after the loop has ended.
        if not loop.is_closed():
            loop.call_soon_threadsafe(_start_closing, twin)

    weakref.finalize(thing, dropped).atexit = False


def _start_closing(thing: Any) -> None:
    task = asyncio.get_running_loop().create_task(_close(thing))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _close(thing: Any) -> None:
    closer = next((getattr(thing, name) for name in _CLOSERS if hasattr(thing, name)), None)
    if closer is None:
        return
    try:
        await closer()
    except Exception:
        return  # it is being thrown away; its complaints help nobody
