"""Classes and functions of the agent frameworks, as the published wheels define them.

The table is `frameworks.json`, written by `python -m turnlane.checker.libraries.generate`; an entry is built when
it is first asked for. Names are the dotted ones that user code imports: `autogen.AssistantAgent` and
`autogen.agentchat.assistant_agent.AssistantAgent` are the same class.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

DATA = Path(__file__).with_name("frameworks.json")

Kind = Literal["sync", "async", "stream", "property"]
"""`async`: gives an awaitable; `stream`: gives an async iterator without being awaited."""

Role = Literal[
    "agent",  # keeps a conversation: one object belongs to one conversation and one turn at a time (TL201, TL204)
    "user_proxy",  # an agent that asks a human, on stdin unless told otherwise: hangs a server (TL504)
    "team",  # keeps its members' conversations, refuses a second run at once; reset() does not repair it
    "group_chat",  # classic: the messages and speakers of one conversation; as an agent, but not run itself
    "manager",  # classic: the agent that runs a group_chat
    "workflow",  # agent_framework: keeps executor state between runs and refuses a second run at once
    "stateless_agent",  # keeps nothing between runs unless given a session: right to share
    "session",  # the state of one conversation: sharing one mixes users (TL203); the agent beside it may be shared
    "run",  # the handle of one started run; reading it to its end finishes the run
    "builder",  # makes a team or a workflow; holds its members, runs nothing
    "core_agent",  # autogen_core: made by a runtime for each agent id; never shared by hand
    "runtime",  # keys its agents by id: right to share inside one loop
    "context",  # the messages a model sees: one per agent and conversation (TL203)
    "memory",  # what agents remember: one per conversation or user, unless it is shared knowledge (TL203)
    "termination",  # counts one run: never in two teams (TL203)
    "cancellation_token",  # one per turn: a cancelled token stays cancelled
    "client",  # a model client: one per process and loop, made after the fork (TL112, TL301, TL302)
    "openai_client",  # the provider's SDK client: as a client
    "openai_resource",  # what `client.chat.completions` is: its `create` asks the model
    "http_client",  # a connection pool: one per process and loop (TL112, TL301, TL302)
    "tool",  # what a model calls: ready-made ones may be shared, their functions run inside a turn (TL4xx)
    "workbench",  # a set of tools, some with a session of their own to start and stop
    "team_manager",  # autogenstudio: makes a fresh team for each run, so it may be shared
]
"""What an object is to the rules."""

Family = Literal[
    "agentchat", "core", "ext", "classic", "ag2", "agent_framework", "openai", "httpx", "httpx2", "studio"
]
"""Which library a class belongs to, whatever the distribution that ships it: `autogen` is "classic" in all."""

_KINDS: Mapping[str, Kind] = {"s": "sync", "a": "async", "g": "stream", "p": "property"}


class Method(NamedTuple):
    """A method or property of a class."""

    name: str
    kind: Kind
    runs: bool
    """Calling it starts a model run, or asks the model."""
    streams_when: str = ""
    """A keyword argument that makes an `async` method a `stream` when it is true; empty: there is none."""
    async_twin: str = ""
    """The awaitable method that does the same: `a_initiate_chat` of `initiate_chat`."""
    returns: str = ""
    """The class of the table that the call (awaited, if async; one item, if a stream) gives; empty: none."""
    owner: bool = True
    """False for class and static methods, which need no object."""


class ClassEntry:
    """A class of a framework, with what it inherits from others of the table."""

    __slots__ = ("_raw_methods", "bases", "distribution", "family", "keeps_state", "name", "parameters", "role")

    def __init__(self, name: str, row: list[Any]) -> None:
        self.name: str = name
        """Where it is defined, dotted; not necessarily public."""
        self.distribution: str
        """As installed with pip; the newest one that has the class."""
        self.family: Family
        self.role: Role | None
        """None: only a base of others."""
        self.keeps_state: bool
        """Whether two conversations that use one object see each other."""
        self.bases: tuple[str, ...]
        """Those of the table, dotted."""
        self.parameters: tuple[str, ...]
        """Of the constructor, in order, without self; keyword-only ones after a "*", "**" for any others."""
        self._raw_methods: dict[str, str]
        self.distribution, self.family, self.role, state, bases, parameters, self._raw_methods = row
        self.keeps_state = bool(state)
        self.bases = tuple(bases)
        self.parameters = tuple(parameters)

    def __repr__(self) -> str:
        return f"<ClassEntry {self.name} {self.role}>"

    @property
    def methods(self) -> dict[str, Method]:
        """Its own public methods and those it inherits, by name."""
        found: dict[str, Method] = {}
        for entry in self.lineage():
            for name in entry._raw_methods:
                if name not in found:
                    found[name] = _method(name, entry._raw_methods[name], self)
        return found

    def method(self, name: str) -> Method | None:
        """The method `name`, its own or inherited; None when no class of the table defines it."""
        for entry in self.lineage():
            if (code := entry._raw_methods.get(name)) is not None:
                return _method(name, code, self)
        return None

    def lineage(self) -> Iterator[ClassEntry]:
        """Itself and its bases in the table, nearest first, each once."""
        seen: set[str] = set()
        waiting = [self.name]
        while waiting:
            name = waiting.pop(0)
            if name in seen:
                continue
            seen.add(name)
            entry = _lookup(name)
            if isinstance(entry, ClassEntry):
                yield entry
                waiting[:0] = entry.bases

    def is_a(self, name: str) -> bool:
        """Whether it is, or inherits from, the class that user code calls `name`."""
        other = lookup(name)
        return isinstance(other, ClassEntry) and any(entry is other for entry in self.lineage())

    @property
    def async_twin(self) -> str:
        """The class that does the same with awaitable methods: `openai.AsyncOpenAI` of `openai.OpenAI`."""
        package, _, name = self.name.rpartition(".")
        twin = f"{package}.Async{name}"
        return twin if _class(twin) is not None else ""


class FunctionEntry(NamedTuple):
    """A function of a framework that starts runs or makes objects of the table."""

    name: str
    distribution: str
    family: Family
    kind: Kind
    runs: bool
    async_twin: str
    returns: str
    parameters: tuple[str, ...]


def lookup(qualified: str) -> ClassEntry | FunctionEntry | None:
    """What user code means by a dotted name, such as `autogen_agentchat.agents.AssistantAgent`.

    A class method is not an entry of its own: look its class up and ask for `method`.
    """
    if not is_framework_module(qualified):
        return None
    return _lookup(qualified)


def is_framework_module(name: str) -> bool:
    """Whether a module belongs to one of the frameworks: `autogen_ext.anything`."""
    return name.partition(".")[0] in _data()["roots"]


def distributions() -> dict[str, list[str]]:
    """The releases that the table was made from, newest first, by distribution."""
    versions: dict[str, list[str]] = _data()["versions"]
    return versions


def class_names() -> list[str]:
    """Every class of the table, by the name it is defined under."""
    return list(_data()["classes"])


def public_names(name: str) -> list[str]:
    """The names that user code may import a class or function by, apart from where it is defined."""
    module, _, plain = name.rpartition(".")
    return [
        f"{package}.{alias}"
        for package, aliases in _data()["aliases"].items()
        for alias, target in aliases.items()
        if target in (module, name) and (target == name or alias == plain)
    ]


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(DATA.read_bytes())
    return data


@cache
def _lookup(qualified: str) -> ClassEntry | FunctionEntry | None:
    found = _defined(qualified)
    if found is not None:
        return found
    package, _, name = qualified.rpartition(".")
    target = _data()["aliases"].get(package, {}).get(name)
    if target is None:
        return None
    # An alias is kept as the module that defines the name, or, for another name, as the whole of it.
    return _defined(f"{target}.{name}") or _defined(target)


def _defined(name: str) -> ClassEntry | FunctionEntry | None:
    return _class(name) or _function(name)


@cache
def _class(name: str) -> ClassEntry | None:
    row = _data()["classes"].get(name)
    return None if row is None else ClassEntry(name, row)


@cache
def _function(name: str) -> FunctionEntry | None:
    row = _data()["functions"].get(name)
    if row is None:
        return None
    distribution, family, code, parameters = row
    method = _method(name, code, None)
    twin = f"{name.rpartition('.')[0]}.{method.async_twin}" if method.async_twin else ""
    return FunctionEntry(
        name, distribution, family, method.kind, method.runs, twin, method.returns, tuple(parameters)
    )


def _method(name: str, code: str, owner: ClassEntry | None) -> Method:
    """Read the compact form: kind letter, `!` runs, `c` needs no object, then ` ~twin`, ` ?keyword`, ` >class`."""
    head, *rest = code.split(" ")
    marks = {part[0]: part[1:] for part in rest}
    returns = marks.get(">", "")
    if returns == "Self" and owner is not None:
        returns = owner.name
    return Method(
        name,
        _KINDS[head[0]],
        "!" in head,
        marks.get("?", ""),
        marks.get("~", ""),
        returns,
        "c" not in head,
    )
