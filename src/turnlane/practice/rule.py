"""One rule of a script: when it applies to a request, and what it answers then."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .answer import FINISH_REASONS, Answer, Latency, ToolCall, check_latency, check_pace
from .faults import Fault, FaultKind, as_fault
from .mistake import ScriptError
from .prompt import PracticeRequest, ToolResult
from .template import BUILT_IN, FITTING, Filling, names_in

Step = ToolCall | Sequence[ToolCall]
Plan = Step | Sequence[Step]

_PATTERNS = ("when", "when_said", "when_system", "when_model", "when_result", "when_from")
_TEXTS = ("say", "reasoning", "when_result_of", "when_offered", "finish_reason", *_PATTERNS)
_CALL_BOUND = re.compile(r"([1-9]\d*)(\+?)")


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that applies: the named groups its patterns caught, and the tool result it speaks about."""

    groups: dict[str, str]
    result: ToolResult | None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Applies when all of its `when...` conditions hold; without any it always applies.

    Patterns are regular expressions, searched for anywhere in the text, upper and lower case alike. Their named
    groups may be used in `say`, `reasoning`, and tools and arguments of `call`. A rule that uses `{participant}`,
    `{handoff}` or `{json}` applies only to requests that have such.

    Attributes:
        when: pattern for the last user message.
        when_said: pattern for any user message of the conversation, the newest that matches.
        when_system: pattern for the system texts.
        when_model: pattern for the model's name.
        when_result_of: name of a tool; the request ends with a result of it.
        when_result: pattern for that result's text, or for the last tool result.
        when_from: pattern for who wrote the last message: its `name`, or without one its role.
        when_offered: name of a tool that the request offers.
        when_call: which model call of the conversation it is, from 1; `"2+"` for the second and all later ones.
        say: the text to answer, with names in braces.
        call: tool calls to make before that: one, a list to make one after the other, in which a list is made at
            once. With no tool offered the calls are left out.
        reasoning: text sent as `reasoning_content`.
        latency: seconds before the first byte, or a range of them; the script's by default.
        tokens_per_second: pace of a streamed answer; the script's by default.
        finish_reason: what the answer is said to end with.
        fault: what goes wrong.

    Raises:
        ScriptError: a wrong value, in one sentence.
    """

    when: str | None = None
    when_said: str | None = None
    when_system: str | None = None
    when_model: str | None = None
    when_result_of: str | None = None
    when_result: str | None = None
    when_from: str | None = None
    when_offered: str | None = None
    when_call: int | str | None = None
    say: str | None = None
    call: Plan | None = None
    reasoning: str | None = None
    latency: Latency | None = None
    tokens_per_second: float | None = None
    finish_reason: str | None = None
    fault: Fault | FaultKind | None = None

    def __post_init__(self) -> None:
        _check_values(self)
        steps = _as_steps(self.call)
        fault = None if self.fault is None else as_fault(self.fault)
        if self.say is None and not steps and fault is None:
            raise ScriptError("a rule needs something to do: 'say', 'call' or 'fault'")
        patterns = {name: _compiled(name, getattr(self, name)) for name in _PATTERNS}
        groups = {group for pattern in patterns.values() if pattern for group in pattern.groupindex}
        _check_names(self, steps, groups)
        # Frozen towards the outside; these are made from the fields once, here.
        object.__setattr__(self, "fault", fault)
        object.__setattr__(self, "_steps", steps)
        needed = (_used(self, steps) - groups) & FITTING.keys()
        object.__setattr__(self, "_conditions", (*_conditions(self, patterns), *map(_fits, sorted(needed))))

    def match(self, request: PracticeRequest) -> Match | None:
        """What the conditions caught from `request`; None if one of them does not hold."""
        match = Match({}, request.tool_results[-1] if request.tool_results else None)
        conditions: tuple[Condition, ...] = self._conditions  # type: ignore[attr-defined]
        for condition in conditions:
            found = condition(request, match)
            if found is None:
                return None
            match = found
        return match

    def answer(self, request: PracticeRequest, match: Match) -> Answer:
        """The answer to `request`: the next step of the calls, or when all are made the text."""
        filling = Filling(request, match.groups, match.result)
        calls = self._next_calls(request, filling)
        return Answer(
            text=None if calls else self._text(filling),
            tool_calls=calls,
            reasoning=filling.fill(self.reasoning),
            latency=self.latency,
            tokens_per_second=self.tokens_per_second,
            finish_reason=self.finish_reason,
            fault=self.fault,
        )

    def _next_calls(self, request: PracticeRequest, filling: Filling) -> tuple[ToolCall, ...]:
        steps: tuple[tuple[ToolCall, ...], ...] = self._steps  # type: ignore[attr-defined]
        if request.step >= len(steps) or not request.tools:
            return ()
        return tuple(ToolCall(filling.fill(c.tool), filling.fill(c.args)) for c in steps[request.step])

    def _text(self, filling: Filling) -> str:
        text: str = filling.fill("{tool_result}" if self.say is None else self.say)
        return text


Condition = Callable[[PracticeRequest, Match], Match | None]


def _conditions(rule: Rule, patterns: dict[str, re.Pattern[str] | None]) -> tuple[Condition, ...]:
    """The conditions that the rule names, cheap ones first."""
    made = [
        _call_is(rule.when_call) if rule.when_call is not None else None,
        _offered(rule.when_offered) if rule.when_offered is not None else None,
        _result_of(rule.when_result_of) if rule.when_result_of is not None else None,
        _caught(patterns["when_result"], lambda _, m: (m.result.text,) if m.result else ()),
        _caught(patterns["when_from"], lambda r, _: (r.author,)),
        _caught(patterns["when_model"], lambda r, _: (r.model,)),
        _caught(patterns["when_system"], lambda r, _: (r.system,)),
        _caught(patterns["when_said"], lambda r, _: r.user_messages[::-1]),
        _caught(patterns["when"], lambda r, _: (r.user_message,)),
    ]
    return tuple(condition for condition in made if condition)


def _call_is(bound: int | str) -> Condition:
    form = _CALL_BOUND.fullmatch(str(bound))
    assert form  # checked by _check_values
    first, open_ended = int(form[1]), bool(form[2])

    def condition(request: PracticeRequest, match: Match) -> Match | None:
        holds = request.call >= first if open_ended else request.call == first
        return match if holds else None

    return condition


def _fits(name: str) -> Condition:
    fill = FITTING[name]
    return lambda request, match: match if fill(request) is not None else None


def _offered(tool: str) -> Condition:
    return lambda request, match: match if tool in request.tools else None


def _result_of(tool: str) -> Condition:
    def condition(request: PracticeRequest, match: Match) -> Match | None:
        result = next((r for r in reversed(request.tool_results) if r.name == tool), None)
        return Match(match.groups, result) if result else None

    return condition


def _caught(
    pattern: re.Pattern[str] | None, texts: Callable[[PracticeRequest, Match], Sequence[str]]
) -> Condition | None:
    if pattern is None:
        return None

    def condition(request: PracticeRequest, match: Match) -> Match | None:
        for text in texts(request, match):
            if found := pattern.search(text):
                return Match({**match.groups, **found.groupdict(default="")}, match.result)
        return None

    return condition


def _as_steps(plan: Plan | None) -> tuple[tuple[ToolCall, ...], ...]:
    if plan is None:
        return ()
    steps = [plan] if isinstance(plan, ToolCall) else plan
    return tuple((step,) if isinstance(step, ToolCall) else tuple(step) for step in steps)


def _compiled(name: str, pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ScriptError(f"'{name}' is not a regular expression: {error}") from None


def _check_values(rule: Rule) -> None:
    for name in _TEXTS:
        value = getattr(rule, name)
        if value is not None and not isinstance(value, str):
            raise ScriptError(f"'{name}' must be text, not {value!r}")
    if rule.finish_reason is not None and rule.finish_reason not in FINISH_REASONS:
        raise ScriptError(f"'finish_reason' must be one of {', '.join(FINISH_REASONS)}")
    call = rule.when_call
    if call is not None and (isinstance(call, bool) or not _CALL_BOUND.fullmatch(str(call))):
        raise ScriptError(f"'when_call' must be a number from 1, or one with a plus as in 2+, not {call!r}")
    check_latency(rule.latency)
    check_pace(rule.tokens_per_second)


def _check_names(rule: Rule, steps: Sequence[Sequence[ToolCall]], groups: set[str]) -> None:
    """A name that nothing fills is a spelling mistake; found now, not in an answer."""
    if unknown := sorted(_used(rule, steps) - groups - {*BUILT_IN, *FITTING}):
        known = ", ".join([*sorted(groups), *BUILT_IN, *FITTING])
        raise ScriptError(
            f"nothing fills {{{unknown[0]}}}; known are {known} (to say it literally, write {{{{{unknown[0]}}}}})"
        )


def _used(rule: Rule, steps: Sequence[Sequence[ToolCall]]) -> set[str]:
    """The names in all its texts."""
    return names_in([rule.say, rule.reasoning, [[call.tool, call.args] for step in steps for call in step]])
