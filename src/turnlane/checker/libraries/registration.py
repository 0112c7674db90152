"""The words of the host tables: how a function is registered, and the context in which a host then calls it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

How = Literal[
    "decorator",  # `@symbol` or `@symbol(...)`
    "argument",  # the function is handed to `symbol(...)`
    "subclass",  # a method of a class that inherits from `symbol`
    "class decorator",  # a method of a class that `@symbol` decorates
    "name",  # a module-level function that a platform finds by its name or parameters
    "module",  # the module's own statements, when it imports `symbol`
]

HostKind = Literal[
    "request",  # once for each request of a user
    "session",  # once for each user's session or page
    "callback",  # on an event of a user's session, or of a program
    "task",  # a queue's or scheduler's job
    "startup",  # once, before or after everything else
    "tool",  # when a model asks for it, inside a run
    "thread",  # in a thread of the program's own
    "script",  # the command line: one user, once
    "test",
]

Thread = Literal[
    "loop",  # on the thread of a running loop: asyncio.run fails, blocking stops everybody on it
    "threadpool",  # in a worker thread of a process whose loop runs elsewhere: no loop in this thread
    "own",  # no loop runs in the process, or none that matters
]

Async = Literal[
    "loop",  # on the host's running loop, the same one every time
    "own loop",  # on a loop that drives this call alone: what is kept between calls meets another loop
    "never",  # the host does not await it: the coroutine is dropped
]


class Context(NamedTuple):
    """Where and for whom a registered function runs."""

    host: str
    """The framework, as its users write it."""
    kind: HostKind
    sync: Thread
    """Where a plain `def` runs."""
    users: Literal["many", "one"] = "many"
    """Whether calls for different users meet in one process."""
    asynchronous: Async = "loop"
    """Where an `async def` runs."""


class Registration(NamedTuple):
    """One way to hand a function to a host."""

    symbol: str
    """Dotted, as user code imports it; a method stands under its class (`fastapi.FastAPI.get`)."""
    how: How
    where: tuple[int | str, ...]
    """argument: positions (without self) and keywords of the function, which may stand in a list or dict there.
    subclass, class decorator: method names. name: function names. module: methods of which one has to be called.
    A name may end in `*`."""
    context: Context
    parameters: tuple[str, ...] = ()
    """name: the parameters that the function has to begin with."""


def rows(context: Context, how: How, symbols: str | Iterable[str], where: str = "") -> list[Registration]:
    """One row for each symbol; texts are split at spaces, and digits in `where` are positions."""
    names = symbols.split() if isinstance(symbols, str) else symbols
    places = tuple(int(place) if place.isdigit() else place for place in where.split())
    return [Registration(name, how, places, context) for name in names]


def methods(classes: str, names: str) -> list[str]:
    """`Class.method` for each class with each method; texts are split at spaces."""
    return [f"{owner}.{name}" for owner in classes.split() for name in names.split()]
