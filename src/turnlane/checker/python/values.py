"""What an expression can stand for: objects of the checked program, and for how long and for whom each lives.

Values are compared by identity; `Evaluator` makes each only once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from turnlane.checker.python.frames import Frame

Lifetime = Literal[
    "fresh",  # made in this run of this function
    "given",  # a parameter whose callers are not known
    "keyed",  # one of many, found by a key that is not a constant: `agents[session_id]`
    "session",  # kept for one user by the host: `st.session_state`, `cl.user_session`
    "module",
    "class",
    "default",  # a parameter's default value
    "closure",  # a variable of the function that made the handler: an app factory
    "cached",  # the result of a function under `lru_cache`, `st.cache_resource`
    "app",  # an attribute of the application object: `app.state.agent`
]
"""Who holds an object. From "module" on, all calls share it."""

SHARED: frozenset[Lifetime] = frozenset({"module", "class", "default", "closure", "cached", "app"})


class Holder(NamedTuple):
    """The variable through which a shared object is reached."""

    kind: Lifetime
    name: str
    """As a user would say it: `agent`, `app.state.agent`, `Service.agent`, `get_agent()`."""
    path: str
    line: int
    """Where it is defined."""
    reader: tuple[str, int]
    """Path and scope of the function that reads it."""
    root: str
    """The plain name that is read there: the first part of `name`."""


class Ref(NamedTuple):
    """A value as one expression reaches it."""

    value: Value
    lifetime: Lifetime = "fresh"
    holder: Holder | None = None

    @property
    def shared(self) -> bool:
        """True when every run of the expression gives the same object."""
        return self.lifetime in SHARED


class Value:
    """Base of all values."""

    __slots__ = ()


class External(Value):
    """A name outside the project: a module, class, function or attribute, with its full dotted name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"External({self.name})"


class ModuleObject(Value):
    """A module or package of the project; `path` is None for a folder without `__init__.py`."""

    __slots__ = ("dotted", "importer", "path")

    def __init__(self, dotted: str, importer: str, path: str | None) -> None:
        self.dotted = dotted
        self.importer = importer
        self.path = path


class FunctionObject(Value):
    """A function, method or lambda of the project, with the object it is bound to and what it closes over."""

    __slots__ = ("closure", "path", "receiver", "scope")

    def __init__(self, path: str, scope: int, receiver: Ref | None, closure: Frame | None) -> None:
        self.path = path
        self.scope = scope
        self.receiver = receiver
        self.closure = closure

    def __repr__(self) -> str:
        return f"FunctionObject({self.path}:{self.scope})"


class ClassObject(Value):
    """A class of the project."""

    __slots__ = ("closure", "path", "scope")

    def __init__(self, path: str, scope: int, closure: Frame | None) -> None:
        self.path = path
        self.scope = scope
        self.closure = closure

    def __repr__(self) -> str:
        return f"ClassObject({self.path}:{self.scope})"


class Instance(Value):
    """An object: its class, and the call that made it. `call` is -1 where only its type is known."""

    __slots__ = ("call", "cls", "frame")

    def __init__(self, cls: ClassObject | External, frame: Frame | None, call: int) -> None:
        self.cls = cls
        self.frame = frame
        self.call = call

    def __repr__(self) -> str:
        return f"Instance({self.cls!r}, {self.call})"


class Method(Value):
    """A method of an object whose class is outside the project, or inherited from such a class."""

    __slots__ = ("cls", "name", "receiver")

    def __init__(self, receiver: Ref, cls: str, name: str) -> None:
        self.receiver = receiver
        self.cls = cls
        self.name = name

    @property
    def symbol(self) -> str:
        """`autogen_agentchat.agents.AssistantAgent.run`"""
        return f"{self.cls}.{self.name}"

    def __repr__(self) -> str:
        return f"Method({self.symbol})"


class Container(Value):
    """A list, tuple, set or dict, or anything that is iterated like one."""

    __slots__ = ("items", "kind", "store")

    def __init__(self, kind: str, items: tuple[Ref, ...], store: tuple[object, ...] | None) -> None:
        self.kind = kind
        self.items = items
        self.store = store
        """The variable that holds it: what is put in later is found by it."""


class Coroutine(Value):
    """What calling an async function gives: nothing has run yet."""

    __slots__ = ("results", "what")

    def __init__(self, what: Value, results: tuple[Ref, ...]) -> None:
        self.what = what
        """The function or method."""
        self.results = results


class Stream(Value):
    """What calling an async generator gives."""

    __slots__ = ("results", "what")

    def __init__(self, what: Value, results: tuple[Ref, ...]) -> None:
        self.what = what
        self.results = results


class Task(Value):
    """A running task or future: the value it wraps."""

    __slots__ = ("of",)

    def __init__(self, of: tuple[Ref, ...]) -> None:
        self.of = of


class LiteralValue(Value):
    """A constant: only what decides branches and keys."""

    __slots__ = ("value",)

    def __init__(self, value: str | int | float | bool | None) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"LiteralValue({self.value!r})"


Refs = tuple[Ref, ...]

MOST_VALUES: Final = 12
"""Values of one expression that are followed; more are dropped."""


def merged(refs: Iterable[Ref]) -> Refs:
    """Values, each once, in order, and not more than are worth following."""
    if type(refs) is tuple and len(refs) < 2:
        return refs
    found: dict[Ref, None] = {}
    for ref in refs:
        found.setdefault(ref)
        if len(found) >= MOST_VALUES:
            break
    return tuple(found)


def held(item: Ref, holder: Ref, attribute: str = "") -> Ref:
    """A part of something: it lives at least as long as what holds it."""
    if item.shared or not holder.shared:
        if holder.lifetime in {"keyed", "session"} and item.lifetime in {"fresh", "given"}:
            return Ref(item.value, holder.lifetime)
        return item
    kept = holder.holder
    if kept is not None and attribute:
        kept = kept._replace(name=f"{kept.name}.{attribute}")
    return Ref(item.value, holder.lifetime, kept)


def is_object(value: Value) -> bool:
    """Whether it matters who else holds the value."""
    return isinstance(value, Instance | Container | Coroutine | Stream | Task)


def symbol_of(ref: Ref) -> str:
    """The dotted name of something outside the project; empty for what the project defines."""
    match ref.value:
        case External(name=name):
            return name
        case Method() as method:
            return method.symbol
        case _:
            return ""
