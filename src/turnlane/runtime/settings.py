"""Settings of a serving process. One table: flags, environment variables and the docs page come from it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from turnlane.runtime.limits import Bounds
from turnlane.telemetry.logs import LogFormat, LogLevel

ENVIRONMENT_PREFIX: Final = "TURNLANE_"
"""`--log-level` is `TURNLANE_LOG_LEVEL`; a flag wins over its variable."""

OTHER_VARIABLES: Final = {
    "TURNLANE_API_KEYS": "API keys, `NAME KEY [admin]`, one a line or separated by commas; in place of "
    "`--api-key-file` where there are no files.",
    "TURNLANE_TARGET": "What to serve, in place of arguments; several with spaces between.",
}
"""Environment variables that are no flags."""


class ProcessSettings(BaseModel):
    """What `turnlane serve` and `turnlane worker` have in common. Times are seconds, sizes are bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: str | None = Field(
        default=None,
        description="URL of the engine: `postgresql://USER@HOST/DATABASE` for several machines, or "
        "`sqlite:///FOLDER`. None: the embedded one, in the data folder. A password belongs into the environment "
        "variable or a password file: every user of the machine can read the flags of a process.",
    )
    lease: float = Field(
        default=15.0,
        ge=1,
        le=3600,
        description="Seconds after which other workers run the turns of one that is silent. A worker that lives "
        "renews every third of it; the embedded engine needs none.",
    )
    # A running turn waits for its model nearly all the time: a thousand of them cost memory (about 0.1 MB
    # each), not CPU, and each provider's limit bounds the calls by itself.
    capacity: int = Field(default=1000, ge=1, description="Turns that run at once in this process.")
    # asyncio's own default is the number of cores + 4, so six waiting sync tools would block all others.
    tool_threads: int = Field(default=64, ge=1, description="Threads for sync tools; started when needed.")
    grace: float = Field(
        default=30.0,
        ge=0,
        description="Seconds that running turns get at SIGTERM; the rest run again at another worker, or at the "
        "next start.",
    )
    max_attempts: int = Field(
        default=Bounds().attempts,
        ge=1,
        description="How often a turn is started before it is failed, if its process keeps dying.",
    )
    api_key_file: Path | None = Field(
        default=None, description="File with API keys, one a line: NAME KEY [admin]."
    )
    log_format: LogFormat = Field(
        default="auto", description="`text`, `json`, or `auto`: text on a terminal, JSON elsewhere."
    )
    log_level: LogLevel = Field(default="info", description="The least level that is logged.")
    log_content: bool = Field(default=False, description="Log prompts and answers too.")
    loop_watch: float = Field(
        default=0.25,
        ge=0,
        description="Seconds after which a blocked event loop is reported with its stack; 0: never.",
    )
    practice: bool = Field(
        default=False, description="Answer model calls with the built-in practice provider; needs no key."
    )
    practice_script: Path | None = Field(
        default=None, description="Script of the practice provider, YAML or Python; implies --practice."
    )

    @property
    def bounds(self) -> Bounds:
        """The engine's bounds."""
        return Bounds(attempts=self.max_attempts)

    @property
    def practises(self) -> bool:
        """Whether the practice provider answers."""
        return self.practice or self.practice_script is not None


class ServeSettings(ProcessSettings):
    """How a process serves over HTTP."""

    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. Other than loopback needs API keys.",
    )
    port: int = Field(default=8080, ge=0, le=65_535, description="Port to listen on; 0: any free one.")
    data: Path = Field(
        default=Path(".turnlane"), description="Folder of the embedded engine; made when it is not there."
    )
    no_worker: bool = Field(
        default=False,
        description="Take turns and run none: a front end, for which `turnlane worker` runs the agents.",
    )
    max_lane: int = Field(
        default=Bounds().lane, ge=1, description="Turns that may wait in one conversation; above it 429."
    )
    max_queue: int = Field(
        default=Bounds().total, ge=1, description="Turns that may wait in all conversations together."
    )
    max_body: int = Field(default=4_000_000, ge=1, description="Bytes a request body may have; above it 413.")
    allow_anonymous: bool = Field(default=False, description="Serve other machines without API keys, on purpose.")

    @property
    def bounds(self) -> Bounds:
        """The engine's bounds."""
        return Bounds(lane=self.max_lane, total=self.max_queue, attempts=self.max_attempts)


class WorkerSettings(ProcessSettings):
    """How a process runs agents for the front ends of other processes."""

    health_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="Port for /healthz, /readyz and /metrics; 0: any free one. None: the worker listens nowhere.",
    )
    health_host: str = Field(
        default="127.0.0.1",
        description="Address for --health-port. With API keys, /metrics needs one, as it does at a server.",
    )


def flag_of(field: str) -> str:
    """`--log-level` for `log_level`."""
    return f"--{field.replace('_', '-')}"


def variable_of(field: str) -> str:
    """`TURNLANE_LOG_LEVEL` for `log_level`."""
    return f"{ENVIRONMENT_PREFIX}{field.upper()}"
