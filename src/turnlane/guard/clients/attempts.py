"""Every time a question is sent to a model, by whichever layer: retries that multiply (TL305)."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import weakref
from contextvars import ContextVar
from typing import Any, Final

from turnlane.guard import given_up, going_on, journals, requests, stacks
from turnlane.guard.clients.belonging import outermost
from turnlane.guard.journal import Sighting
from turnlane.guard.meetings import with_stacks
from turnlane.guard.stacks import NO_STACK, Stack

AGAIN_WITHIN: Final = 120.0
"""Seconds after which the same question is asked anew, and not once more."""
MAX_QUESTIONS: Final = 64
REPEATABLE: Final = (408, 409, 429)


class Call:
    """One call of an SDK; or of an HTTP client, where no SDK is between.

    Attributes:
        label: for people.
        budget: how often it may ask by itself.
        attempts: how often it has asked.
        stack: who called it, and the run that the user's code called.
    """

    __slots__ = ("attempts", "budget", "label", "stack")

    def __init__(self, label: str, budget: int) -> None:
        self.label = label
        self.budget = budget
        self.attempts = 0
        self.stack: Stack = NO_STACK


class Attempt:
    """One request on the wire."""

    __slots__ = ("call", "code", "request", "scope", "status", "stopped")

    def __init__(self, call: Call, request: Any, scope: dict[str, Any]) -> None:
        self.call = call
        self.request = request
        self.scope = scope
        self.status: int | None = None
        self.code: str | None = None
        self.stopped = going_on.stopped()


class Failing:
    """One question that has failed so far."""

    __slots__ = ("attempts", "calls", "failed_at", "first", "last", "repeated", "spent")

    def __init__(self, call: Call) -> None:
        self.first = self.last = call
        self.calls, self.attempts = 1, 0
        self.repeated = False
        self.failed_at = 0.0
        self.spent = False
        """The provider said that the account is empty: no retry cures that."""


current_call: ContextVar[Call | None] = ContextVar("turnlane_guard_model_call", default=None)
_by_task: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()
_by_thread = threading.local()


def scope() -> dict[str, Any]:
    """Where what belongs together is kept: with the request, else the outermost run's task, else the thread."""
    request = requests.current.get()
    if request is not None:
        return request.notes
    run = outermost()
    task = run.task if run is not None and run.task is not None else None
    if task is None and asyncio._get_running_loop() is not None:
        task = asyncio.current_task()
    if task is not None:
        return _by_task.setdefault(task, {})
    notes: dict[str, Any] = _by_thread.__dict__.setdefault("notes", {})
    return notes


def begin(request: Any) -> Attempt:
    """A request to a model is about to be sent.

    Raises:
        HazardError: strict mode.
    """
    call = current_call.get() or Call("HTTP client", 1)
    attempt = Attempt(call, request, scope())
    call.attempts += 1
    if call.attempts == 1:
        call.stack = _stack()
        given_up.asked()
    failing: dict[Any, Failing] | None = attempt.scope.get("failing")
    if failing:
        _ask_again(attempt, failing)
    return attempt


def _ask_again(attempt: Attempt, failing: dict[Any, Failing]) -> None:
    found = failing.get(question(attempt.request))
    if found is None:
        return
    if time.monotonic() - found.failed_at > AGAIN_WITHIN:
        del failing[question(attempt.request)]
        return
    found.attempts += 1
    if attempt.call is found.last:
        found.repeated = True
        return
    found.calls, found.last = found.calls + 1, attempt.call
    if found.repeated or found.spent:
        journals.report(_stacked(found))


def end(attempt: Attempt, response: Any, error: BaseException | None) -> None:
    """It was answered, or failed on the way."""
    attempt.status = response.status_code if response is not None else None
    if attempt.stopped is not None and response is not None:
        going_on.asked_on(attempt.stopped)
    failed = response is None or response.status_code >= 400
    failing: dict[Any, Failing] | None = attempt.scope.get("failing")
    if not failed:
        if failing:
            failing.pop(question(attempt.request), None)
        return
    if isinstance(error, asyncio.CancelledError):
        return
    if failing is None:
        failing = attempt.scope["failing"] = {}
    key = question(attempt.request)
    found = failing.get(key)
    if found is None:
        found = failing[key] = Failing(attempt.call)
        while len(failing) > MAX_QUESTIONS:  # a worker's thread never ends
            failing.pop(next(iter(failing)))
        found.attempts = 1
    found.failed_at = time.monotonic()
    found.spent = found.spent or b"insufficient_quota" in (getattr(response, "_content", None) or b"")


def failed(call: Call, error: BaseException) -> None:
    """A call failed for good. The body of a stream's error is read only by then."""
    if getattr(error, "code", None) == "insufficient_quota":
        failing: dict[Any, Failing] = scope().get("failing", {})
        for found in failing.values():
            found.spent = found.spent or found.last is call


def _stacked(found: Failing) -> Sighting:
    request = requests.current.get()
    stack = found.last.stack
    if found.spent and not found.repeated:
        what = "although the provider said insufficient_quota, which no retry cures"
    else:
        budget = found.first.budget
        what = f"{found.first.label} had used up its own {budget} attempts, and what is around it asks once more"
    return Sighting(
        code="TL305",
        message=f"One question was sent to the model {found.attempts} times, in {found.calls} calls, and failed "
        f"each time: {what}.",
        stack=stack,
        stacks=with_stacks(("the first call", found.first.stack), ("this call, with the layers around it", stack)),
        object=found.first.label,
        request=request.id if request else None,
        conversation=request.conversation if request else None,
        measures={"attempts": found.attempts, "calls": found.calls, "budget": found.first.budget},
    )


def _stack() -> Stack:
    outer = outermost()
    return outer.stack if outer is not None else stacks.capture_near()


def question(request: Any) -> Any:
    """What is asked, and of whom: so that the same question is known again, also when a run was begun anew around
    it, and one question that is put to several roles is not."""
    body = request.content if hasattr(request, "_content") else b""
    try:
        asked = json.loads(body)
        messages = asked.get("messages") or asked.get("input")
        if isinstance(messages, list) and messages:
            messages = [*(m for m in messages[:-1] if m.get("role") in ("system", "developer")), messages[-1]]
        told = [asked.get("instructions"), messages]
        return request.url.path, asked.get("model"), json.dumps(told, sort_keys=True)
    except (ValueError, AttributeError):
        return request.url.path, None, body
