"""pytest: a test is a piece of work, and no test is another user."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from turnlane.guard.hosts.calls import watch
from turnlane.guard.imports import when_imported
from turnlane.guard.requests import Request


def install() -> None:
    """Wait for pytest."""
    when_imported("_pytest.python", _python)


def _python(module: ModuleType) -> None:
    watch(module.Function, "runtest", _test)


def _test(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
    return Request("pytest", f"test {args[0].name}", keys={"session": "pytest"})
