"""Calls that hand a function over to run elsewhere: on a thread, in a process, as a task, later on the loop."""

from __future__ import annotations

from typing import Final, NamedTuple

from turnlane.checker.libraries.effects import Effect, EffectKind, effect
from turnlane.checker.python.facts import Call, Expression, Items
from turnlane.checker.python.situations import Situation

_ELSEWHERE: Final[dict[EffectKind, str]] = {
    "to thread": "thread",
    "starts thread": "thread",
    "to process": "process",
    "spawns kept task": "loop",
    "calls on loop": "loop",
    "runs loop": "loop",
    "to sync": "loop",
}

_HERE: Final = {
    "builtins.map": Effect("builtins.map", "gathers", 0),
    "builtins.filter": Effect("builtins.filter", "gathers", 0),
    "builtins.sorted": Effect("builtins.sorted", "gathers", -1, "key"),
}
"""Functions that call what they are given at once."""


class Crossing(NamedTuple):
    """A function that is handed over, and the call it will get."""

    where: str
    """"thread", "process", "loop" or "here"."""
    function: Expression
    call: Call
    """As if the function were called with what is handed over beside it."""

    def situation(self, before: Situation) -> Situation:
        """The surroundings in which the function runs."""
        match self.where:
            case "thread":
                return before._replace(loop=False, thread=True)
            case "process":
                return before._replace(loop=False, thread=False)
            case "loop":
                return before._replace(loop=True, thread=False)
            case _:
                return before


def crossing_of(symbol: str, call: Call) -> Crossing | None:
    """The function that a call of `symbol` hands over; None when it hands over none."""
    known = effect(symbol) or _HERE.get(symbol)
    if known is None:
        return None
    where = "here" if symbol in _HERE else _ELSEWHERE.get(known.kind)
    if where is None:
        return None
    function = next((value for name, value in call.keywords if known.keyword and name == known.keyword), None)
    if function is None and 0 <= known.argument < len(call.arguments):
        function = call.arguments[known.argument]
    if function is None:
        return None
    return Crossing(where, function, call._replace(arguments=_handed(known, call), keywords=()))


def _handed(known: Effect, call: Call) -> tuple[Expression, ...]:
    """What the function is called with: the arguments after it, or the tuple given as `args=`."""
    given = next((value for name, value in call.keywords if name in {"args", "kwargs"}), None)
    if isinstance(given, Items):
        return given.values if not given.each else ()
    return call.arguments[known.argument + 1 :] if known.argument >= 0 else ()
