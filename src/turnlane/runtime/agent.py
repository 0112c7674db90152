"""The seam to agent frameworks: one run of one attempt, and what an adapter must do with it.

An adapter knows one framework. It takes the fresh agent that a factory made, puts the model boundary and
the tool guard in place, loads the state, runs the input, and hands back the new state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from turnlane.runtime.conversation import (
    Claim,
    Failure,
    JsonObject,
    SavedState,
    TurnEvent,
    Usage,
)
from turnlane.runtime.output_so_far import OutputSoFar
from turnlane.runtime.turn_ledger import TurnLedger

if TYPE_CHECKING:
    from turnlane.runtime.model import ModelBoundary

StopReason: TypeAlias = Literal["cancelled", "interrupted", "rolled_back", "deadline", "lost", "shutdown"]


class TurnStopped(Exception):
    """The turn was cancelled, ran out of time, or lost its ownership.

    An ordinary exception on purpose: frameworks handle `CancelledError` badly inside their own tasks
    (hazards TL404, TL503), but stop cleanly on an error.
    """

    def __init__(self, reason: StopReason) -> None:
        super().__init__(f"the turn was stopped: {reason}")
        self.reason = reason


class StateMismatch(Exception):
    """The saved state does not belong to this agent. It is left alone.

    `load_state` of a framework may accept anything without a word, so kind and version are compared first.
    """


class ReentrantRun(Exception):
    """A tool or agent called back into its own conversation or a run that is under way (hazard TL402)."""


class TooManyModelCalls(Exception):
    """An attempt made all the model calls that it may. `tool` is the tool whose calls came up against the bound,
    if it was one (hazard TL402)."""

    def __init__(self, bound: int, tool: str | None) -> None:
        super().__init__(
            f"this turn made {bound} model calls, which is its bound (setting max_model_calls of the agent). The "
            "usual causes: a team whose termination condition is never met, or a tool that runs its own agent"
            f"{'' if tool is None else ' (hazard TL402)'}. Raise the bound if the agent rightly needs more"
        )
        self.tool = tool

    @property
    def hazard(self) -> str | None:
        return None if self.tool is None else "TL402"


class SharedObject(Exception):
    """A factory returned an object that an earlier turn already used. `hazard` says which kind of sharing."""

    def __init__(self, message: str, hazard: str) -> None:
        super().__init__(message)
        self.hazard = hazard


class ToolError(Exception):
    """Raise it in a tool to tell the model something a user may read.

    The text of every other exception stays in the log (hazard TL405).
    """


class StopSignal:
    """Ends a run: set once, with a reason. Callbacks run on the loop, at once when it is already set."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self._callbacks: dict[int, Callable[[], Any]] = {}
        self._next = 0

    def __bool__(self) -> bool:
        return self.reason is not None

    def set(self, reason: StopReason) -> None:
        if self.reason is not None:
            return
        self.reason = reason
        callbacks = list(self._callbacks.values())
        self._callbacks.clear()
        for callback in callbacks:
            callback()

    def on_set(self, callback: Callable[[], Any]) -> Callable[[], None]:
        """Call `callback` when the signal is set; returns a function that takes it back."""
        if self.reason is not None:
            callback()
            return lambda: None
        self._next += 1
        number = self._next
        self._callbacks[number] = callback
        return lambda: self._callbacks.pop(number, None) and None

    def check(self) -> None:
        """Raises TurnStopped when the signal is set."""
        if self.reason is not None:
            raise TurnStopped(self.reason)


