"""Whose work is being done: the request, task, cell or session that the running code belongs to."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, Final

from turnlane.guard import journals, locks
from turnlane.guard.journal import HazardError
from turnlane.guard.long_lived import texts
from turnlane.guard.stacks import Stack

_numbers = itertools.count(1)

CONVERSATION_FIELDS: Final = re.compile(
    r"^(?:x[-_])?(?:conversation|dialog(?:ue)?|session|thread|chat|room|channel|ticket|case"
    r"|user|client|customer|guest|visitor|member|patient|student|player|caller|contact|subscriber|employee|participant"
    r"|tenant|account|sender|owner|phone|email)"
    r"(?:[-_]?(?:id|key|uuid|name|no|nr|number|token|address))?$"
    r"|^(?:uid|sid|cid|tid|wa_id|login|username|authorization|sessionid|from)$",
    re.IGNORECASE,
)
"""Names of path, query, body, header and cookie fields that say whose conversation a request belongs to."""

_SHARED: Final = re.compile(r"^(?:x_)?(?:authorization|tenant|account|client|owner)", re.IGNORECASE)
"""Of these, an unlike value tells two users apart; the same says little: many users have one key or tenant."""

_SECRET: Final = re.compile(r"authorization|token|key|^session|^sid$", re.IGNORECASE)
"""Values of these may be credentials: only a digest of them is kept, which tells them apart as well."""


MAX_ID: Final = 200


class Request:
    """One unit of somebody's work: an HTTP request, a web socket, a Celery task, a cell, a run of a session.

    Attributes:
        id: `x-request-id` of an HTTP request, else made here.
        host: what runs it: `starlette`, `flask`, `celery`, `ipython`, ...
        name: for people: `POST /chat`.
        keys: the values of fields that say whose conversation it is.
        failures: exceptions that left a run, a tool or a model call, the first one first.
        ended: whether the host is done with it.
    """

    __slots__ = (
        "__weakref__", "ended", "failures", "host", "id", "keys", "logged", "name", "notes", "parent",
        "pid", "stack", "started", "status",
    )  # fmt: skip

    def __init__(
        self, host: str, name: str, *, id: str | None = None, keys: Mapping[str, str] | None = None
    ) -> None:
        self.host = host
        self.name = name
        self.id = id[:MAX_ID] if id else f"{os.getpid()}-{next(_numbers)}"
        self.keys: dict[str, str] = dict(keys or {})
        self.started = time.monotonic()
        self.pid = os.getpid()
        self.ended = False
        self.status: int | None = None
        self.failures: list[Failure] = []
        self.logged: list[int] = []
        self.notes: dict[str, Any] = {}
        """For those that watch: what they must remember until the request ends, by their own name."""
        self.stack: Stack = ()
        self.parent: Request | None = None

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.host} {self.name}{' ended' if self.ended else ''}>"

    @property
    def of_a_server(self) -> bool:
        """Whether somebody elsewhere waits for its answer; not a notebook's cell or a test."""
        return self.host not in ("ipython", "pytest")

    @property
    def conversation(self) -> str | None:
        """The values that say whose conversation it is, for people; None when nothing says it."""
        return ", ".join(f"{name}={value}" for name, value in sorted(self.keys.items())) or None

    def same_conversation(self, other: Request) -> bool | None:
        """Whether both belong to one conversation; None when nothing that both have says so."""
        same = None
        for name, value in self.keys.items():
            others = other.keys.get(name)
            if others is not None and others != value:
                return False
            if others is not None and not _is_shared(name):
                same = True
        return same

    def brought(self, value: str) -> bool:
        """Whether a part of its path or one of its fields, whatever that is called, is just this value."""
        path = self.name.partition(" ")[2].split("/")
        fields = (*path, *self.keys.values(), *texts(self.notes.get("brought"), depth=5))
        return bool(value) and (value in fields or _digest(value) in fields)

    def learn(self, fields: Mapping[str, Any]) -> None:
        """Take the fields that say whose conversation it is."""
        for name, value in fields.items():
            known = _field(name) if isinstance(name, str) else None
            if known is not None and isinstance(value, str | int) and not isinstance(value, bool):
                self.keys.setdefault(known, _kept(known, str(value)))

    def learn_json(self, body: bytes) -> Any:
        """The same from a JSON object, one level of nesting deep; anything else is left alone.

        Returns:
            What the JSON says; None when it is none.
        """
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return None
        if isinstance(value, dict):
            self.learn(value)
            for name, inner in value.items():
                if isinstance(inner, dict):
                    self.learn(inner)
                    self.learn({f"{name}_id": inner.get("id")})
        return value


