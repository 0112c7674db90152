"""Whether a callback that held the loop did harm, or only seemed to: imports, debuggers, a busy machine, a script
alone."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import linecache
import os
import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from turnlane.guard import loop_owners, objects, requests, self_deadlock, stacks
from turnlane.guard.loop_owners import Owner
from turnlane.guard.stacks import Stack

if TYPE_CHECKING:
    from turnlane.guard.blocked import Block, Watch

COMPUTES: Final = 0.5
"""From this share of processor time on, a callback computes; below, it waits."""
BUSY: Final = 0.5
"""With this share of the looks missing, the watch itself had no time: the machine is busy."""

_DEBUGGERS: Final = re.compile(r"[/\\](?:pdb|bdb|ipdb|pudb)(?:\.py|[/\\])|debugpy|pydevd")
_TERMINAL: Final = re.compile(r"\binput\(|\bgetpass\(|\bsys\.stdin\.|\bPrompt\.ask\(")
_TERMINAL_FILES: Final = ("getpass.py", "readline.py")
_SETTING_UP: Final = ("create_default_context", "create_ssl_context", "load_default_certs")
"""What a new client costs is hazard TL302, where it is one."""
_LOADED_ONCE: Final = functools.cached_property.__get__.__code__
"""Until Python 3.12 all instances of a class wait here for the one that another thread prepares: the SDK loads its
parts so."""
_HANDS_OVER: Final = inspect.unwrap(ThreadPoolExecutor.submit).__code__
"""All pools of a process wait here while one of them begins a thread."""
_THREAD_START: Final = threading.Thread.start.__code__
_WAIT_OF_START: Final = 3
"""Frames of a thread's start, and of the event and the condition that it waits for."""
_STARTING: Final = re.compile(
    r"(?:LifespanOn|Lifespan)\.\w+$|Router\.(?:lifespan|startup|shutdown)$|merged_lifespan$|Config\.load$"
)
_FUTURES: Final = os.path.join("concurrent", "futures", "_base.py")
_OF_AGENTS: Final = re.compile(r"-packages[/\\](?:autogen\w*|ag2|agent_framework|openai|anthropic|httpx2?)[/\\]")
_AWAITED: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE

_ALONE: Final = ("ipython", "pytest", "celery", "streamlit", "lambda", "rq", "dramatiq")
"""Hosts that do one piece of work at a time in a thread."""

_computed: Counter[str] = Counter()


def harm(owner: Owner, block: Block, inside: Stack, watch: Watch) -> str | None:
    """What held the loop, as part of a sentence; None when it is no mistake of the program."""
    if excused(inside) or deadlocked(owner, inside) or not anybody_waits(owner):
        return None
    users = next((number for number, (code, _) in enumerate(inside) if stacks.is_users(code.co_filename)), None)
    if users is None and not any(_OF_AGENTS.search(code.co_filename) for code, _ in inside):
        return None  # a server keeps house
    if users is None and not stacks.has_users(owner.stack) and not _has_other_tasks(owner):
        return None  # a framework waits for the program in a loop that it runs for this alone
    seconds = block.seconds * (1 - block.ours / block.looks)
    if _share_of_cpu(block) >= COMPUTES:
        seconds *= block.cpu if block.cpu is not None else 1.0
        return _computes(inside, users, seconds, watch.threshold)
    seconds *= max(0.0, 1 - block.starved - (block.cpu or 0.0))
    if block.looks < BUSY * block.seconds / watch.pause:
        return None
    # A framework's own call, or one that may only wait for its turn among threads that compute.
    doubtful = users is None or block.others >= BUSY
    return "a call that waits" if seconds >= watch.threshold * (4 if doubtful else 1) else None


def _share_of_cpu(block: Block) -> float:
    """Of the time in which the machine let it."""
    if block.cpu is None:
        return 1.0 if block.moved > block.looks / 2 else 0.0
    return block.cpu / max(1 - block.starved, 0.01)


def _computes(inside: Stack, users: int | None, seconds: float, threshold: float) -> str | None:
    """A computation is the user's when the user called it; not what a framework does once, to warm up."""
    if seconds < threshold:
        return None
    by_framework = users is None or any(code.co_flags & _AWAITED for code, _ in inside[:users])
    if by_framework:
        place = str(stacks.place_of(inside))
        _computed[place] += 1
        if users is None or _computed[place] < 3 or seconds < 2 * threshold:
            return None
    return "a computation"


def excused(inside: Stack) -> bool:
    """Whether it imports, sets up a client, is debugged, asks at the terminal, starts or ends a server, or waits
    for a thread to begin, which only a busy machine makes long."""
    if not inside or inside[0][0] in (_LOADED_ONCE, _HANDS_OVER):
        return True
    if any(code is _THREAD_START for code, _ in inside[:_WAIT_OF_START]):
        return True
    for code, _ in inside:
        name = code.co_filename
        if name.startswith("<frozen importlib") or _DEBUGGERS.search(name) or code.co_name in _SETTING_UP:
            return True
        if _STARTING.search(code.co_qualname) and not stacks.is_users(name):
            return True
    if os.path.basename(inside[0][0].co_filename) in _TERMINAL_FILES:
        return True
    return any(
        _TERMINAL.search(linecache.getline(code.co_filename, line))
        for code, line in inside
        if stacks.is_users(code.co_filename)
    )


def deadlocked(owner: Owner, inside: Stack) -> bool:
    """Whether it waits for itself, which has been told."""
    return id(owner.loop()) in self_deadlock.deadlocked and any(
        code.co_name in ("result", "exception", "wait") and code.co_filename.endswith(_FUTURES)
        for code, _ in inside
    )


def anybody_waits(owner: Owner) -> bool:
    """Whether the loop has other work: a script's only task holds up nobody, nor does a notebook's cell, nor the
    only task of a loop that serves one request."""
    if _run_goes_on(owner):
        return True
    if loop_owners.in_notebook():
        return False
    if not owner.of_one_request and any(request.host not in _ALONE for request in tuple(requests.active)):
        return True
    return _has_other_tasks(owner)


def _has_other_tasks(owner: Owner) -> bool:
    loop = owner.loop()
    with contextlib.suppress(RuntimeError):  # the set of tasks changes while it is read
        return loop is not None and len(asyncio.all_tasks(loop)) > 1
    return True


def _run_goes_on(owner: Owner) -> bool:
    loop = owner.loop()
    return any(run.running and run.loop is loop for _, watched in objects.every() for run in tuple(watched.active))
