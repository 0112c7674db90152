"""What a probe found: the shapes of its report, and the report as JSON.

All times are seconds since the probe's start, on one clock, so that requests, provider calls and hazards can be
drawn on one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

CauseSource = Literal["guard", "answer", "log", "provider", "connection"]
"""Who told the first cause: the guard in the program, the answer's body, the program's output, the provider, or
the connection."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the program's source."""

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" in {self.function}" if self.function else "")


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of a stack, outermost first."""

    file: str
    line: int
    function: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack with what it is the stack of, such as "the first run started here"."""

    title: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The first cause of a failed request.

    Attributes:
        text: one line; failures with the same text are counted together.
        kind: type of the exception, or what stands for it (`HTTP 422`, `no answer`).
        message: what it says, whole.
        source: who told it.
        frames: where it was raised, outermost first; empty if nobody knows.
        agent: name of the agent whose run failed.
        tool: name of the tool that failed.
    """

    text: str
    kind: str
    message: str
    source: CauseSource
    frames: tuple[Frame, ...] = ()
    agent: str | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCall:
    """One request that the provider received.

    Attributes:
        number: from 1, in the order of arrival.
        started: when it arrived.
        finished: when its answer ended; None if it still ran.
        status: HTTP status answered; None for a cut connection.
        fault: kind of the fault that it met.
        error: what the provider refused, in its words; None for an answer.
        users: names of the users whose words its prompt holds, in the order in which they are met.
        stream: whether it asked for a stream.
        disconnected: whether the program went away before the answer's end.
        finish_reason: why the model ended, such as `stop` or `length`; None without an answer, or where it is not
            known.
    """

    number: int
    started: float
    finished: float | None
    status: int | None
    fault: str | None = None
    error: str | None = None
    users: tuple[str, ...] = ()
    stream: bool = False
    disconnected: bool = False
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request of a simulated user to the program: a bar of the timeline.

    Attributes:
        id: sent as `x-request-id`.
        concurrency: the level it belongs to.
        round: from 1.
        turn: from 1, within its conversation.
        user: the simulated user's name.
        conversation: the key sent for the conversation.
        prompt: what the user said.
        started: when it was sent.
        finished: when its answer ended, or was given up.
        status: HTTP status; None without an answer.
        answer: the answer's text, shortened.
        cause: why it failed; None if it succeeded.
        calls: the provider calls that it caused.
        leaked: names of other users whose words its prompts or its answer held.
        lost: whether an earlier message of its own conversation was missing from its prompts.
        reordered: whether its own messages were in another order in a prompt.
        process: process that served it, if the guard told.
    """

    id: str
    concurrency: int
    round: int
    turn: int
    user: str
    conversation: str
    prompt: str
    started: float
    finished: float
    status: int | None
    answer: str = ""
    cause: Cause | None = None
    calls: tuple[ProviderCall, ...] = ()
    leaked: tuple[str, ...] = ()
    lost: bool = False
    reordered: bool = False
    process: int | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the user got an answer that is no error."""
        return self.cause is None

    @property
    def seconds(self) -> float:
        """How long the user waited."""
        return self.finished - self.started


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A word of one user that another user's prompt or answer held.

    Attributes:
        owner: name of the user whose word it is.
        seen_by: name of the user in whose prompt or answer it was.
        where: `prompt` or `answer`.
        concurrency: the level at which it was seen.
        round: the round.
        word: the word.
        text: the text around it.
        owner_request: id of the owner's request that said it.
        seen_request: id of the request that showed it.
    """

    owner: str
    seen_by: str
    where: Literal["prompt", "answer"]
    concurrency: int
    round: int
    word: str
    text: str
    owner_request: str
    seen_request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What happened with so many users at once. Times in seconds; None where nothing could be measured.

    Attributes:
        concurrency: users at once.
        requests: requests sent.
        succeeded: requests answered without an error.
        errors: failed requests by first cause.
        leaks: requests that showed another user's word.
        lost: requests whose prompts lacked an own earlier message; None where the program keeps no history.
        reordered: requests whose prompts held own messages in another order; None as for `lost`.
        p50: median time of a request.
        p99: 99th percentile of the same.
        provider_p50: median time of the provider's own answers.
        loop_lag: longest time for which the program's event loop stood still.
        open_files: most files open in the program's processes.
        provider_calls_per_request: provider calls over requests.
    """

    concurrency: int
    requests: int
    succeeded: int
    errors: Mapping[str, int] = field(default_factory=dict)
    leaks: int = 0
    lost: int | None = None
    reordered: int | None = None
    p50: float | None = None
    p99: float | None = None
    provider_p50: float | None = None
    loop_lag: float | None = None
    open_files: int | None = None
    provider_calls_per_request: float = 0.0

    @property
    def failed(self) -> int:
        """Requests that ended with an error."""
        return self.requests - self.succeeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """What the guard saw inside the program: one of its records.

    Attributes:
        code: hazard code such as TL201.
        name: its name, such as `shared-agent`.
        message: what happened.
        fix: what to do.
        time: when, in seconds since the probe's start.
        place: where in the program.
        object: the object it is about, such as "AssistantAgent 'support'".
        stacks: stacks that belong to it.
        requests: ids of the requests that met.
        pid: the process.
        count: how often it was seen.
        measures: figures, such as a depth.
    """

    code: str
    name: str
    message: str
    fix: str
    time: float
    place: Place | None = None
    object: str = ""
    stacks: tuple[Stack, ...] = ()
    requests: tuple[str, ...] = ()
    pid: int = 0
    count: int = 1
    measures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One experiment: the failing level again with one thing changed.

    Attributes:
        experiment: what was changed, such as `fresh agents`.
        before: what was seen without the change, such as "12 of 20 leaked".
        after: what was seen with it.
        vanished: whether the failure vanished with the change; None for a plain observation.
    """

    experiment: str
    before: str
    after: str
    vanished: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A hazard that the probe holds to be in the program.

    Attributes:
        code: hazard code.
        confidence: 0 to 1.
        summary: what is wrong, in a sentence.
        fix: what to do.
        minimal_level: the fewest users at once with which it shows; None where that does not matter.
        evidence: the experiments that speak for it.
        place: where `check` or the guard sees it in the source.
    """

    code: str
    confidence: float
    summary: str
    fix: str
    minimal_level: int | None = None
    evidence: tuple[Evidence, ...] = ()
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultReport:
    """What became of one kind of injected fault.

    Attributes:
        fault: as written for `--inject`, such as `429=10/s`.
        met: provider calls that met it.
        requests: requests of users whose calls met it.
        reached_user: requests that failed after it.
        shown_as: what those users got, and how often: first cause and number.
        calls_per_request: provider calls of the requests that met it, on average.
        repeated: what a retry repeated, in sentences; empty for nothing.
    """

    fault: str
    met: int
    requests: int = 0
    reached_user: int = 0
    shown_as: Mapping[str, int] = field(default_factory=dict)
    calls_per_request: float = 0.0
    repeated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a probe found.

    Attributes:
        target: what was probed.
        started: when, as an ISO 8601 time with its zone.
        seconds: how long it took.
        levels: the ramp.
        leaks: every leak of the ramp.
        verdicts: what is wrong, the surest first; empty if nothing is.
        requests: every request of the ramp.
        hazards: what the guard saw.
        faults: what became of injected faults.
        where: where the program runs, as `turnlane doctor` shows it; empty without the guard.
        notes: what the reader should know of how this was measured, in sentences.
    """

    target: str
    started: str
    seconds: float
    levels: tuple[Level, ...] = ()
    leaks: tuple[Leak, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    requests: tuple[RequestRecord, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    faults: tuple[FaultReport, ...] = ()
    where: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def codes(self) -> frozenset[str]:
        """The hazard codes of the verdicts."""
        return frozenset(verdict.code for verdict in self.verdicts)

    @property
    def no_leaks(self) -> bool:
        """Whether no user's word was seen by another."""
        return not self.leaks

    @property
    def no_errors(self) -> bool:
        """Whether every request was answered without an error."""
        return all(level.failed == 0 for level in self.levels)

    @property
    def no_lost(self) -> bool:
        """Whether no conversation lost or reordered a message of its own."""
        return not any(level.lost or level.reordered for level in self.levels)

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object; see docs/reference/probe.md."""
        shown = asdict(self)
        shown["codes"] = sorted(self.codes)
        return shown
