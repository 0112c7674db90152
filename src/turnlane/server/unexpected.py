"""Our own mistakes: logged with their stack, never put on the user."""

from __future__ import annotations

import traceback

from starlette.types import Scope

from turnlane.telemetry.events import emit


def report(error: Exception, scope: Scope) -> None:
    """Tell the log about an exception that should not have happened."""
    emit(
        "request.failed",
        method=scope["method"],
        path=scope.get("turnlane.path", "unknown"),
        type=type(error).__name__,
        message=str(error),
        stack="".join(traceback.format_exception(error)),
    )
