"""TL505: an answer of 500 whose cause neither the log nor the answer tells."""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any, Final

from turnlane.guard import journals, loops, requests, runs, stacks
from turnlane.guard.failures import causes
from turnlane.guard.handlers import Catch, catch_of
from turnlane.guard.imports import when_imported
from turnlane.guard.journal import Sighting
from turnlane.guard.meetings import with_stacks
from turnlane.guard.patching import replace
from turnlane.guard.requests import Request, text_of
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Stack, of_exception
from turnlane.guard.told import forget, has_told

ANSWERS: Final = {
    "starlette.responses": "Response",
    "werkzeug.sansio.response": "Response",
    "django.http.response": "HttpResponseBase",
    "aiohttp.web_response": "StreamResponse",
    "sanic.response.types": "HTTPResponse",
    "litestar.response.base": "Response",
}
"""What is made when a program answers: one that is made while an exception is handled is about that."""


MAX_SAID: Final = 160
"""Characters of a cause that are told."""


class Answering:
    """An answer that was made while an exception was handled."""

    __slots__ = ("error", "stack")

    def __init__(self, error: BaseException, stack: Stack) -> None:
        self.error = error
        self.stack = stack


def install() -> None:
    """Watch answers being made, and runs that make good what failed before."""
    for module, name in ANSWERS.items():
        when_imported(module, functools.partial(_answers, name=name))
    when_imported("flask.app", _flask)
    runs.ending.append(_recovered)


def judge(request: Request, answer: bytes, *, escaped: BaseException | None) -> None:
    """Tell when an answer of 5xx hides why. `escaped`: the exception that the server got, which it logs itself.

    Raises:
        HazardError: the settings are strict.
    """
    answering: Answering | None = request.notes.pop("answering", None)
    recovered = request.notes.get("recovered", 0)
    failures = request.failures[recovered:]
    try:
        if escaped is not None or request.status is None or request.status < 500:
            return
        errors = [failure.error for failure in failures if failure.error is not None]
        handled = list(causes(answering.error)) if answering is not None else []
        everything = [*handled, *errors]
        if everything and not has_told(request, everything, answer):
            _tell(request, handled, errors, answering)
    finally:
        forget(request)


def _tell(
    request: Request, handled: list[BaseException], errors: list[BaseException], answering: Answering | None
) -> None:
    first = errors[0] if errors else handled[-1]
    if handled and not errors and _is_http(first):
        return  # nothing was behind it: the program refused on purpose
    answered = answering.stack if answering is not None else ()
    wrappers = [error for error in handled if not _is_http(error)] or errors[-1:] or [first]
    # Who takes everything and raises an error of his own has hidden it, not who answers with that one's status.
    catches = [(error, catch_of(error, answered)) for error in wrappers]
    reached, catch = next((pair for pair in catches if pair[1].broad), catches[0])
    if request.status != 500 and not (catch.broad and errors):
        return  # a status that was chosen for one kind of failure says what it was
    journals.report(_sighting(request, first, reached, catch))


def _sighting(request: Request, first: BaseException, reached: BaseException, catch: Catch) -> Sighting:
    failure = next((known for known in request.failures if known.error is first), None)
    kind = f"{type(first).__module__}.{type(first).__qualname__}".removeprefix("builtins.")
    text = " ".join(text_of(first).split())
    text = text if len(text) <= MAX_SAID else f"{text[:MAX_SAID]} ..."
    what = f"{kind}: {text}" if text else kind
    agent = f" in {failure.agent}" if failure is not None and failure.agent else ""
    tool = f", tool {failure.tool!r}" if failure is not None and failure.tool else ""
    return Sighting(
        code="TL505",
        message=(
            f"{request.name} answered {request.status}, and its cause is neither in the log nor in the answer: "
            f"{what}{agent}{tool}."
        ),
        stack=of_exception(reached),
        stacks=with_stacks(
            ("what failed first", of_exception(first)),
            ("it was caught here", of_exception(reached) if reached is not first else ()),
        ),
        place=catch.place,
        object=failure.agent if failure is not None else None,
        request=request.id,
        conversation=request.conversation,
        measures={"status": request.status, "exception": kind},
    )


def _is_http(error: BaseException) -> bool:
    """Whether an exception is an answer itself, such as Starlette's, Werkzeug's and aiohttp's."""
    return any(kind.__name__ == "HTTPException" for kind in type(error).__mro__)


def _recovered(run: Run) -> None:
    """A run that ends well after a failure has made it good: another try, another agent."""
    if run.outcome == "ended" and run.parent is None and run.request is not None and run.request.failures:
        run.request.notes["recovered"] = len(run.request.failures)


def _answers(module: ModuleType, *, name: str) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            _note(sys.exc_info()[1])
            original(self, *args, **kwargs)

        return __init__

    replace(getattr(module, name), "__init__", make)


def _flask(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def handle_user_exception(self: Any, e: Exception) -> Any:
            _note(e)
            return original(self, e)

        return handle_user_exception

    replace(module.Flask, "handle_user_exception", make)


def _note(error: BaseException | None) -> None:
    """An answer is made: it is about the exception that is handled, or about none."""
    loops.look_at(error)
    request = requests.current.get()
    if request is None or request.ended:
        return
    if error is not None:
        request.notes["answering"] = Answering(error, stacks.capture(2))
