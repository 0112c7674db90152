"""Where functions are registered with a host, and in what context it calls them: the tables, by symbol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from turnlane.checker.libraries import frameworks
from turnlane.checker.libraries.host_tables import ALIASES, REGISTRATIONS
from turnlane.checker.libraries.registration import Async, Context, HostKind, How, Registration, Thread

__all__ = [
    "Async",
    "Context",
    "HostKind",
    "How",
    "Registration",
    "Thread",
    "by_base",
    "by_symbol",
    "module_rows",
    "name_rows",
    "route_by_shape",
    "subclass_rows",
]

_SYMBOLS = ("decorator", "argument", "class decorator")
_ROUTES = frozenset(
    ("get", "post", "put", "delete", "patch", "head", "options", "route", "websocket", "api_route")
)
_UNKNOWN_WEB = Context("a web framework", "request", "threadpool")


def by_symbol(qualified: str) -> tuple[Registration, ...]:
    """The rows for a function that is called or decorates, by any name that user code imports it by.

    `gradio.Button.click` finds the row `gradio.*.click`; methods of agent classes are found through their bases,
    so `autogen.AssistantAgent.register_for_llm` finds the row of `autogen.ConversableAgent`.
    """
    return _find(_canonical(qualified), _by_symbol())


def by_base(qualified: str) -> tuple[Registration, ...]:
    """The rows for a class that inherits directly from `qualified`: which of its methods the host calls."""
    found = _find(_canonical(qualified), _by_base())
    return found or tuple(
        row for row in subclass_rows() if row.symbol[0] == "*" and qualified.endswith(row.symbol[1:])
    )


@cache
def subclass_rows() -> tuple[Registration, ...]:
    """The rows for base classes; a symbol that starts with `*` is the end of a generated class's name."""
    return tuple(row for row in REGISTRATIONS if row.how == "subclass")


@cache
def name_rows() -> tuple[Registration, ...]:
    """The rows for functions that a platform finds by itself; `symbol`: what the module has to import, or `*`."""
    return tuple(row for row in REGISTRATIONS if row.how == "name")


@cache
def module_rows() -> tuple[Registration, ...]:
    """The rows for modules that a host runs from top to bottom for each user."""
    return tuple(row for row in REGISTRATIONS if row.how == "module")


def route_by_shape(method: str, first_argument: object) -> Context | None:
    """The context of `@anything.get("/path")` when `anything` is unknown; None when it has another shape."""
    if method in _ROUTES and isinstance(first_argument, str) and first_argument.startswith("/"):
        return _UNKNOWN_WEB
    return None


def _find(symbol: str, index: Mapping[str, tuple[Registration, ...]]) -> tuple[Registration, ...]:
    found = index.get(symbol)
    if found is not None:
        return found
    if frameworks.is_framework_module(symbol):
        return _find_framework(symbol)
    top, _, rest = symbol.partition(".")
    return index.get(f"{top}.*.{rest.rpartition('.')[2]}", ()) if "." in rest else ()


def _find_framework(symbol: str) -> tuple[Registration, ...]:
    """The rows for a class of a framework, or for a method of one, through the names it is defined under."""
    index = _by_definition()
    entry = frameworks.lookup(symbol)
    method = ""
    if entry is None:
        owner, _, method = symbol.rpartition(".")
        entry = frameworks.lookup(owner)
    if not isinstance(entry, frameworks.ClassEntry):
        return index.get(entry.name, ()) if entry is not None and not method else ()
    names = (base.name for base in entry.lineage())
    return next((index[key] for name in names if (key := f"{name}.{method}" if method else name) in index), ())


def _canonical(symbol: str) -> str:
    """The name that the tables use: the class or function part of `symbol` may be an alias."""
    if symbol in ALIASES:
        return ALIASES[symbol]
    owner, dot, method = symbol.rpartition(".")
    return f"{ALIASES.get(owner, owner)}{dot}{method}"


def _index(rows: Iterable[Registration]) -> dict[str, tuple[Registration, ...]]:
    found: dict[str, tuple[Registration, ...]] = {}
    for row in rows:
        found[row.symbol] = (*found.get(row.symbol, ()), row)
    return found


@cache
def _by_symbol() -> Mapping[str, tuple[Registration, ...]]:
    return _index(row for row in REGISTRATIONS if row.how in _SYMBOLS)


@cache
def _by_base() -> Mapping[str, tuple[Registration, ...]]:
    return _index(subclass_rows())


@cache
def _by_definition() -> Mapping[str, tuple[Registration, ...]]:
    """The rows of agent frameworks, by the name that each class or function is defined under."""
    found = {}
    for symbol, rows in _by_symbol().items():
        if not frameworks.is_framework_module(symbol):
            continue
        entry = frameworks.lookup(symbol)
        owner, _, method = symbol.rpartition(".")
        if entry is not None:
            found[entry.name] = rows
        elif (entry := frameworks.lookup(owner)) is not None:
            found[f"{entry.name}.{method}"] = rows
    return found
