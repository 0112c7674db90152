"""A script: the rules in their order, and what holds for all of them."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence

from .answer import Answer, Latency, check_latency, check_pace
from .budget import Budget
from .faults import Fault, FaultKind, as_fault
from .mistake import ScriptError
from .prompt import PracticeRequest
from .refusal import Refusal
from .rule import Rule

Said = Answer | Fault | str | None
AnswerFunction = Callable[[PracticeRequest], Said | Awaitable[Said]]

NO_RULE = "This is the practice provider. Its script has no rule for what you said."


class Script:
    """Rules tried in order, or a function; says what to answer to a request.

    Args:
        rules: the first one that applies answers.
        answer: a function, sync or async, used instead of rules. It returns an Answer, a Fault, plain text, or
            None for the fallback.
        fallback: what to say when no rule applies.
        latency: seconds before the first byte of every answer, or a range of them.
        tokens_per_second: pace of streamed answers; 0 sends all at once.
        faults: faults that stand for every request.
        budget: requests per second that are let through; None for no bound.
        models: the models there are; others get a 404. None lets every name through.
        seed: what ranges and rates are drawn from.
        name: what the script is called in messages.

    Raises:
        ScriptError: a wrong value, in one sentence.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        answer: AnswerFunction | None = None,
        fallback: str = NO_RULE,
        latency: Latency = 0.0,
        tokens_per_second: float = 0.0,
        faults: Iterable[Fault | FaultKind] = (),
        budget: Budget | float | None = None,
        models: Sequence[str] | None = None,
        seed: int = 0,
        name: str = "script",
    ) -> None:
        self.rules = tuple(rules)
        _check_texts(fallback, models, seed)
        check_latency(latency)
        check_pace(tokens_per_second)
        self.latency: Latency = latency
        self.tokens_per_second = tokens_per_second
        self.fallback = fallback
        self.faults = tuple(as_fault(fault) for fault in faults)
        self.budget = Budget(budget) if isinstance(budget, int | float) else budget
        self.models = None if models is None else tuple(models)
        self.seed = seed
        self.name = name
        self._answer = answer or self._by_rules

    def __repr__(self) -> str:
        return f"<Script {self.name}: {len(self.rules)} rules>"

    async def answer(self, request: PracticeRequest) -> Answer:
        """The answer to `request`.

        Raises:
            Refusal: 400 with code `practice_script_error`, when the script's own function fails. Not a 500: a
                client would retry that, and the mistake would look like the provider's.
        """
        try:
            said = self._answer(request)
            if isinstance(said, Awaitable):
                said = await said
            answer = self._as_answer(said)
            for call in answer.tool_calls:
                call.arguments()  # what is no JSON is the script's mistake, so it shall be found here
            return answer
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise Refusal(
                f"The practice script {self.name} failed: {type(error).__name__}: {error} "
                f"({place.filename}, line {place.lineno})",
                code="practice_script_error",
            ) from error

    def _by_rules(self, request: PracticeRequest) -> Answer | None:
        for rule in self.rules:
            match = rule.match(request)
            if match is not None:
                return rule.answer(request, match)
        return None

    def _as_answer(self, said: object) -> Answer:
        if isinstance(said, Answer):
            return said
        if said is None:
            return Answer(text=self.fallback)
        if isinstance(said, str):
            return Answer(text=said)
        if isinstance(said, Fault):
            return Answer(text=self.fallback, fault=said)
        raise ScriptError(f"answer(request) must return an Answer, a Fault, text or None, not {said!r}")


def _check_texts(fallback: object, models: object, seed: object) -> None:
    if not isinstance(fallback, str):
        raise ScriptError(f"'fallback' must be text, not {fallback!r}")
    if models is not None and not (
        isinstance(models, list | tuple) and models and all(isinstance(m, str) for m in models)
    ):
        raise ScriptError(f"'models' must be a list of names, not {models!r}")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ScriptError(f"'seed' must be a whole number, not {seed!r}")


ScriptLike = Script | Sequence[Rule] | AnswerFunction


def as_script(script: ScriptLike) -> Script:
    """A script from what users write in its place: rules, or a function."""
    if isinstance(script, Script):
        return script
    if callable(script):
        return Script(answer=script, name=getattr(script, "__name__", "script"))
    return Script(script)
