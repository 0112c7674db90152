"""One line per event: what is in it, what is kept out of it, and what comes from elsewhere."""

from __future__ import annotations

import io
import json
import logging
import timeit
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from turnlane.telemetry import redact
from turnlane.telemetry.events import EVENTS, bound, emit
from turnlane.telemetry.logs import LEVELS, QUIET, SaidOnce, log_sink, resolve_format, start_logs

Start = Callable[..., io.StringIO]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts logs to a stream, and stops them after the test."""
    redact.remember_secrets({})
    stops: list[Callable[[], None]] = []

    def begin(stream: io.StringIO | None = None, **options: Any) -> io.StringIO:
        out = stream or io.StringIO()
        stops.append(start_logs(stream=out, **options))
        return out

    yield begin
    for stop in stops:
        stop()
    monkeypatch.setattr(redact, "_redact", None)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_every_event_has_a_level() -> None:
    assert set(LEVELS) == set(EVENTS)


def test_line_tells_who_and_what_first(start: Start) -> None:
    out = start()
    with bound(request_id="req_1", conversation="conv_1", turn="resp_1", attempt=2, agent="support"):
        emit("turn.ended", status="completed", seconds=1.23456, tool=None)
    (line,) = lines(out)
    assert list(line)[:8] == [
        "timestamp", "level", "event", "request_id", "conversation", "turn", "attempt", "agent",
    ]  # fmt: skip
    assert line["event"] == "turn.ended"
    assert line["level"] == "info"
    assert line["seconds"] == 1.2346
    assert "tool" not in line


def test_exception_type_is_called_error_and_the_stack_is_kept(start: Start) -> None:
    out = start()
    emit("turn.failed", type="KeyError", hazard="TL401", stack="Traceback\n  File x")
    (line,) = lines(out)
    assert (line["error"], line["hazard"], line["stack"]) == ("KeyError", "TL401", "Traceback\n  File x")


def test_secrets_are_masked_at_any_depth(start: Start) -> None:
    out = start()
    emit("turn.failed", message="dsn=postgres://u:p@h/db", details={"a": ["key sk-abcdefghijkl"]})
    assert "postgres://u:***@h/db" in out.getvalue()
    assert "sk-abcdef" not in out.getvalue()


def test_prompts_and_answers_only_when_asked_for(start: Start) -> None:
    quiet, open_ = start(), start(content=True)
    emit("model.call", model="m", prompt="my salary", answer="is secret")
    assert "salary" not in quiet.getvalue()
    assert "my salary" in open_.getvalue()


@pytest.mark.parametrize(
    ("event", "fields", "level"),
    [
        ("request.ended", {"path": "/v1/responses", "status": 200}, "info"),
        ("request.ended", {"path": "/v1/responses", "status": 500}, "error"),
        ("request.ended", {"path": "/v1/responses", "status": 503}, "warning"),
        ("request.ended", {"path": "/readyz", "status": 503}, None),
        ("request.ended", {"path": "/metrics", "status": 200}, None),
        ("turn.failed", {"kind": "cancelled"}, "info"),
        ("turn.failed", {"kind": "agent"}, "error"),
        ("model.call", {"outcome": "ok"}, "info"),
        ("model.call", {"outcome": "rate_limit"}, "warning"),
        ("turn.started", {}, None),
        ("an.event.of.tomorrow", {}, "info"),
    ],
)
def test_level(start: Start, event: str, fields: dict[str, Any], level: str | None) -> None:
    out = start()
    emit(event, **fields)
    assert [line["level"] for line in lines(out)] == ([level] if level else [])


def test_least_level_is_a_setting(start: Start) -> None:
    errors, everything = start(level="error"), start(level="debug")
    emit("turn.ended", status="completed")
    emit("turn.started")
    assert errors.getvalue() == ""
    assert len(lines(everything)) == 2


def test_same_trouble_is_said_once() -> None:
    said: list[Any] = []
    now = [0.0]
    sink = log_sink(lambda level, event, fields: said.append(fields), clock=lambda: now[0])
    for _ in range(1000):
        sink("engine.trouble", {"reason": "disk full"})
    sink("engine.trouble", {"reason": "read-only"})
    assert said == [{"reason": "disk full"}, {"reason": "read-only", "repeats": 999}]


def test_trouble_after_its_end_is_said_again() -> None:
    said: list[tuple[str, str]] = []
    sink = log_sink(lambda level, event, fields: said.append((level, event)), clock=lambda: 0.0)
    for event in ("engine.trouble", "engine.trouble", "engine.back", "engine.trouble"):
        sink(event, {"reason": "disk full"})
    trouble, back = ("error", "engine.trouble"), ("warning", "engine.back")
    assert said == [trouble, back, trouble]


def test_trouble_that_comes_back_is_said_again() -> None:
    now = [0.0]
    said = SaidOnce(lambda: now[0])
    assert said.admit("disk full") == 0
    now[0] += QUIET - 1
    assert said.admit("disk full") is None
    now[0] += QUIET
    assert said.admit("disk full") == 1


def test_text_puts_the_stack_under_the_line(start: Start) -> None:
    out = start(format="text")
    emit("tool.failed", tool="look_up", type="KeyError", stack="Traceback:\n  File x\nKeyError: 'a'")
    first, *below = out.getvalue().splitlines()
    assert "tool.failed" in first
    assert "tool=look_up" in first
    assert below == ["Traceback:", "  File x", "KeyError: 'a'"]


def test_terminal_gets_colours_and_no_control_characters_of_others(start: Start) -> None:
    out = start(Terminal())
    emit("turn.failed", message="evil\x1b[2Jtext")
    assert "\x1b[2J" not in out.getvalue()
    assert "evil" in out.getvalue()
    assert "\x1b[" in out.getvalue()


def test_auto_is_text_on_a_terminal_only() -> None:
    assert resolve_format("auto", Terminal()) == "text"
    assert resolve_format("auto", io.StringIO()) == "json"
    assert resolve_format("json", Terminal()) == "json"


def test_other_packages_warnings_go_the_same_way(start: Start) -> None:
    out = start()
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        logging.getLogger("some.package").exception("it broke")
    logging.getLogger("some.package").info("not told")
    (line,) = lines(out)
    assert (line["event"], line["level"], line["logger"]) == ("log", "error", "some.package")
    assert line["error"] == "ValueError"
    assert "test_logs.py" in line["stack"]
    assert "hunter2" not in out.getvalue()


def test_stack_that_autogen_logs_too_is_not_told_twice(start: Start) -> None:
    out = start()
    logging.getLogger("autogen_core").error("Error processing publish message for a/b")
    logging.getLogger("autogen_core").error("something else")
    assert [line["message"] for line in lines(out)] == ["something else"]


def test_coroutine_that_was_never_awaited_names_its_hazard(start: Start) -> None:
    out = start()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # pytest replaces the hook of `warnings`, so what Python would call is called here.
        logging.getLogger("py.warnings").warning("RuntimeWarning: coroutine 'Team.run' was never awaited")
    assert lines(out)[0]["hazard"] == "TL106"


def test_stopping_puts_logging_back() -> None:
    before = list(logging.getLogger().handlers)
    out = io.StringIO()
    start_logs(stream=out)()
    emit("turn.ended")
    assert logging.getLogger().handlers == before
    assert out.getvalue() == ""


def test_line_is_cheap(start: Start) -> None:
    out = start()
    fields = {
        "request_id": "req_" + "ab" * 18, "conversation": "conv_" + "0f" * 18, "turn": "resp_" + "0f" * 18,
        "attempt": 1, "agent": "support", "status": "completed", "seconds": 1.5, "model_calls": 2,
    }  # fmt: skip
    best = min(timeit.repeat(lambda: emit("turn.ended", **fields), number=500, repeat=5)) / 500
    assert out.tell()
    assert best < 60e-6, f"{best * 1e6:.0f} µs a line"
