"""What the server is told from outside: its bounds and whether it is ready."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


class ServerSettings(BaseModel):
    """Settings of the HTTP server. Times are seconds, sizes are bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(
        default="127.0.0.1",
        description="The address it is bound to; without API keys a request's Host must be it, or loopback.",
    )
    max_body: int = Field(default=4_000_000, ge=1, description="Bytes a request body may have; above it 413.")
    heartbeat: float = Field(
        default=15.0, gt=0, description="Seconds of silence after which a stream gets a comment line."
    )


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether new turns can be accepted, and if not why."""

    ready: bool
    reason: str | None = None
