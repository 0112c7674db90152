"""One log line per event: readable on a terminal, JSON elsewhere.

Secrets are masked in every line, prompts and answers are shown only when asked for. What other packages say with
the standard library's `logging` goes the same way, from warnings up.

structlog is imported when logs are started and not before: it costs 190 ms, and most verbs have no logs.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TextIO, TypeAlias

from turnlane.telemetry.events import Sink, add_sink
from turnlane.telemetry.redact import redact

LogFormat: TypeAlias = Literal["auto", "text", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
Write: TypeAlias = Callable[[str, str, Mapping[str, Any]], None]
"""Writes one line: level, event, fields."""

LEVELS: Final[Mapping[str, LogLevel]] = {
    "server.started": "info",
    "server.draining": "info",
    "server.stopped": "info",
    "worker.started": "info",
    "worker.draining": "info",
    "worker.stopped": "info",
    "request.ended": "info",
    "request.failed": "error",
    "turn.accepted": "debug",  # told again by turn.ended
    "turn.joined": "info",  # its request id is in no other line of the turn
    "turn.refused": "info",  # the client's fault or the bound's, told to the client; may come in thousands
    "turn.started": "debug",  # told again by turn.ended
    "turn.ended": "info",
    "turn.failed": "error",
    "turn.released": "info",
    "turn.dropped": "warning",
    "turn.leftover": "warning",
    "model.call": "info",
    "model.retry": "warning",
    "model.limit": "info",
    "limits.alone": "warning",
    "limits.shared": "warning",  # whoever reads of the one must read of the other
    "tool.call": "info",
    "tool.failed": "warning",
    "loop.blocked": "warning",
    "loop.lag": "debug",
    "engine.trouble": "error",
    "engine.back": "warning",  # whoever reads of the trouble must read of its end
}
"""The level of each event's line; `_level` knows the exceptions."""

CONTENT_FIELDS: Final = frozenset(
    ("input", "output", "prompt", "messages", "text", "answer", "content", "arguments")
)
"""Fields that hold what users and models say."""

FIRST_FIELDS: Final = ("request_id", "conversation", "turn", "attempt", "agent", "tool")
"""What a reader searches for stands first in every line, in this order."""

PROBE_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})

QUIET: Final = 60.0
"""Seconds after which trouble that is still the same is said again."""

_NUMBERS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def resolve_format(wanted: LogFormat, stream: TextIO) -> Literal["text", "json"]:
    """`auto` is text on a terminal and JSON elsewhere."""
    if wanted != "auto":
        return wanted
    return "text" if stream.isatty() else "json"


def start_logs(
    *,
    format: LogFormat = "auto",
    level: LogLevel = "info",
    content: bool = False,
    stream: TextIO | None = None,
) -> Callable[[], None]:
    """Write a line for every event from now on, to `stream` (default: stderr).

    Returns a function that ends it and puts the standard library's logging back as it was.

    Args:
        content: also log prompts and answers.
    """
    out = sys.stderr if stream is None else stream
    write = _writer(resolve_format(format, out), level, out)
    remove_sink = add_sink(log_sink(write, level=level, content=content))
    restore = _route_standard_logging(write)

    def stop() -> None:
        remove_sink()
        restore()

    return stop


