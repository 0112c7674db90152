"""AWS Lambda: one event after the other in a process that may be frozen between them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from turnlane.guard.hosts.calls import watch
from turnlane.guard.imports import when_imported
from turnlane.guard.requests import Request


def install() -> None:
    """Wait for the runtime's client."""
    when_imported("awslambdaric.bootstrap", _bootstrap)


def _bootstrap(module: ModuleType) -> None:
    watch(module, "handle_event_request", _event)


def _event(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
    invocation = kwargs.get("invoke_id", args[2] if len(args) > 2 else None)
    request = Request("lambda", "event", id=str(invocation) if invocation else None)
    body = kwargs.get("event_body", args[3] if len(args) > 3 else b"")
    request.learn_json(body.encode() if isinstance(body, str) else bytes(body))
    return request
