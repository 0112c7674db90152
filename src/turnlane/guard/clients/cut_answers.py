"""Answers that the provider cut, and a program that does not look (TL307)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

from turnlane.guard import journals, requests, runs, stacks, stop_reasons
from turnlane.guard.answers import CUT
from turnlane.guard.clients.attempts import Attempt
from turnlane.guard.clients.belonging import outermost
from turnlane.guard.journal import Sighting
from turnlane.guard.requests import Request
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Stack

_REASON: Final = re.compile(rb'"(?:finish_reason|stop_reason)"\s*:\s*"(\w+)"')
_INCOMPLETE: Final = re.compile(rb'"incomplete_details"\s*:\s*\{\s*"reason"\s*:\s*"(\w+)"')
_END: Final = (b"[DONE]", b"response.completed", b"response.incomplete", b"message_stop")
_TAIL: Final = 96
"""Bytes of a piece that are looked at again with the next: a reason may be cut in two."""


class Cut:
    """One answer that was not complete, until it is known what became of it."""

    __slots__ = ("reason", "stack")

    def __init__(self, reason: str, stack: Stack) -> None:
        self.reason = reason
        self.stack = stack


def install() -> None:
    """Listen to what ends well."""
    runs.ending.append(_run_ended)
    requests.ending.append(_request_ended)


def watch(attempt: Attempt, response: Any) -> None:
    """A model answers."""
    if "event-stream" in response.headers.get("content-type", ""):
        tap = _tap_of(response.stream)
        if tap is not None:
            response.stream = tap(response.stream, Flow(attempt))
        return
    content = getattr(response, "_content", None)
    found = _reason(content) if content else None
    if found in CUT:
        _cut(found)


def _reason(content: bytes) -> str | None:
    found = _INCOMPLETE.search(content) or _REASON.search(content)
    return found[1].decode() if found else None


class Flow:
    """An answer in pieces."""

    __slots__ = ("attempt", "complete", "tail")

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.complete = False
        self.tail = b""

    def piece(self, data: bytes) -> None:
        """The next piece."""
        if self.complete:
            return
        text = self.tail + data
        reason = _reason(text)
        if reason is not None or any(mark in text for mark in _END):
            self.complete = True
            if reason in CUT:
                _cut(reason)
        self.tail = text[-_TAIL:]

    def end(self) -> None:
        """There are no more pieces; had the reader left, this would not be called."""
        if not self.complete:
            _cut("no end")


_taps: dict[type, type | None] = {}


def _tap_of(stream: Any) -> Callable[[Any, Flow], Any] | None:
    """A class that stands in front of a response's stream: httpx asks whether it is one of its own."""
    kind = type(stream)
    if kind not in _taps:
        bases = {base.__name__: base for base in kind.__mro__}
        if "AsyncByteStream" in bases:
            _taps[kind] = type("AsyncTap", (_AsyncTap, bases["AsyncByteStream"]), {})
        elif "SyncByteStream" in bases:
            _taps[kind] = type("Tap", (_Tap, bases["SyncByteStream"]), {})
        else:
            _taps[kind] = None
    return _taps[kind]


class _AsyncTap:
    def __init__(self, inner: Any, flow: Flow) -> None:
        self._inner = inner
        self._flow = flow

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._inner:
            _safely(self._flow.piece, data)
            yield data
        _safely(self._flow.end)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Tap:
    def __init__(self, inner: Any, flow: Flow) -> None:
        self._inner = inner
        self._flow = flow

    def __iter__(self) -> Iterator[bytes]:
        for data in self._inner:
            _safely(self._flow.piece, data)
            yield data
        _safely(self._flow.end)

    def close(self) -> None:
        self._inner.close()


def _safely(function: Any, *args: Any) -> None:
    from turnlane.guard.clients.wire import safely

    safely(function, *args)


def _cut(reason: str) -> None:
    """An answer is not complete: told when what asked for it ends well all the same."""
    stack = stacks.capture(limit=80)
    if _looked_at(stack, runs.enclosing()):
        return
    cut = Cut(reason, stack)
    run = outermost()
    request = requests.current.get()
    if run is not None:
        if reason == "no end" or not _seen_by_framework():
            run.notes["cut on the wire"] = cut
    elif request is not None:
        request.notes["cut on the wire"] = cut
    else:
        journals.report(_sighting(cut, None, None))


def _seen_by_framework() -> bool:
    """Whether a framework's own model client hands the reason on: what becomes of it is told when the run that
    asked it answers."""
    inner = runs.enclosing()
    taking_part = () if inner is None else (inner, *inner.ancestors())
    return any(run.watched.role == "client" for run in taking_part) and any(
        "answers" in run.notes for run in taking_part
    )


def _looked_at(stack: Stack, run: Run | None) -> bool:
    """Whether the program asks for the reason anywhere in the files that take part, or the SDK does it for it."""
    callers = () if run is None else (run.stack, *(outer.stack for outer in run.ancestors()))
    files = {code.co_filename for part in (stack, *callers) for code, _ in part}
    if any(stop_reasons.is_asked_for(file) for file in files if stacks.is_users(file)):
        return True
    return any(code.co_name == "parse" and "openai" in code.co_filename for code, _ in stack)


def _run_ended(run: Run) -> None:
    cut = run.notes.pop("cut on the wire", None)
    if cut is not None and run.outcome == "ended":
        journals.report(_sighting(cut, run, run.request))


def _request_ended(request: Request) -> None:
    cut = request.notes.pop("cut on the wire", None)
    if cut is not None and not request.failures and (request.status is None or request.status < 400):
        journals.report_aside(_sighting(cut, None, request))


def _sighting(cut: Cut, run: Run | None, request: Request | None) -> Sighting:
    what = (
        "A streamed answer of the model ended without finish_reason: the stream was cut"
        if cut.reason == "no end"
        else f"The model stopped with finish_reason {cut.reason!r}: its answer is not complete"
    )
    stack = run.stack if run is not None else cut.stack
    return Sighting(
        code="TL307",
        message=f"{what}, and it was taken as a complete one; nothing in the program looks at finish_reason.",
        stack=stack,
        stacks=[("the model was asked here", stack)],
        object=run.label if run is not None else None,
        request=request.id if request else None,
        conversation=request.conversation if request else None,
        measures={"finish_reason": cut.reason},
    )
