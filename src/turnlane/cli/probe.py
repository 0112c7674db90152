"""`turnlane probe`: simulated users talk to a program; what goes wrong under load, and why."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from turnlane.cli.complaint import FAILED, Complaint
from turnlane.cli.static_findings import static_findings
from turnlane.practice import PortUnavailable
from turnlane.probe.attribute import attributor
from turnlane.probe.drive import Session
from turnlane.probe.html import page
from turnlane.probe.live import LiveTable, progress
from turnlane.probe.model_side import PracticeSide
from turnlane.probe.options import Prepared, ProbeOptions, run
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.report import Report
from turnlane.probe.run import Attribution, Attributor, Watcher
from turnlane.probe.sources import sources_of
from turnlane.probe.talk import MESSAGES
from turnlane.probe.text import text
from turnlane.probe.trouble import ProbeError

OutputFormat = Literal["full", "json", "html"]

INTERRUPTED = 130
"""Exit status after Ctrl-C, as a shell gives it."""
WIDTH = 100
"""Columns of a report that no terminal shows."""

Positive = Annotated[float, Parameter(validator=Number(gt=0))]
Count = Annotated[int, Parameter(validator=Number(gte=1))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Addressed:
    """The program to probe, and what is sent to it."""

    url: str | None = None
    """Address of any program behind HTTP; may hold {port}, {conversation} and {user}. For an app: the route."""
    json: str | None = None
    """What is sent, with {prompt}, {conversation}, {user}, {messages}; by default what /openapi.json says."""
    method: str = "POST"
    """HTTP method."""
    header: Annotated[list[str], Parameter(negative="")] = field(default_factory=list)
    """Header to send, as `Authorization: Bearer KEY`; may be given again."""
    answer: str | None = None
    """Where the text is in a JSON answer, as `data.0.text`."""
    openai: str | None = None
    """Address of a program that speaks OpenAI's chat API, with its /v1."""
    model: str = "gpt-4o-mini"
    """Model or agent to ask for, with --openai."""
    stream: Annotated[bool, Parameter(negative="")] = False
    """Ask for streamed answers, with --openai."""
    start: str | None = None
    """Command that starts the program; it runs under the guard, its model calls come to the probe."""
    allow_remote: Annotated[bool, Parameter(negative="")] = False
    """Let the program be on another machine."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Provided:
    """The provider of the program's models."""

    provider_port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 0
    """Port of the practice provider, for a program that is not started by the probe."""
    script: Path | None = None
    """Script of the practice provider, in place of the probe's own."""
    upstream: str | None = None
    """Address of a real provider, with its /v1: calls are recorded and passed on to it."""
    inject: str | None = None
    """Faults of the practice provider, as 429=10/s,500=5%,latency=200ms..2s,cut=2%,malformed=1%,drop=1%."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Ramp:
    """How many users come, and for how long."""

    levels: str = "1,5,20"
    """Users at once, level by level."""
    rounds: Count = 3
    """How often so many new users come."""
    turns: Count = 2
    """Messages of each user."""
    prompt: Annotated[list[str], Parameter(negative="")] = field(default_factory=list)
    """What users say, turn by turn; {word} is the user's secret word."""
    max_requests: Count = 1000
    """Requests to the program, in all."""
    max_seconds: Positive = 110.0
    """Seconds, in all."""
    timeout: Positive = 20.0
    """Seconds for one request."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Reported:
    """What is written, and what fails."""

    output_format: OutputFormat = "full"
    """Text for a terminal, JSON, or a page of its own."""
    output: Path | None = None
    """File to write the report to."""
    fail_on: str = ""
    """What makes the exit status 1: leak, error, lost, separated by commas."""
    attribute: Annotated[bool, Parameter(negative="--no-attribute")] = True
    """Find the cause by experiments after the ramp."""


def probe(
    target: str | None = None,
    /,
    *,
    addressed: Addressed = Addressed(),
    provided: Provided = Provided(),
    ramp: Ramp = Ramp(),
    reported: Reported = Reported(),
) -> int:
    """Let simulated users talk to a program and name the cause of what goes wrong.

    Each user has a secret word; a word that another user's prompt or answer holds is a leak. 1, then 5, then 20
    users come at once. The program's models are played by the practice provider.

    Parameters
    ----------
    target
        A function or an ASGI app: my_app:handler or app.py:handler. Else give --url or --openai.
    """
    failing = _failing(reported.fail_on)
    _check_writable(reported.output)
    partial: list[Report] = []
    try:
        options = _options(target, addressed, provided, ramp)
        with _ended_by_signals():
            report = asyncio.run(_probed(options, attributed=reported.attribute, interrupted=partial.append))
    except KeyboardInterrupt:
        if not partial:
            raise Complaint("The probe was interrupted before its first level was done.", INTERRUPTED) from None
        _write(partial[0], reported)
        raise Complaint("The probe was interrupted: its report is incomplete.", INTERRUPTED) from None
    except ProbeError as error:
        raise Complaint(str(error)) from None
    except PortUnavailable as error:
        raise Complaint(error.strerror or str(error)) from None
    _write(report, reported)
    return FAILED if _fails(report, failing) else 0


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM, and a terminal that is closed, end the probe as Ctrl-C does: the program that it has started must
    end with it."""
    names = ("SIGTERM", "SIGHUP")
    # One that is ignored, as by nohup, stays so.
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    mine = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in mine:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])


