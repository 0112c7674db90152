"""Sends an answer at its pace, or the fault that takes its place or spoils it."""

from __future__ import annotations

import asyncio

from .budget import Grant, wait_headers
from .chunks import Completion, Events
from .exchange import Exchange
from .faults import Fault
from .refusal import Refusal

_HTML = """<!DOCTYPE html>
<html><head><title>{status}</title></head>
<body><center><h1>{status}</h1></center><hr><center>practice gateway</center></body></html>
"""

_SERVER_ERRORS = {
    500: "The server had an error while processing your request. Sorry about that!",
    502: "Bad gateway.",
    503: "The engine is currently overloaded, please try again later.",
    504: "Gateway time-out.",
    529: "The service is overloaded.",
}


async def deliver(exchange: Exchange, completion: Completion, *, stream: bool, usage: bool, pace: float) -> None:
    """Send an answer, whole or streamed with `pace` tokens per second (0: at once)."""
    if not stream:
        await exchange.respond(200, completion.as_json())
        return
    events = completion.events(include_usage=usage)
    await exchange.start_events()
    if not pace:
        await exchange.end_events(events.opening() + b"".join(events.pieces()) + events.closing())
        return
    await exchange.event(events.opening())
    if await _paced(exchange, events, pace, None):
        await exchange.end_events(events.closing())


async def _paced(exchange: Exchange, events: Events, pace: float, bound: int | None) -> bool:
    """Send pieces at their pace, at most `bound` of them; returns whether the client is still there."""
    loop = asyncio.get_running_loop()
    due = loop.time()  # the schedule is absolute, so that late wake-ups do not add up
    for place, piece in enumerate(events.pieces()):
        if place == bound:
            break
        if pace:
            due += 1 / pace
            if not await exchange.line.sleep(max(0.0, due - loop.time())):
                return False
        await exchange.event(piece)
    return not exchange.line.gone


async def deliver_spoiled(
    exchange: Exchange, completion: Completion, fault: Fault, *, stream: bool, usage: bool, pace: float
) -> None:
    """Send an answer with something wrong in it."""
    if fault.kind == "malformed_json" or (fault.kind == "malformed_stream" and not stream):
        body = completion.as_json()
        await exchange.respond(200, body[: len(body) // 2])
    elif stream:
        await _spoil_stream(exchange, completion.events(include_usage=usage), fault, pace)
    elif fault.kind == "empty":
        await exchange.respond(200, _emptied(completion, fault))
    else:
        await _spoil_plain(exchange, completion.as_json(), fault)


async def _spoil_plain(exchange: Exchange, body: bytes, fault: Fault) -> None:
    if fault.kind == "stall_stream":
        await exchange.hang()
    else:
        await exchange.respond_in_part(200, body, len(body) // 2, reset=fault.reset)


async def _spoil_stream(exchange: Exchange, events: Events, fault: Fault, pace: float) -> None:
    await exchange.start_events()
    if fault.kind == "empty":
        await exchange.end_events(events.empty(choices=fault.empty == "choices"))
        return
    await exchange.event(events.opening())
    if not await _paced(exchange, events, pace, fault.after_chunks):
        return
    if fault.kind == "malformed_stream":
        await exchange.end_events(events.garbage() + events.closing())
    elif fault.kind == "stall_stream":
        await exchange.hang()
    elif fault.reset:
        await exchange.cut(reset=True)
    else:
        await exchange.end_events()


def _emptied(completion: Completion, fault: Fault) -> bytes:
    if fault.empty == "choices":
        return completion.with_choices([])
    message = {"role": "assistant", "content": "", "refusal": None}
    return completion.with_choices([{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}])


async def deliver_fault(exchange: Exchange, fault: Fault) -> None:
    """Send what takes the place of an answer."""
    if fault.kind == "hang":
        await exchange.hang()
    elif fault.kind == "drop":
        await exchange.cut(reset=fault.reset)
    elif fault.kind == "html":
        await exchange.respond(fault.status, _HTML.format(status=fault.status).encode(), b"text/html")
    else:
        if fault.retry_after is not None:
            exchange.headers += wait_headers(fault.retry_after)
        await exchange.refuse(_as_refusal(fault))


def _as_refusal(fault: Fault) -> Refusal:
    if fault.kind == "rate_limit":
        return _rate_limited("Please try again later.")
    if fault.kind == "insufficient_quota":
        text = "You exceeded your current quota, please check your plan and billing details."
        return Refusal(text, status=429, kind="insufficient_quota", code="insufficient_quota")
    if fault.kind == "unauthorized":
        return Refusal("Incorrect API key provided.", status=401, code="invalid_api_key")
    text = _SERVER_ERRORS.get(fault.status, _SERVER_ERRORS[500])
    return Refusal(text, status=fault.status, kind="server_error")


def over_budget(grant: Grant) -> Refusal:
    """The refusal of a request that the budget does not allow."""
    wait = f"{grant.wait * 1000:.0f}ms" if grant.wait < 1 else f"{grant.wait:.3f}s"
    return _rate_limited(f"Limit {grant.limit}, Used {grant.limit}, Requested 1. Please try again in {wait}.")


def _rate_limited(text: str) -> Refusal:
    return Refusal(
        f"Rate limit reached for the practice provider on requests per second: {text}",
        status=429,
        kind="requests",
        code="rate_limit_exceeded",
    )
