"""Where functions are registered with a framework, and in what context the framework then calls them.

Each row was looked up in the framework's source: whether a plain `def` runs on the event loop's thread, in a thread
pool or in a thread or process of its own decides what an `asyncio.run` or a shared agent in it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal, NamedTuple

How = Literal[
    "decorator",  # `@symbol` or `@symbol(...)`
    "argument",  # the function is handed to `symbol(...)`
    "subclass",  # a method of a class that inherits from `symbol`
    "name",  # a module-level function that a platform finds by its name
    "module",  # the module's own statements, when it imports `symbol`
    "class decorator",  # the methods of a class that `@symbol` decorates
]

HostKind = Literal[
    "request",  # once for each request of a user
    "session",  # once for each user's session or page
    "callback",  # on an event of a user's session, or of a program
    "task",  # a queue's or scheduler's job
    "startup",  # once, before or after everything else
    "tool",  # when a model asks for it, inside a run
    "thread",
    "script",  # the command line: one user, once
    "test",
]

Thread = Literal[
    "loop",  # on the thread of a running loop: asyncio.run fails, blocking stops everybody
    "threadpool",  # in a worker thread of a process whose loop runs elsewhere: no loop in this thread
    "own",  # no loop runs in the process, or none that matters
]

Async = Literal[
    "loop",  # on the framework's running loop
    "own loop",  # on a loop made for this call, closed after it: objects kept between calls meet another loop
    "never",  # the framework does not await it: the coroutine is dropped
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
    """One way to hand a function to a framework."""

    symbol: str
    """Dotted, as user code imports it; a method stands under its class (`fastapi.FastAPI.get`)."""
    how: How
    where: tuple[int | str, ...]
    """argument: positions (without self) and keywords of the function, which may stand in a list or dict there;
    subclass, class decorator: method names; name: function names; each may end in `*`."""
    context: Context


def by_symbol(qualified: str) -> tuple[Registration, ...]:
    """The rows for a decorator or a called function; `gradio.Button.click` finds the row `gradio.*.click`."""
    rows = _by_symbol().get(qualified)
    if rows is not None:
        return rows
    top, _, rest = qualified.partition(".")
    return _by_symbol().get(f"{top}.*.{rest.rpartition('.')[2]}", ()) if "." in rest else ()


@cache
def subclass_rows() -> tuple[Registration, ...]:
    """The rows for base classes; a symbol that starts with `*` is the end of a generated class's name."""
    return tuple(row for row in REGISTRATIONS if row.how == "subclass")


@cache
def name_rows() -> tuple[Registration, ...]:
    """The rows for functions that a platform finds by name; `symbol` names what the module must import, if anything."""
    return tuple(row for row in REGISTRATIONS if row.how == "name")


@cache
def module_rows() -> tuple[Registration, ...]:
    """The rows for modules that a host runs from top to bottom for each user."""
    return tuple(row for row in REGISTRATIONS if row.how == "module")


ROUTE_DECORATORS = frozenset(
    {"get", "post", "put", "delete", "patch", "head", "options", "route", "websocket", "api_route"}
)
UNKNOWN_WEB = Context("a web framework", "request", "threadpool")


def route_by_shape(method: str, first_argument: object) -> Context | None:
    """The context of `@anything.get("/path")` when nobody knows what `anything` is; None when it isn't that shape."""
    if method in ROUTE_DECORATORS and isinstance(first_argument, str) and first_argument.startswith("/"):
        return UNKNOWN_WEB
    return None


@cache
def _by_symbol() -> Mapping[str, tuple[Registration, ...]]:
    found: dict[str, tuple[Registration, ...]] = {}
    for row in REGISTRATIONS:
        if row.how not in ("subclass", "name", "module"):
            found[row.symbol] = (*found.get(row.symbol, ()), row)
    return found


from turnlane.checker.libraries.host_rows import REGISTRATIONS  # noqa: E402  the rows need the types above
