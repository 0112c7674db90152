"""A probe as it is asked for, on the command line or from a test: what is probed, how, within which bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from turnlane.practice import Script, ScriptError, load_script
from turnlane.probe.conditions import DEFAULT_TURNS, Conditions
from turnlane.probe.drive import Bounds, Session
from turnlane.probe.function_target import function_target
from turnlane.probe.inject import Injection, parse_injection
from turnlane.probe.model_side import ModelSide, PracticeSide
from turnlane.probe.program import command_words
from turnlane.probe.reach import check_reach, free_port
from turnlane.probe.report import Report
from turnlane.probe.run import DEFAULT_LEVELS, DEFAULT_ROUNDS, Attributor, Plan, Watcher, probe
from turnlane.probe.talk import MESSAGES
from turnlane.probe.target import Target, http_target, openai_target
from turnlane.probe.template import Json, parsed
from turnlane.probe.trouble import ProbeError
from turnlane.probe.upstream import RecordingProxy

DEFAULT_TEMPLATE: Final[Mapping[str, str]] = {
    "message": "{prompt}",
    "conversation_id": "{conversation}",
    "user_id": "{user}",
}
_BODILESS: Final = ("GET", "DELETE", "HEAD")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~\w-]+:[\t -~]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOptions:
    """What is asked for. One of `target`, `url` and `openai` says what to probe.

    Attributes:
        target: a function, agent or app in Python: `my_app:handler`, `app.py:handler`.
        url: address of a program behind HTTP; for an app as `target` the route. May hold `{port}`.
        json: what is sent, as JSON text or as a value.
        method: of HTTP.
        headers: to send.
        answer: where the text is in a JSON answer.
        openai: address of a program that speaks OpenAI's chat API.
        model: what is asked for there.
        stream: whether a streamed answer is asked for there.
        start: the command that starts the program.
        directory: where it is started; None for the present directory.
        allow_remote: let the program be on another machine.
        provider_port: of the practice provider; 0 for any.
        script: of the practice provider: a script, or the path of a file.
        upstream: address of a real provider to pass calls on to.
        inject: faults of the practice provider.
        levels: users at once, level by level; as numbers, or as text such as `1,5,20`.
        rounds: how often so many new users come.
        turns: messages of each user.
        prompts: what users say, turn by turn.
        max_requests: to the program, in all.
        max_seconds: in all.
        timeout: seconds for one request.
    """

    target: str | None = None
    url: str | None = None
    json: Json = None
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: str | None = None
    openai: str | None = None
    model: str = "gpt-4o-mini"
    stream: bool = False
    start: str | None = None
    directory: str | None = None
    allow_remote: bool = False
    provider_port: int = 0
    script: Script | Path | str | None = None
    upstream: str | None = None
    inject: str | None = None
    levels: Sequence[int] | str = DEFAULT_LEVELS
    rounds: int = DEFAULT_ROUNDS
    turns: int = DEFAULT_TURNS
    prompts: Sequence[str] = MESSAGES
    max_requests: int = 1000
    max_seconds: float = 110.0
    timeout: float = 20.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A probe that is ready to run: its session is not entered yet."""

    session: Session
    plan: Plan
    injection: Injection | None
    script: Script | None


def prepared(options: ProbeOptions) -> Prepared:
    """Check what is asked for.

    Raises:
        ProbeError: it makes no sense, or the target is on another machine.
    """
    _check_headers(options.headers)
    target = target_of(options)
    check_reach(target.host, allow_remote=options.allow_remote)
    injection = parse_injection(options.inject) if options.inject else None
    script = _script(options.script)
    session = Session(
        target,
        _model_side(options, script),
        bounds=Bounds(seconds=options.max_seconds, requests=options.max_requests, timeout=options.timeout),
        messages=tuple(options.prompts),
        keep_keys=options.upstream is not None,
    )
    conditions = injection.applied(Conditions()) if injection else Conditions()
    plan = Plan(levels=_levels(options.levels), rounds=options.rounds, turns=options.turns, base=conditions)
    return Prepared(session, plan, injection, script)


