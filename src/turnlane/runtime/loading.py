"""Finds the app that a user's files make: `FILE.py`, `FILE.py:name`, `module`, `module:name`."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from turnlane.runtime.app import App, AppError
from turnlane.runtime.importing import import_file, import_module
from turnlane.runtime.limits import ProviderLimits
from turnlane.runtime.versions import check_versions

FRAMEWORKS: Final = ("autogen_agentchat", "autogen_core", "autogen_ext", "autogen", "ag2", "agent_framework")
"""Top packages whose classes are agents or teams."""

WAYS_TO_RUN: Final = ("run_stream", "on_messages", "initiate_chat")
"""An agent or team has one of these; a tool (which has `run`) and a model client have none."""

Functions = Mapping[str, Callable[..., Any]]


class Target(NamedTuple):
    """What to load: a file or a module, and optionally one name in it."""

    text: str
    place: str
    name: str | None

    @property
    def is_file(self) -> bool:
        return self.place.endswith(".py") or "/" in self.place or "\\" in self.place

    def load(self) -> types.ModuleType:
        """Raises AppError."""
        return import_file(self.place) if self.is_file else import_module(self.place)

    def commands(self, names: Mapping[str, object]) -> str:
        """What to type to serve one of `names`."""
        return " or ".join(f"turnlane serve {self.place}:{name}" for name in names)


def load_app(targets: Sequence[str]) -> App:
    """The app that the targets make together. To be called before anything is served; it may take seconds.

    A plain function becomes an agent of its own name; the agents of several targets are merged.

    Raises:
        AppError: nothing to serve was found, or it can't be loaded; says what to write or type instead.
    """
    if not targets:
        raise AppError("nothing to serve: give a file with an agent, as in  turnlane serve my_agents.py")
    check_versions()
    apps = [_find(parse_target(text)) for text in targets]
    return apps[0] if len(apps) == 1 else _merged(apps)


def parse_target(text: str) -> Target:
    """`PLACE:name` or `PLACE`."""
    place, _, name = text.rpartition(":")
    if place and name.isidentifier():
        return Target(text, place, name)
    return Target(text, text, None)


def _find(target: Target) -> App:
    module = target.load()
    if target.name is not None:
        return _named(target, module, target.name)
    apps = {name: value for name, value in vars(module).items() if isinstance(value, App)}
    if len(set(map(id, apps.values()))) == 1:
        return next(iter(apps.values()))
    if apps:
        raise AppError(f"{target.place} has several apps, name one: {target.commands(apps)}")
    return _from_functions(target, module)


def _named(target: Target, module: types.ModuleType, name: str) -> App:
    if not hasattr(module, name):
        raise AppError(_nothing_named(target, module, name))
    value = getattr(module, name)
    if isinstance(value, App):
        return value
    if _is_agent(value):
        raise AppError(_shared_agent(target, name, value))
    if _is_agent_class(value):
        raise AppError(
            f"{target.text} is the class {value.__name__}; write a function that makes one, and serve that:\n\n"
            f"    def {name.lower()}() -> {value.__name__}:\n        return {value.__name__}(...)"
        )
    if not callable(value):
        raise AppError(
            f"{target.text} is a {type(value).__name__}; "
            "it must be an App, or a function that returns an agent or team"
        )
    return _app_of({name: value})


def _from_functions(target: Target, module: types.ModuleType) -> App:
    functions = _public_functions(module)
    factories = _factories(functions)
    if factories:
        return _app_of(factories)
    for name, value in vars(module).items():
        if _is_agent(value):
            raise AppError(_shared_agent(target, name, value))
    candidates = {name: function for name, function in functions.items() if _may_be_a_factory(function)}
    if len(candidates) == 1:
        return _app_of(candidates)
    if not candidates:
        runs_itself = (
            "main() runs its agent itself; move the lines that make it into a function that returns it:"
            if "main" in functions
            else "write"
        )
        raise AppError(
            f"{target.place} has nothing to serve: no App, and no function that returns an agent or team; "
            f"{runs_itself}\n\n    def support() -> AssistantAgent:\n        return AssistantAgent(...)"
        )
    raise AppError(
        f"{target.place} has several functions, and none says that it returns an agent or team: "
        f"{target.commands(candidates)}; or annotate the one that returns the agent: def NAME() -> AssistantAgent:"
    )


def _factories(functions: Functions) -> Functions:
    """The functions that say that they return an agent or team; those with arguments only if there is no other."""
    factories = {name: function for name, function in functions.items() if _returns_agent(function)}
    plain = {name: function for name, function in factories.items() if not _takes_arguments(function)}
    return plain or factories


def _may_be_a_factory(function: Callable[..., Any]) -> bool:
    """Says nothing about what it returns, needs nothing, and is not a script's `main`."""
    silent = "return" not in function.__annotations__
    return silent and function.__name__ != "main" and not _takes_arguments(function)


