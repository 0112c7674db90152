"""One stream of operational events. Rooms emit; sinks (logs, Prometheus, OpenTelemetry) listen.

No room knows which sinks there are, and no sink is needed: without one, `emit` costs a few hundred
nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

Sink: TypeAlias = Callable[[str, Mapping[str, Any]], None]

EVENTS: Final[Mapping[str, str]] = {
    "server.started": "the server answers: address, agents, data, keys, practice, note",
    "server.draining": "no new turns are accepted; running ones have `grace` seconds",
    "server.stopped": "the server ended: released (turns that run again at the next start)",
    "worker.started": "a worker takes turns: address (of its health), agents, data, practice, note",
    "worker.draining": "no more turns are taken; running ones have `grace` seconds",
    "worker.stopped": "the worker ended: released (turns that run again at another)",
    "request.ended": "an HTTP request was answered: method, path, status, seconds",
    "request.failed": "a bug of ours broke an HTTP request: method, path, type, message, stack",
    "turn.accepted": "a turn is durable: turn, conversation, agent, queued",
    "turn.joined": "a message became part of a turn that still waits (merge, debounce): turn, conversation, agent",
    "turn.refused": "a turn was not accepted: reason, conversation, agent",
    "turn.started": "an attempt began: turn, conversation, attempt, agent, waited, input (when asked for)",
    "turn.ended": "a turn ended: turn, conversation, attempt, agent, status, seconds, tokens, model_calls, "
    "replayed (answers that earlier attempts had got), output (when asked for)",
    "turn.failed": "the first error of a turn: type, message, agent, tool, hazard, stack",
    "turn.released": "a turn was given back to the queue: turn, attempt",
    "turn.dropped": "a late result was refused, another attempt owns the turn: turn, attempt",
    "turn.leftover": "something of a stopped turn still runs and was let go: what",
    "model.call": "a model call ended: provider, model, agent, tokens, seconds, retries, finish_reason, outcome",
    "model.retry": "a model call is tried again: provider, model, agent, tries, delay, status, reason",
    "model.limit": "a provider's limit changed: provider, concurrency, rate, paused",
    "limits.alone": "the store is away: this process goes on with its last part of the providers' limits: reason",
    "limits.shared": "the providers' limits are shared with the other workers again",
    "tool.call": "a tool call ended: tool, agent, seconds, outcome (ok, error, timeout, cancelled)",
    "tool.failed": "a tool raised: tool, agent, type, hazard, stack",
    "loop.blocked": "the event loop stood still: seconds, stack, ended (it goes on again), hazard (TL108), note",
    "loop.lag": "how late the loop was, sampled: seconds",
    "engine.trouble": "the store can't be used; turns wait, requests and /readyz get 503: reason",
    "engine.back": "the store can be used again, what waited goes on: seconds (how long it could not)",
}
"""Every event, with its fields. The reference page of events is made from this table."""

_sinks: list[Sink] = []
_bound: ContextVar[Mapping[str, Any]] = ContextVar("turnlane_telemetry_fields", default={})  # noqa: B039 - never mutated


def emit(name: str, **fields: Any) -> None:
    """Tell every sink. Fields bound by `bound` are added; a sink that raises does not hurt the caller."""
    if not _sinks:
        return
    merged = {**_bound.get(), **fields}
    for sink in _sinks:
        try:
            sink(name, merged)
        except Exception:  # noqa: S112 - telemetry must never break a turn, and has nowhere else to complain
            continue


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add fields (request id, conversation, turn, ...) to everything emitted inside, also in child tasks."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def add_sink(sink: Sink) -> Callable[[], None]:
    """Add a sink; returns a function that takes it away again."""
    _sinks.append(sink)

    def remove() -> None:
        if sink in _sinks:
            _sinks.remove(sink)

    return remove