async def run(
    options: ProbeOptions,
    *,
    attributor: Callable[[Prepared], Attributor] | None = None,
    watcher: Watcher | None = None,
    ready: Callable[[Session], None] | None = None,
    interrupted: Callable[[Report], None] | None = None,
) -> Report:
    """Probe.

    Args:
        options: what is asked for.
        attributor: makes what finds the causes; None leaves the verdicts empty.
        watcher: hears of the progress.
        ready: called when the provider listens, before the first request.
        interrupted: is given the report of what was seen, if the probe is cancelled after its first level.

    Raises:
        ProbeError: the target cannot be probed; the text says why and what to do.
        PortUnavailable: the provider's port is taken.
    """
    made = prepared(options)
    async with made.session as session:
        if ready is not None:
            ready(session)
        attribute = attributor(made) if attributor is not None else None
        return await probe(session, made.plan, attribute=attribute, watcher=watcher, interrupted=interrupted)


def target_of(options: ProbeOptions) -> Target:
    """The one target that is asked for.

    Raises:
        ProbeError: none or several are, or it makes no sense.
    """
    is_route = options.target is not None and (options.url or "").startswith("/")
    given = [
        what for what in (options.target, None if is_route else options.url, options.openai) if what is not None
    ]
    if len(given) != 1:
        raise ProbeError(
            "Say what to probe, one of: my_app:handler, --url http://127.0.0.1:8000/chat, "
            "--openai http://127.0.0.1:8080/v1."
        )
    if options.target is not None:
        made = _function(options)
    elif options.openai is not None:
        made = openai_target(options.openai, options.model, stream=options.stream, headers=options.headers)
    else:
        made = _http(options)
    return _started(replace(made, directory=options.directory), options.start)


def _levels(given: Sequence[int] | str) -> tuple[int, ...]:
    try:
        levels = tuple(map(int, given.split(",") if isinstance(given, str) else given))
    except ValueError:
        levels = ()
    if not levels or min(levels) < 1:
        raise ProbeError(f"--levels {given!r} must be numbers from 1, separated by commas, such as 1,5,20.")
    return levels


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER.fullmatch(f"{name}:{value}"):
            # The value may be a key: it is not shown.
            raise ProbeError(
                f"--header {name!r} holds what a header cannot: its name or value is not plain ASCII text."
            )


def _function(options: ProbeOptions) -> Target:
    assert options.target is not None
    if options.start is not None:
        raise ProbeError("--start is for --url and --openai; a function is started by the probe itself.")
    made = function_target(
        options.target,
        _template(options.json),
        path=options.url or "/",
        headers=options.headers,
        answer=options.answer,
    )
    return replace(made, method=options.method.upper())


def _http(options: ProbeOptions) -> Target:
    assert options.url is not None
    given = _template(options.json)
    usual = None if options.method.upper() in _BODILESS else dict(DEFAULT_TEMPLATE)
    made = http_target(
        options.url,
        usual if given is None else given,
        method=options.method,
        headers=options.headers,
        answer=options.answer,
    )
    return replace(made, guessed=given is None and usual is not None)


def _template(given: Any) -> Json:
    return parsed(given) if isinstance(given, str) else given


def _started(target: Target, start: str | None) -> Target:
    if start is not None:
        words, settings = command_words(start)
        target = replace(target, command=words, environment=settings)
    if "{port}" in target.url or any("{port}" in word for word in target.command):
        target = target.at_port(free_port())
    return target


def _model_side(options: ProbeOptions, script: Script | None) -> ModelSide:
    if options.upstream is None:
        return PracticeSide(script, options.provider_port)
    if script is not None or options.inject is not None:
        raise ProbeError("--upstream passes calls on to a real provider: leave out --script and --inject.")
    return RecordingProxy(options.upstream, options.provider_port)


def _script(given: Script | Path | str | None) -> Script | None:
    if given is None or isinstance(given, Script):
        return given
    try:
        return load_script(given)
    except ScriptError as error:
        raise ProbeError(str(error)) from None
