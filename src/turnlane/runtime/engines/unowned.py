"""The ends of turns that no worker ended: engines tell of these, workers of all others."""

from __future__ import annotations

from turnlane.runtime.conversation import Turn
from turnlane.telemetry.events import emit


def tell_ended(turn: Turn) -> None:
    """A turn ended while it waited, or after its owner had died: cancelled, stopped, or of too many attempts."""
    if turn.failure is not None and turn.status == "failed":
        emit(
            "turn.failed",
            **_names(turn),
            type=turn.failure.type,
            message=turn.failure.message,
            hazard=turn.failure.hazard,
            code=turn.failure.code,
        )
    emit("turn.ended", **_names(turn), status=turn.status)


def _names(turn: Turn) -> dict[str, object]:
    return {
        "turn": turn.id,
        "conversation": turn.conversation,
        "attempt": turn.attempt,
        "agent": turn.agent,
        "request_id": turn.request_id,
    }