@dataclass
class Run:
    """One attempt of a turn, while it runs. The only object that agents, tools and the boundary share.

    `publish` shows an event to readers. `note_failure` keeps the first error with its agent and tool,
    because frameworks turn exceptions into text on the way up.
    """

    claim: Claim
    agent: str
    publish: Callable[[TurnEvent], None]
    boundary: ModelBoundary
    deadline: float | None = None
    """On the clock of `time.monotonic`, in seconds."""
    tool_timeout: float | None = None
    model_timeout: float | None = None
    max_model_calls: int = 100
    once_tools: Collection[str] = frozenset()
    """Names of tools that must not run a second time for the same call; beside those decorated with `once`."""
    log_content: bool = False
    ledger: TurnLedger = field(default_factory=TurnLedger)
    said: OutputSoFar = field(default_factory=OutputSoFar)
    stop: StopSignal = field(default_factory=StopSignal)
    usage: Usage = field(default_factory=Usage)
    """What the turn cost until now, earlier attempts included."""
    model_calls: int = 0
    """Model calls of this attempt, also those that an earlier one had made."""
    failure: Failure | None = None
    incomplete: str | None = None
    """Set when the model cut a text of this run short: `max_output_tokens` or `content_filter` (TL307)."""
    foreign_code: int = 0
    """How many tools and agent classes of the user's own run at this moment."""
    too_many_calls: TooManyModelCalls | None = None
    """Set when the bound of model calls was first come up against; later ones are its consequences."""
    _seq: int = -1
    _items: int = 0
    _tasks: dict[asyncio.Task[Any], int] = field(default_factory=dict)
    _cancelled: set[asyncio.Task[Any]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._seq = self.claim.first_seq - 1
        for entry in self.claim.ledger:
            self.add_usage(entry.usage)
        self.stop.on_set(self._cancel_tasks)

    @contextmanager
    def in_foreign_code(self) -> Iterator[None]:
        """Around a tool, or an agent class of the user's own: what may call back into the conversation (TL402)."""
        self.foreign_code += 1
        try:
            yield
        finally:
            self.foreign_code -= 1

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Ends what is awaited inside when the run is stopped, and raises TurnStopped instead of CancelledError.

        The waiting task is cancelled and the cancellation is taken back (`Task.uncancel`): this needs no
        task of its own for each call and each piece of a stream, and frameworks see an ordinary error
        (hazards TL404, TL503).
        """
        self.stop.check()
        task = asyncio.current_task()
        assert task is not None, "a run lives on the event loop"
        self._tasks[task] = self._tasks.get(task, 0) + 1
        try:
            yield
        except asyncio.CancelledError:
            if self.stop.reason is None:
                raise
            if task in self._cancelled:
                self._cancelled.discard(task)
                task.uncancel()
            raise TurnStopped(self.stop.reason) from None
        finally:
            self._tasks[task] -= 1
            if not self._tasks[task]:
                del self._tasks[task]

    def _cancel_tasks(self) -> None:
        for task in list(self._tasks):
            self._cancelled.add(task)
            task.cancel()

    def emit(self, kind: str, **data: Any) -> None:
        """Show an event of one of `EVENT_KINDS`, unless the run was stopped: late work is not shown."""
        if self.stop:
            return
        self.said.add(kind, data)
        self.publish(self.number(kind, data))

    def number(self, kind: str, data: JsonObject) -> TurnEvent:
        self._seq += 1
        return TurnEvent(seq=self._seq, kind=kind, at=time.time(), data=data)

    def note_failure(self, failure: Failure) -> None:
        """Keep the first error; later ones are its consequences."""
        if self.failure is None:
            self.failure = failure

    def seconds_left(self) -> float | None:
        return None if self.deadline is None else self.deadline - time.monotonic()

    def add_usage(self, usage: Usage) -> None:
        self.usage = self.usage.plus(usage)

    def count_model_call(self, *, paid: bool = False) -> None:
        """Count a call, with its cost unless an earlier attempt `paid` for its answer.

        Raises:
            TooManyModelCalls: the attempt may make no more.
        """
        if self.model_calls >= self.max_model_calls:
            if self.too_many_calls is None:
                self.too_many_calls = TooManyModelCalls(self.max_model_calls, current_tool.get())
            raise TooManyModelCalls(self.max_model_calls, self.too_many_calls.tool)
        self.model_calls += 1
        if not paid:
            self.add_usage(Usage(model_calls=1))

    def new_item(self) -> str:
        """An id for an output item: unguessable since the turn's id is, and stable to read in logs."""
        self._items += 1
        return f"{self.claim.turn.id.partition('_')[2]}{self.claim.attempt:02x}{self._items:04x}"


current_run: ContextVar[Run | None] = ContextVar("turnlane_run", default=None)
current_agent: ContextVar[str | None] = ContextVar("turnlane_agent", default=None)
current_tool: ContextVar[str | None] = ContextVar("turnlane_tool", default=None)


class ActiveRuns:
    """The runs of this process, by conversation; lets the intake see that a request comes out of a run."""

    def __init__(self) -> None:
        self._by_conversation: dict[str, Run] = {}

    def add(self, run: Run) -> None:
        self._by_conversation[run.claim.turn.conversation] = run

    def remove(self, run: Run) -> None:
        if self._by_conversation.get(run.claim.turn.conversation) is run:
            del self._by_conversation[run.claim.turn.conversation]

    def of(self, conversation: str) -> Run | None:
        return self._by_conversation.get(conversation)

    def __len__(self) -> int:
        return len(self._by_conversation)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run came to."""

    output: Sequence[JsonObject]
    """Output items in the neutral shape (see `docs/reference/events.md`)."""
    incomplete: str | None = None


class Prepared(Protocol):
    """A fresh agent or team with boundary and guards in place, for one run only."""

    @property
    def kind(self) -> str:
        """What the state belongs to: the class and the names inside, such as `RoundRobinGroupChat(a, b)`."""
        ...

    @property
    def version(self) -> str:
        """The version of the state's format."""
        ...

    async def load(self, state: SavedState) -> None:
        """Raises StateMismatch; the agent is then not usable."""
        ...

    async def run(self, input: Sequence[JsonObject], items: Sequence[JsonObject]) -> Answer:
        """Run `input` (after `items`, which the agent has not seen) to the end, emitting events."""
        ...

    async def save(self) -> SavedState: ...

    async def discard(self) -> None:
        """Close what the factory made for this run only. Never raises; safe to call at any time."""
        ...


class Adapter(Protocol):
    """What knows one framework."""

    @property
    def framework(self) -> str: ...

    async def warm_up(self) -> None:
        """Pay what the framework puts off to its first use; called before the first turn, on the loop."""
        ...

    def accepts(self, built: object) -> bool:
        """Whether `built`, returned by a factory, is an agent or team of this framework."""
        ...

    def prepare(self, built: object, run: Run) -> Prepared:
        """Put boundary and guards in place.

        Raises:
            SharedObject: an earlier run already used `built` or a part of it.
        """
        ...

    def failure(self, error: BaseException) -> Failure | None:
        """Tell an exception of the framework or its clients as a failure; None: not one of mine."""
        ...

    async def close(self) -> None:
        """Close what is shared by the process (the HTTP client)."""
        ...


Resources: TypeAlias = Mapping[str, Any]
