"""What a message does while its conversation is busy: the request's own wish, or else the agent's setting."""

from __future__ import annotations

from typing import Final, TypeVar

from turnlane.runtime.app import AgentSettings
from turnlane.runtime.conversation import WhenBusy
from turnlane.server.call import Call
from turnlane.server.problem import invalid
from turnlane.server.request_shapes import DEBOUNCE_HEADER, WHEN_BUSY_HEADER, TurnlaneHeaders, TurnlaneOptions
from turnlane.server.validation import parse_query

T = TypeVar("T")

HEADERS: Final = (WHEN_BUSY_HEADER, DEBOUNCE_HEADER)
"""For clients that can't send fields of ours in the body."""


def strategy_of(call: Call, asked: TurnlaneOptions | None, settings: AgentSettings) -> tuple[WhenBusy, float]:
    """The strategy and, for `debounce`, the seconds to wait for further messages; else 0.

    Raises:
        Problem: 400, a header is wrong or says something else than the body, or there is nothing to wait for.
    """
    headers = _headers(call)
    wish = asked or TurnlaneOptions()
    strategy: WhenBusy | None = _one(wish.when_busy, headers.when_busy, WHEN_BUSY_HEADER, "turnlane.when_busy")
    seconds = _one(wish.debounce, headers.debounce, DEBOUNCE_HEADER, "turnlane.debounce")
    chosen: WhenBusy = settings.when_busy if strategy is None else strategy
    if chosen == "debounce":
        return chosen, settings.debounce if seconds is None else seconds
    if seconds is not None:
        raise invalid(
            f"debounce is the wait of when_busy 'debounce', and here when_busy is {chosen!r}: leave debounce out, "
            "or ask for when_busy 'debounce'",
            param="turnlane.debounce",
        )
    return chosen, 0.0


_NO_HEADERS: Final = TurnlaneHeaders()


def _headers(call: Call) -> TurnlaneHeaders:
    given = {name: text for name in HEADERS if (text := call.header(name.lower().encode())) is not None}
    return parse_query(TurnlaneHeaders, given) if given else _NO_HEADERS


def _one(in_body: T | None, in_header: T | None, header: str, param: str) -> T | None:
    if in_body is not None and in_header is not None and in_body != in_header:
        raise invalid(f"{param} is {in_body} and the header {header} {in_header}: send one of them", param=param)
    return in_header if in_body is None else in_body
