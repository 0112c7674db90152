"""What can go wrong at a provider, and when: one fault, and the board of faults that stand at the moment."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args
from weakref import WeakKeyDictionary

from .budget import Budget
from .mistake import ScriptError

FaultKind = Literal[
    "rate_limit",
    "insufficient_quota",
    "unauthorized",
    "server_error",
    "hang",
    "drop",
    "html",
    "malformed_json",
    "malformed_stream",
    "cut_stream",
    "stall_stream",
    "empty",
]

KINDS: tuple[str, ...] = get_args(FaultKind)
ON_ANSWERS = frozenset({"malformed_json", "malformed_stream", "cut_stream", "stall_stream", "empty"})
"""Kinds that spoil an answer; all others take its place."""

_STATUS = {"rate_limit": 429, "insufficient_quota": 429, "unauthorized": 401, "server_error": 500, "html": 502}


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: what happens. `rate_limit`, `insufficient_quota` (both 429), `unauthorized` (401) and `server_error`
            (500 unless `status` says otherwise) are OpenAI's errors. `hang` never answers. `drop` ends the
            connection before any answer. `html` is a proxy's page instead of JSON. `malformed_json` is a body cut
            in the middle. `malformed_stream` puts a line that is no JSON into a stream. `cut_stream` ends one
            early, without a finish reason. `stall_stream` stops sending but keeps the connection. `empty` is an
            answer with nothing in it.
        status: the HTTP status of `server_error` (500 to 599) or `html` (any).
        first: only the first so many requests that come to this fault; None for no such bound.
        rate: the share of requests that it meets, 0 to 1, drawn from the script's seed.
        retry_after: seconds that a `rate_limit` or `server_error` asks to wait; None for no such header.
        after_chunks: how many content chunks of a stream come through first.
        reset: `drop` and `cut_stream` reset the connection (RST) instead of ending it in good order.
        empty: what an `empty` answer lacks.

    Raises:
        ScriptError: a value that makes no sense, in one sentence.
    """

    kind: FaultKind
    status: int = 0
    first: int | None = None
    rate: float = 1.0
    retry_after: float | None = None
    after_chunks: int = 2
    reset: bool = False
    empty: Literal["choices", "content"] = "content"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ScriptError(f"unknown fault {self.kind!r}; there are {', '.join(KINDS)}")
        if not self.status:
            object.__setattr__(self, "status", _STATUS.get(self.kind, 200))
        _check_numbers(self)
        if self.empty not in ("choices", "content"):
            raise ScriptError(f"'empty' must be choices or content, not {self.empty!r}")

    @property
    def spoils_answer(self) -> bool:
        """Whether it needs an answer to work on."""
        return self.kind in ON_ANSWERS


def _check_numbers(fault: Fault) -> None:
    for name in ("status", "first", "after_chunks"):
        value = getattr(fault, name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise ScriptError(f"'{name}' of a fault must be a whole number from 0, not {value!r}")
    for name in ("rate", "retry_after"):
        value = getattr(fault, name)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or value < 0):
            raise ScriptError(f"'{name}' of a fault must be a number from 0, not {value!r}")
    if fault.rate > 1:
        raise ScriptError(f"'rate' of a fault is a share between 0 and 1, not {fault.rate!r}")
    if not 200 <= fault.status <= 599 or (fault.kind == "server_error" and fault.status < 500):
        raise ScriptError(f"'status' of a {fault.kind} fault cannot be {fault.status}")
    if not isinstance(fault.reset, bool):
        raise ScriptError(f"'reset' of a fault must be true or false, not {fault.reset!r}")


class FaultBoard:
    """The faults that stand for every request, and the request budget; may be changed while it runs.

    Changes take effect with the next request. They may be made from another thread.
    """

    def __init__(self, seed: int = 0) -> None:
        self._standing: tuple[Fault, ...] = ()
        self._met: WeakKeyDictionary[Fault, int] = WeakKeyDictionary()
        self._random = random.Random(seed)
        self._budget: Budget | None = None

    def __repr__(self) -> str:
        return f"<FaultBoard {[f.kind for f in self._standing]}, budget {self._budget}>"

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._standing)

    def __len__(self) -> int:
        return len(self._standing)

    @property
    def budget(self) -> Budget | None:
        """The budget of requests; None for none. A number sets so many requests per second."""
        return self._budget

    @budget.setter
    def budget(self, budget: Budget | float | None) -> None:
        self._budget = Budget(budget) if isinstance(budget, int | float) else budget

    def add(self, fault: Fault | FaultKind) -> Fault:
        """Let `fault` stand for every request from now on; the first one added that is due wins."""
        fault = as_fault(fault)
        self._standing = (*self._standing, fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Take `fault` away; nothing happens if it does not stand."""
        self._standing = tuple(f for f in self._standing if f is not fault)

    def clear(self) -> None:
        """Take all faults and the budget away."""
        self._standing = ()
        self._budget = None

    @contextmanager
    def active(self, fault: Fault | FaultKind) -> Iterator[Fault]:
        """Let `fault` stand inside a `with` block."""
        fault = self.add(fault)
        try:
            yield fault
        finally:
            self.remove(fault)

    def start_over(self, faults: Iterable[Fault], budget: Budget | None, seed: int) -> None:
        """Replace everything: what a new script does."""
        self._standing = tuple(faults)
        self._budget = budget.full() if budget else None
        self._met.clear()
        self._random.seed(seed)

    def draw(self) -> Fault | None:
        """The standing fault that meets this request, if any."""
        for fault in self._standing:
            if self.due(fault):
                return fault
        return None

    def due(self, fault: Fault) -> bool:
        """Whether `fault` meets this request: counts against `first`, draws for `rate`."""
        if fault.rate < 1 and self._random.random() >= fault.rate:
            return False
        if fault.first is None:
            return True
        met = self._met.get(fault, 0) + 1
        self._met[fault] = met
        return met <= fault.first


def as_fault(fault: Fault | str) -> Fault:
    """A fault from its bare kind, or the fault itself."""
    return Fault(fault) if isinstance(fault, str) else fault  # type: ignore[arg-type]  # checked by Fault
