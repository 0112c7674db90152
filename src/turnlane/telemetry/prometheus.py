"""The numbers of /metrics, in Prometheus' text format.

`Metrics` is a sink of telemetry events; `render` adds what is asked for at the scrape. Labels never hold
conversations, turns, keys or anything a user sent, and every label has a bounded number of values.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Buckets for turns, waits and model calls: from a local model's answer to the SDK's own time-out."""

LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

MAX_VALUES: Final = 100
"""Distinct values of a label that come from the app's code (tools, models); all later ones are `other`."""

STATS_PATIENCE: Final = 2.0
"""Seconds a scrape waits for the engine: a store that doesn't answer must not take the other numbers away."""

Event: TypeAlias = Mapping[str, Any]
QueueStats: TypeAlias = Any
"""What `turnlane.runtime.engine.EngineStats` has; telemetry stands below the runtime and doesn't know it."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Names are without the prefix `turnlane_`; a counter's page name ends with `_total`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS

    @property
    def shown_name(self) -> str:
        """The name on the page."""
        return f"turnlane_{self.name}{'_total' if self.kind == 'counter' else ''}"


_MODEL: Final = ("provider", "model")

METRICS: Final = (
    Metric("turns_accepted", "counter", "Turns accepted, durable.", ("agent",)),
    Metric("turns", "counter", "Turns that ended, by how.", ("agent", "status")),
    Metric("turns_joined", "counter", "Messages that became part of a turn that still waited.", ("agent",)),
    Metric("turns_refused", "counter", "Turns not accepted, by reason.", ("reason",)),
    Metric("turns_released", "counter", "Turns given back to the queue by a stopping worker."),
    Metric("turns_dropped", "counter", "Late results refused because another attempt owns the turn."),
    Metric("turn_seconds", "histogram", "Seconds from the start of an attempt to its commit.", ("agent",)),
    Metric("turn_wait_seconds", "histogram", "Seconds from accepted to started.", ("agent",)),
    Metric("turns_queued", "gauge", "Turns that wait now; of the whole engine, so every process says the same."),
    Metric("turns_running", "gauge", "Turns that run now; of the whole engine, so every process says the same."),
    Metric("oldest_queued_seconds", "gauge", "Age of the oldest turn that waits; 0: none waits."),
    Metric("conversations_active", "gauge", "Conversations with a turn that has not ended."),
    Metric("model_calls", "counter", "Model calls that ended, by outcome.", (*_MODEL, "outcome")),
    Metric("model_call_seconds", "histogram", "Seconds of a model call, its retries included.", _MODEL),
    Metric("model_retries", "counter", "Model calls tried again, by HTTP status.", (*_MODEL, "status")),
    Metric("model_tokens", "counter", "Tokens, as providers count them.", (*_MODEL, "direction")),
    Metric(
        "model_concurrency_limit",
        "gauge",
        "Calls the provider is sent at once; learned from refusals, so absent until the first.",
        ("provider",),
    ),
    Metric("model_rate_limit", "gauge", "Calls per second the provider is sent; learned likewise.", ("provider",)),
    Metric("tool_calls", "counter", "Tool calls that ended, by outcome.", ("tool", "outcome")),
    Metric("tool_call_seconds", "histogram", "Seconds of a tool call.", ("tool",)),
    Metric(
        "loop_lag_seconds",
        "histogram",
        "How late the event loop was, the worst of each second.",
        buckets=LAG_SECONDS,
    ),
    Metric("loop_blocked", "counter", "Times the event loop stood still (hazard TL108)."),
    Metric("loop_blocked_seconds", "counter", "Seconds the event loop stood still."),
    Metric("engine_up", "gauge", "1: the store can be used; 0: it can't, turns wait and requests get 503."),
    Metric("engine_troubles", "counter", "Times the store became unusable."),
    Metric("http_requests", "counter", "HTTP requests answered.", ("method", "route", "status")),
    Metric(
        "http_request_seconds",
        "histogram",
        "Seconds until an HTTP answer was complete (streams: until their end).",
        ("route",),
    ),
)
"""Every metric of ours; the reference page is made from this table."""

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

# An id of ours or OpenAI's: a word, an underscore or dash, and at least eight more characters.
_ID: Final = re.compile(r"[A-Za-z]+[_-][A-Za-z0-9_-]{8,}")


class BoundedValues:
    """Passes the first `bound` distinct values and says `other` for all later ones."""

    def __init__(self, bound: int = MAX_VALUES) -> None:
        self._bound = bound
        self._seen: set[str] = set()

    def __call__(self, value: object) -> str:
        text = str(value) if value else "none"
        if text in self._seen:
            return text
        if len(self._seen) >= self._bound:
            return "other"
        self._seen.add(text)
        return text


class Metrics:
    """Counts what telemetry events tell, and renders it.

    Args:
        stats: the engine's `stats`, asked at every scrape; without it the queue gauges stay 0.
        clock: seconds since the epoch, for the age of the oldest turn that waits.
    """

    def __init__(
        self,
        stats: Callable[[], Awaitable[QueueStats]] | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # A registry of our own: a user's code may use the global one, and tests run many servers.
        self.registry = CollectorRegistry()
        self._stats = stats
        self._clock = clock
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in METRICS:
            self._make(metric)
        self._set("engine_up", 1)
        ProcessCollector(registry=self.registry)
        self._values: dict[str, BoundedValues] = {}
        self._handlers: dict[str, Callable[[Event], None]] = {
            "turn.accepted": lambda event: self._count("turns_accepted", agent=event.get("agent")),
            "turn.started": self._turn_started,
            "turn.ended": self._turn_ended,
            "turn.joined": lambda event: self._count("turns_joined", agent=event.get("agent")),
            # Not by agent: that name is what the client sent, and may be the very reason.
            "turn.refused": lambda event: self._count("turns_refused", reason=event.get("reason")),
            "turn.dropped": lambda _: self._count("turns_dropped"),
            "turn.released": lambda _: self._count("turns_released"),
            "model.call": self._model_call,
            "model.retry": self._model_retry,
            "model.limit": self._model_limit,
            "tool.call": self._tool_call,
            "loop.lag": lambda event: self._observe("loop_lag_seconds", event["seconds"]),
            "loop.blocked": self._loop_blocked,
            "engine.trouble": self._engine_trouble,
            "engine.back": lambda _: self._set("engine_up", 1),
            "request.ended": self._request_ended,
        }

    def __call__(self, name: str, fields: Event) -> None:
        """Take an event; this is the sink."""
        handler = self._handlers.get(name)
        if handler is not None:
            handler(fields)

    async def render(self) -> bytes:
        """The page for /metrics, of type `CONTENT_TYPE`, with the queue as it is now."""
        await self.refresh()
        return self.page()[0]

    async def refresh(self) -> None:
        """Ask the engine for the queue gauges."""
        if self._stats is not None:
            await self._ask_engine(self._stats)

    def page(self) -> tuple[bytes, str]:
        """The page and its content type, with the queue as it was at the last `refresh`."""
        return generate_latest(self.registry), CONTENT_TYPE

    # --- what each event counts ---

    def _turn_started(self, event: Event) -> None:
        self._observe("turn_wait_seconds", event.get("waited"), agent=event.get("agent"))

    def _turn_ended(self, event: Event) -> None:
        self._count("turns", agent=event.get("agent"), status=event.get("status"))
        self._observe("turn_seconds", event.get("seconds"), agent=event.get("agent"))

    def _model_call(self, event: Event) -> None:
        model = {"provider": event.get("provider"), "model": event.get("model")}
        self._count("model_calls", **model, outcome=event.get("outcome"))
        self._observe("model_call_seconds", event.get("seconds"), **model)
        self._count("model_tokens", event.get("input_tokens") or 0, **model, direction="input")
        self._count("model_tokens", event.get("output_tokens") or 0, **model, direction="output")

    def _model_retry(self, event: Event) -> None:
        names = {label: event.get(label) for label in ("provider", "model", "status")}
        self._count("model_retries", **names)

    def _model_limit(self, event: Event) -> None:
        self._set("model_concurrency_limit", event.get("concurrency"), provider=event.get("provider"))
        self._set("model_rate_limit", event.get("rate"), provider=event.get("provider"))

    def _tool_call(self, event: Event) -> None:
        self._count("tool_calls", tool=event.get("tool"), outcome=event.get("outcome"))
        self._observe("tool_call_seconds", event.get("seconds"), tool=event.get("tool"))

    def _loop_blocked(self, event: Event) -> None:
        # Reported twice: while it lasts, and at its end with the total.
        if event.get("ended"):
            self._count("loop_blocked")
            self._count("loop_blocked_seconds", event["seconds"])

    def _engine_trouble(self, _event: Event) -> None:
        self._count("engine_troubles")
        self._set("engine_up", 0)

    def _request_ended(self, event: Event) -> None:
        method = event.get("method")
        route = route_of(event)
        known = method if method in _METHODS else "other"
        self._count("http_requests", method=known, route=route, status=event.get("status"))
        self._observe("http_request_seconds", event.get("seconds"), route=route)

    # --- the registry ---

    def _make(self, metric: Metric) -> None:
        name = f"turnlane_{metric.name}"
        if metric.kind == "counter":
            self._counters[metric.name] = Counter(name, metric.meaning, metric.labels, registry=self.registry)
        elif metric.kind == "gauge":
            self._gauges[metric.name] = Gauge(name, metric.meaning, metric.labels, registry=self.registry)
        else:
            self._histograms[metric.name] = Histogram(
                name, metric.meaning, metric.labels, buckets=metric.buckets, registry=self.registry
            )

    def _count(self, name: str, amount: float = 1, /, **labels: object) -> None:
        counter = self._counters[name]
        (counter.labels(*self._bounded(labels)) if labels else counter).inc(amount)

    def _observe(self, name: str, value: float | None, /, **labels: object) -> None:
        if value is not None:
            histogram = self._histograms[name]
            (histogram.labels(*self._bounded(labels)) if labels else histogram).observe(value)

    def _set(self, name: str, value: float | None, /, **labels: object) -> None:
        if value is not None:
            gauge = self._gauges[name]
            (gauge.labels(*self._bounded(labels)) if labels else gauge).set(value)

    def _bounded(self, labels: Mapping[str, object]) -> list[str]:
        return [self._values.setdefault(name, BoundedValues())(value) for name, value in labels.items()]

    async def _ask_engine(self, stats: Callable[[], Awaitable[QueueStats]]) -> None:
        try:
            async with asyncio.timeout(STATS_PATIENCE):
                seen = await stats()
        except Exception:
            # A store that can't be read must not take the other numbers away: NaN shows the gap.
            for name in ("turns_queued", "turns_running", "conversations_active", "oldest_queued_seconds"):
                self._set(name, float("nan"))
            return
        self._set("turns_queued", seen.queued)
        self._set("turns_running", seen.running)
        self._set("conversations_active", seen.conversations_active)
        oldest = seen.oldest_queued_at
        self._set("oldest_queued_seconds", 0.0 if oldest is None else max(0.0, self._clock() - oldest))


def route_of(event: Event) -> str:
    """The route of a request: the event's own `route`, else its path with every id written as `{id}`.

    What was not found has no route: scanners ask for paths without end.
    """
    if event.get("route"):
        return str(event["route"])
    if event.get("status") == 404:
        return "unknown"
    return "/".join("{id}" if _ID.fullmatch(part) else part for part in str(event.get("path")).split("/"))