def log_sink(
    write: Write,
    *,
    level: LogLevel = "debug",
    content: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Sink:
    """A sink that tells `write` what is worth a line at `level`."""
    least = _NUMBERS[level]
    said = SaidOnce(clock)

    def sink(name: str, fields: Mapping[str, Any]) -> None:
        chosen = _level(name, fields)
        if _NUMBERS[chosen] < least:
            return
        if name == "engine.trouble":
            repeats = said.admit(str(fields.get("reason")))
            if repeats is None:
                return
            fields = {**fields, "repeats": repeats or None}
        elif name == "engine.back":
            said.forget()
        write(chosen, name, line_fields(fields, content=content))

    return sink


class SaidOnce:
    """Lets a message through once, then again when it changes or has been quiet for `QUIET` seconds.

    A store that can't be written fails for every turn that waits; a thousand equal lines hide the one that counts.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: str | None = None
        self._seen_at = 0.0
        self._repeats = 0

    def admit(self, message: str) -> int | None:
        """None: keep it to yourself. Else say it; the number tells how often the one before was kept back."""
        now = self._clock()
        same = message == self._last and now - self._seen_at < QUIET
        self._seen_at = now
        if same:
            self._repeats += 1
            return None
        repeats, self._repeats, self._last = self._repeats, 0, message
        return repeats

    def forget(self) -> None:
        """What was said is over: the same is news when it comes again."""
        self._last, self._repeats = None, 0


def line_fields(fields: Mapping[str, Any], *, content: bool) -> dict[str, Any]:
    """The fields of one line, masked and in order. The exception's type is `error`; None is left out."""
    line = {name: _clean(fields[name]) for name in FIRST_FIELDS if fields.get(name) is not None}
    for name, value in fields.items():
        if value is None or name in line or (name in CONTENT_FIELDS and not content):
            continue
        line["error" if name == "type" else name] = _clean(value)
    return line


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    return redact(str(value))


def _level(name: str, fields: Mapping[str, Any]) -> LogLevel:
    if name == "request.ended":
        return _request_level(fields)
    if name == "turn.failed" and fields.get("kind") == "cancelled":
        return "info"
    if name in ("model.call", "tool.call") and fields.get("outcome", "ok") not in ("ok", "cancelled"):
        return "warning"
    return LEVELS.get(name, "info")


def _request_level(fields: Mapping[str, Any]) -> LogLevel:
    if fields.get("path") in PROBE_PATHS:
        return "debug"
    status = int(fields.get("status") or 0)
    if status == 503:  # the server stops, or its store is away: told by events of their own
        return "warning"
    return "error" if status >= 500 else "info"


# --- writing ---


def _writer(format: Literal["text", "json"], level: LogLevel, stream: TextIO) -> Write:
    import structlog

    processors: list[Any] = [structlog.processors.add_log_level]
    if format == "json":
        processors += [structlog.processors.TimeStamper(fmt="iso", utc=True), _head_first]
        processors += [structlog.processors.JSONRenderer()]
    else:
        processors += [structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False), _printable, _console(stream)]
    logger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_NUMBERS[level]),
    ).bind()

    def write(level: str, event: str, fields: Mapping[str, Any]) -> None:
        logger.log(_NUMBERS[level], event, **fields)

    return write


def _console(stream: TextIO) -> Any:
    from structlog.dev import ConsoleRenderer, plain_traceback

    return ConsoleRenderer(
        colors=stream.isatty(), sort_keys=False, pad_event_to=14, exception_formatter=plain_traceback
    )


def _head_first(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
    """What a person scans a JSON line for comes first."""
    return {"timestamp": line.pop("timestamp"), "level": line.pop("level"), "event": line.pop("event"), **line}


def _printable(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
    """Make control characters visible: text that comes from outside must not move a terminal's cursor."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in line.items()}


def visible(text: str) -> str:
    """`text` with control characters other than line breaks and tabs written out, as in `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


# --- the standard library's logging ---


class _Route(logging.Handler):
    """Sends records of the standard library the way of our events."""

    def __init__(self, write: Write) -> None:
        super().__init__(logging.WARNING)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: LogLevel = "error" if record.levelno >= logging.ERROR else "warning"
            self._write(level, "log", line_fields(_record_fields(record), content=True))
        except Exception:
            self.handleError(record)


def _record_fields(record: logging.LogRecord) -> dict[str, Any]:
    error = record.exc_info[1] if record.exc_info else None
    return {
        "logger": record.name,
        "message": record.getMessage(),
        "type": type(error).__name__ if error else None,
        "stack": "".join(traceback.format_exception(error)).rstrip() if error else None,
        # Python itself says so when a coroutine was never awaited, and this is what it means here.
        "hazard": "TL106" if "was never awaited" in record.getMessage() else None,
    }


def _is_told_by_us(record: logging.LogRecord) -> bool:
    """AutoGen logs a failing agent with its stack, and so do we, with the turn's ids and the first cause."""
    return record.name == "autogen_core" and record.getMessage().startswith("Error processing publish message")


def _route_standard_logging(write: Write) -> Callable[[], None]:
    root = logging.getLogger()
    handler = _Route(write)
    handler.addFilter(lambda record: not _is_told_by_us(record))
    root.addHandler(handler)
    # Python's warnings too: among them is "coroutine ... was never awaited".
    logging.captureWarnings(True)

    def restore() -> None:
        root.removeHandler(handler)
        logging.captureWarnings(False)

    return restore