def _interrupt(_: int, frame: FrameType | None) -> None:
    # What asyncio has for SIGINT: it cancels the main task, so that what was started is ended.
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # ignored, as in the background of a script
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


async def _probed(options: ProbeOptions, *, attributed: bool, interrupted: Callable[[Report], None]) -> Report:
    watcher = progress(sys.stderr)
    with watcher if isinstance(watcher, LiveTable) else nullcontext():
        return await run(
            options,
            attributor=attribution_with_check if attributed else None,
            watcher=watcher,
            ready=_where_to,
            interrupted=interrupted,
        )


def _where_to(session: Session) -> None:
    """A program that runs already must have been pointed at the provider by the user."""
    if not session.target.starts:
        sys.stderr.write(f"the program must call its models at {session.side.base_url}\n")


def attribution_with_check(prepared: Prepared) -> Attributor:
    """Find the causes by experiments, together with what `check` says of the target's source."""

    async def attribute(
        session: Session, outcomes: Sequence[LevelOutcome], watcher: Watcher
    ) -> AsyncIterator[Attribution]:
        sources = sources_of(session.target.command, session.target.directory)
        found = await static_findings(sources) if sources else ()
        with_findings = attributor(
            static=found,
            injection=prepared.injection,
            script=prepared.script,
            practice=isinstance(session.side, PracticeSide),
        )
        async for known in with_findings(session, outcomes, watcher):
            yield known

    return attribute


def _options(target: str | None, addressed: Addressed, provided: Provided, ramp: Ramp) -> ProbeOptions:
    return ProbeOptions(
        target=target,
        url=addressed.url,
        json=addressed.json,
        method=addressed.method,
        headers=dict(map(_header, addressed.header)),
        answer=addressed.answer,
        openai=addressed.openai,
        model=addressed.model,
        stream=addressed.stream,
        start=addressed.start,
        allow_remote=addressed.allow_remote,
        provider_port=provided.provider_port,
        script=provided.script,
        upstream=provided.upstream,
        inject=provided.inject,
        levels=ramp.levels,
        rounds=ramp.rounds,
        turns=ramp.turns,
        prompts=tuple(ramp.prompt) or MESSAGES,
        max_requests=ramp.max_requests,
        max_seconds=ramp.max_seconds,
        timeout=ramp.timeout,
    )


def _header(given: str) -> tuple[str, str]:
    name, colon, value = given.partition(":")
    if not colon or not name.strip():
        # The value may be a key: it is not shown.
        raise ProbeError("--header must be written as 'Name: value'.")
    return name.strip().lower(), value.strip()


def _failing(given: str) -> frozenset[str]:
    words = frozenset(word.strip() for word in given.split(",") if word.strip())
    unknown = sorted(words - {"leak", "error", "lost"})
    if unknown:
        raise Complaint(f"--fail-on {unknown[0]!r} is unknown: write leak, error or lost, separated by commas")
    return words


def _fails(report: Report, failing: frozenset[str]) -> bool:
    found = {"leak": not report.no_leaks, "error": not report.no_errors, "lost": not report.no_lost}
    return any(found[word] for word in failing)


def _check_writable(output: Path | None) -> None:
    """Told before the probe, not after two minutes of it."""
    if output is None:
        return
    if output.is_dir() or not os.access(output if output.exists() else output.absolute().parent, os.W_OK):
        raise Complaint(f"{output} cannot be written: name a file in a folder that you may write to with --output")


def _write(report: Report, reported: Reported) -> None:
    if reported.output is None:
        _show(report, reported.output_format)
        return
    told = _rendered(report, reported.output_format)
    try:
        # A program may answer half of a character, which no encoding has.
        reported.output.write_text(told, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        _show(report, reported.output_format)
        raise Complaint(
            f"{reported.output} cannot be written: {error.strerror}. The report went to the standard output.",
            FAILED,
        ) from None


def _show(report: Report, wanted: OutputFormat) -> None:
    color = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if color else WIDTH
    told = _rendered(report, wanted, width=width, color=color)
    encoding = sys.stdout.encoding
    try:
        sys.stdout.write(told.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # a reader that has seen enough is no trouble
    except OSError as error:
        # What is left of it would be tried once more at the process's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Complaint(
            f"The report cannot be written to the standard output: {error.strerror}. Name a file with --output.",
            FAILED,
        ) from None


def _rendered(report: Report, wanted: OutputFormat, *, width: int = WIDTH, color: bool = False) -> str:
    if wanted == "json":
        return json.dumps(report.as_json(), indent=1) + "\n"
    return page(report) if wanted == "html" else text(report, width=width, color=color)