def _app_of(factories: Functions) -> App:
    app = App()
    for name, factory in factories.items():
        app.add(factory, name=name)
    return app


def _merged(apps: Sequence[App]) -> App:
    distinct = list({id(app): app for app in apps}.values())
    with_resources = [app for app in distinct if app.resources is not None]
    if len(with_resources) > 1:
        raise AppError(
            "two of the targets have resources, and a process has one set: put their agents into one App"
        )
    merged = App(
        resources=with_resources[0].resources if with_resources else None, limits=_merged_limits(distinct)
    )
    for app in distinct:
        for name, spec in app.agents.items():
            if name in merged.agents:
                raise AppError(f"two of the targets have an agent {name!r}: rename one, or serve them separately")
            merged.agents[name] = spec
    return merged


def _merged_limits(apps: Sequence[App]) -> dict[str, ProviderLimits]:
    merged: dict[str, ProviderLimits] = {}
    for app in apps:
        for provider, limits in app.limits.items():
            if merged.setdefault(provider, limits) != limits:
                raise AppError(f"two of the targets have different limits for {provider!r}: give both the same")
    return merged


# --- what a module holds ---


def _public_functions(module: types.ModuleType) -> Functions:
    """The functions that are defined in the module itself, in the order of the file."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }


def _takes_arguments(function: Callable[..., Any]) -> bool:
    return any(
        p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in inspect.signature(function).parameters.values()
    )


def _returns_agent(function: Callable[..., Any]) -> bool:
    annotation = inspect.get_annotations(function).get("return")
    if isinstance(annotation, str):
        try:
            annotation = inspect.get_annotations(function, eval_str=True).get("return")
        except Exception:
            # A name that is imported for type checkers only: go by how it is written.
            return _reads_like_an_agent(str(annotation))
    return any(_is_agent_class(part) for part in _parts(annotation))


def _parts(annotation: Any) -> list[Any]:
    """The annotation itself, and what stands in its brackets: `Awaitable[Team]`, `Agent | Team`."""
    inner = [part for argument in getattr(annotation, "__args__", ()) for part in _parts(argument)]
    return [annotation, *inner]


def _reads_like_an_agent(annotation: str) -> bool:
    name = annotation.rstrip("]\"'").rpartition("[")[2].rpartition(".")[2]
    return name.endswith(("Agent", "Team", "GroupChat", "Swarm", "GraphFlow"))


def _is_agent_class(value: Any) -> bool:
    """Whether it is a class of a framework (or of the user, made from one) that can run."""
    if not isinstance(value, type):
        return False
    from_framework = any(base.__module__.partition(".")[0] in FRAMEWORKS for base in value.__mro__)
    return from_framework and any(hasattr(value, way) for way in WAYS_TO_RUN)


def _is_agent(value: Any) -> bool:
    return not isinstance(value, type) and _is_agent_class(type(value))


# --- what to say ---


def _nothing_named(target: Target, module: types.ModuleType, name: str) -> str:
    apps = {known: value for known, value in vars(module).items() if isinstance(value, App)}
    known = {**apps, **_public_functions(module)}
    there = f"; there is {target.commands(known)}" if known else ", and no other function or App either"
    return f"{target.place} has no {name!r}{there}"


def _shared_agent(target: Target, name: str, value: object) -> str:
    kind = type(value).__name__
    return (
        f"{name!r} in {target.place} is one {kind} object that all users would share, and they would read each "
        "other's text (TL201, see `turnlane explain TL201`). Put the lines that make it into a function:\n\n"
        f"    def make_{name}() -> {kind}:\n        return {kind}(...)  # what {name!r} is made of now\n\n"
        f"and serve that: turnlane serve {target.place}:make_{name}"
    )
