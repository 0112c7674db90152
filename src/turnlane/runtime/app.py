"""What a user declares: named agents (factories), their settings, and resources of the process."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from turnlane.runtime.conversation import WhenBusy
from turnlane.runtime.limits import ProviderLimits

Factory: TypeAlias = Callable[..., Any]
"""Makes a fresh agent or team. Its parameters are names of resources. May be async."""

ResourcesFactory: TypeAlias = Callable[[], AbstractAsyncContextManager[Any]]

F = TypeVar("F", bound=Factory)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class AppError(Exception):
    """The app's file is not right. The message says what, where and what to write instead."""


class AgentSettings(BaseModel):
    """Settings of one agent. Times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deadline: float | None = Field(
        default=300.0, gt=0, description="Seconds an attempt may take, tools included. None: no deadline."
    )
    tool_timeout: float | None = Field(
        default=60.0, gt=0, description="Seconds one tool call may take. None: only the deadline."
    )
    model_timeout: float | None = Field(
        default=120.0,
        gt=0,
        description="Seconds a model call may take without an answer (streams: without a next piece).",
    )
    max_queue: int | None = Field(
        default=None, ge=1, description="Turns that may wait in one conversation. None: the server's bound."
    )
    max_running: int | None = Field(
        default=None,
        ge=1,
        description="Turns of this agent at once in one process. None: only the server's bound.",
    )
    max_model_calls: int = Field(
        default=100, ge=1, description="Model calls one attempt may make; stops agents that call themselves."
    )
    when_busy: WhenBusy = Field(
        default="enqueue",
        description="What a turn does while its conversation has another: `enqueue` waits, `reject` answers 409, "
        "`interrupt` stops it and keeps what it said, `rollback` stops and forgets it, `merge` joins the one that "
        "waits, `debounce` also waits for further messages.",
    )
    debounce: float = Field(
        default=1.0,
        gt=0,
        le=3600,
        description="Seconds without another message before a turn starts, where `when_busy` is `debounce`.",
    )
    ledger: bool = Field(
        default=True,
        description="Keep model answers and tool results of a running turn, so that a turn that is run again "
        "after a crash neither pays nor acts twice.",
    )
    once_tools: frozenset[str] = Field(
        default=frozenset(),
        description="Names of tools that must not run a second time for the same call: an attempt that dies "
        "inside one ends as `needs_attention`. The same as decorating them with `turnlane.once`.",
    )
    description: str | None = Field(default=None, description="Shown by `GET /v1/models`.")


@dataclass(frozen=True)
class AgentSpec:
    """A named factory with its settings."""

    name: str
    factory: Factory
    settings: AgentSettings = field(default_factory=AgentSettings)

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the resources that the factory asks for."""
        return tuple(_required_parameters(self.factory))


class App:
    """Named agents with shared resources.

    >>> app = App()
    >>> @app.agent(deadline=60)
    ... def support(): ...

    Args:
        resources: an async context manager factory, entered once per process inside the event loop and
            left at shutdown. What it yields, a mapping or an object with attributes, is handed to the
            factories by parameter name.
        limits: what each model provider may be sent by all workers together, by its host as the log names it
            (`{"api.openai.com": ProviderLimits(requests_per_minute=500)}`). Beside them, limits are learned from
            a provider's refusals; for a provider that is not named, only these hold.

    Raises:
        AppError: `limits` is not such a mapping.
    """

    def __init__(
        self,
        *,
        resources: ResourcesFactory | None = None,
        limits: Mapping[str, ProviderLimits] | None = None,
    ) -> None:
        self.resources = resources
        self.limits = _checked_limits(limits or {})
        self.agents: dict[str, AgentSpec] = {}

    @overload
    def agent(self, factory: F, /) -> F: ...
    @overload
    def agent(self, /, *, name: str | None = None, **settings: Any) -> Callable[[F], F]: ...
    def agent(
        self, factory: F | None = None, /, *, name: str | None = None, **settings: Any
    ) -> F | Callable[[F], F]:
        """Register a factory under its own name or `name`. Settings are those of `AgentSettings`.

        Raises:
            AppError: the name is taken or not a name, a setting is unknown or out of range.
        """
        if factory is not None:
            self.add(factory)
            return factory

        def register(function: F) -> F:
            self.add(function, name=name, **settings)
            return function

        return register

    def add(self, factory: Factory, /, *, name: str | None = None, **settings: Any) -> AgentSpec:
        """The same as `agent`, as a plain call."""
        if not callable(factory):
            raise AppError(
                f"{type(factory).__name__} is not a factory. An agent object would be shared by all users "
                "(hazard TL201): write a function that makes and returns a fresh one."
            )
        chosen = str(name or getattr(factory, "__name__", ""))
        if not _NAME.fullmatch(chosen):
            raise AppError(
                f"{chosen!r} can't be an agent's name: use letters, digits, '_', '-', '.', at most 64 of them"
            )
        if chosen in self.agents:
            raise AppError(f"two agents are named {chosen!r}: give one of them another name with name=...")
        try:
            spec = AgentSpec(chosen, factory, AgentSettings(**settings))
        except ValidationError as error:
            raise AppError(f"settings of agent {chosen!r}: {_first_problem(error)}") from None
        self.agents[chosen] = spec
        return spec


def pick_resources(spec: AgentSpec, resources: Any) -> Mapping[str, Any]:
    """The arguments for the factory, by parameter name.

    Raises:
        AppError: a parameter without a default names no resource.
    """
    chosen: dict[str, Any] = {}
    for name, required in _parameters(spec.factory).items():
        if isinstance(resources, Mapping) and name in resources:
            chosen[name] = resources[name]
        elif not isinstance(resources, Mapping) and hasattr(resources, name):
            chosen[name] = getattr(resources, name)
        elif required:
            have = ", ".join(sorted(resources)) if isinstance(resources, Mapping) else type(resources).__name__
            raise AppError(
                f"the factory of agent {spec.name!r} asks for {name!r}, which is no resource "
                f"(there are: {have or 'none'}); yield it from App(resources=...) or give it a default"
            )
    return chosen


def _checked_limits(limits: Mapping[str, ProviderLimits]) -> Mapping[str, ProviderLimits]:
    for name, limit in limits.items():
        if not isinstance(limit, ProviderLimits):
            raise AppError(
                f"limits of {name!r}: write ProviderLimits(requests_per_minute=...), not {type(limit).__name__}"
            )
        if "/" in name:
            raise AppError(f"limits of {name!r}: write the provider's host alone, such as 'api.openai.com'")
    return dict(limits)


def _parameters(factory: Factory) -> dict[str, bool]:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return {}
    return {
        p.name: p.default is p.empty
        for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }


def _required_parameters(factory: Factory) -> list[str]:
    return [name for name, required in _parameters(factory).items() if required]


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    known = ", ".join(AgentSettings.model_fields)
    if first["type"] == "extra_forbidden":
        return f"unknown setting {where!r}; known: {known}"
    return f"{where}: {first['msg']}"