@functools.lru_cache(maxsize=256)
def _is_shared(name: str) -> bool:
    return _SHARED.match(name) is not None


@functools.lru_cache(maxsize=256)
def _is_secret(name: str) -> bool:
    return _SECRET.search(name) is not None


@functools.lru_cache(maxsize=1024)
def _field(name: str) -> str | None:
    """The name of such a field as it is kept; every request has the same headers."""
    return name.lower().replace("-", "_") if CONVERSATION_FIELDS.match(name) else None


def _kept(name: str, value: str) -> str:
    """What is kept of a value: enough to tell it from others, and nothing that could be used."""
    if _is_secret(name):
        return _digest(value.rpartition(" ")[2])  # without the scheme, such as "Bearer"
    return value[:200]


def _digest(value: str) -> str:
    return "#" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:10]


def text_of(error: BaseException) -> str:
    """What an exception says of itself; nothing where that fails too."""
    try:
        return str(error)
    except Exception:
        return ""


class Failure:
    """One exception that left a run, a tool or a model call."""

    __slots__ = ("agent", "error", "identity", "logged", "stack", "text", "tool", "type")

    def __init__(self, error: BaseException, stack: Stack, *, agent: str | None, tool: str | None) -> None:
        self.identity = id(error)
        self.error: BaseException | None = error
        """Kept until the request ends, so that its identity is not used again."""
        self.type = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        self.text = text_of(error)
        self.stack = stack
        self.agent = agent
        self.tool = tool
        self.logged = False


current: ContextVar[Request | None] = ContextVar("turnlane_guard_request", default=None)

active: set[Request] = set()
"""The requests that this process works on now."""
_lock = locks.free_after_fork()
ending: list[Any] = []
"""Called with each request when it ends: those that watch what is left behind."""


class within:
    """The code inside belongs to `request`, and the request ends with it."""

    __slots__ = ("_request", "_token")

    def __init__(self, request: Request) -> None:
        self._request = request

    def __enter__(self) -> Request:
        request, outer = self._request, current.get()
        # One that has ended was only where this context was copied from; each would hold the one before.
        request.parent = outer if outer is not None and not outer.ended else None
        self._token = current.set(request)
        begin(request)
        return request

    def __exit__(self, *_: object) -> None:
        _reset(self._token)
        end(self._request)


def _reset(token: Token[Request | None]) -> None:
    try:
        current.reset(token)
    except ValueError:  # a generator that is closed in another context than it ran in
        return


def begin(request: Request) -> None:
    """Count `request` among the active ones, for hosts that cannot use `within`."""
    with _lock:
        active.add(request)


def end(request: Request) -> None:
    """The host is done with `request`. Does nothing the second time."""
    with _lock:
        if request.ended:
            return
        request.ended = True
        active.discard(request)
    for listener in tuple(ending):
        try:
            listener(request)
        except HazardError:  # they report what is left behind, from where nothing may be raised
            continue
        except Exception as error:
            journals.trouble("end of a request", error)
    for failure in request.failures:
        failure.error = None  # with its traceback it holds every variable of the request


def forked() -> None:
    """In a child after a fork: the parent's requests are not ours."""
    active.clear()
