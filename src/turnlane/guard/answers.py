"""What reaches the caller of a run as its answer: what was cut (TL307), what the inside of a tool says (TL405)."""

from __future__ import annotations

import re
import sys
from typing import Final

from turnlane.guard import journals, meetings, stop_reasons
from turnlane.guard.journal import Sighting
from turnlane.guard.runs import Run, ToolCall
from turnlane.guard.stacks import Stack
from turnlane.guard.tools import defined

CUT: Final = ("length", "content_filter", "max_tokens")
"""Reasons for which a model stopped before its answer was complete."""

INTERNALS: Final = re.compile(
    r"\w+://[^/\s:@]*:[^@\s/]+@"  # an address with its password
    r"|(?i:\b(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|dsn|token|authorization)\b\s*[=:]\s*\S+)"
    r"|\bsk-[\w-]{8,}|\bbearer\s+\S{8,}"
    r"|Traceback \(most recent call last\)"
)
"""In a tool's result: what no user may read, whatever the tool is for."""

DETAILS: Final = re.compile(
    INTERNALS.pattern + r"|(?:/[\w.-]+){2,}|[A-Za-z]:\\\w+"
    r"|(?i:\bselect\b.+\bfrom\b|\binsert\s+into\b|\bupdate\b.+\bset\b|\bdelete\s+from\b|\bno such table\b)"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[\w.-]+:\d{2,5}\b|\b0x[0-9a-f]{6,}\b",
    re.DOTALL,
)
"""In an exception's text: that, and addresses, paths and statements of the inside."""

MIN_TEXT: Final = 6


def cut(run: Run | None, reason: str, text: str, stack: Stack) -> None:
    """A model call of `run` stopped for `reason`; what it had said by then is `text`."""
    if run is not None and reason in CUT and text:
        run.notes["cut"] = (reason, text, stack)


def looks_at_reason(client: type) -> bool:
    """Whether a model client of the program's own asks why the model stopped: what it does then is its own."""
    if client.__module__.startswith(("autogen_core.", "autogen_ext.")):
        return False
    file = getattr(sys.modules.get(client.__module__), "__file__", None)
    return file is not None and stop_reasons.is_decided_by(file)


def answered(run: Run, text: str) -> None:
    """A run gives `text` to its caller as its answer, and it is nobody's part that looks at it first.

    Raises:
        HazardError: the settings are strict, and the answer is cut or leaks.
    """
    outer = run.parent
    if outer is not None and outer.running and "answers" in outer.notes and run.tool is None:
        _hand_on(run, outer)
        return
    _tell_cut(run, text)
    _tell_leak(run, text)


def _hand_on(run: Run, outer: Run) -> None:
    """What a participant says is the team's to give."""
    if "cut" in run.notes:
        outer.notes["cut"] = run.notes.pop("cut")
    outer.notes.setdefault("leaks", []).extend(run.notes.pop("leaks", ()))


def may_leak(call: ToolCall, text: str, otherwise: Sighting | None = None) -> bool:
    """Note what a tool said if no user should read it, until the run gives its answer; whether it is such.

    Args:
        otherwise: for an exception's text, what is told when it does not come out in the answer.
    """
    pattern = INTERNALS if otherwise is None else DETAILS
    if call.run is None or "answers" not in call.run.notes:
        return False
    if len(text) < MIN_TEXT or not pattern.search(text):
        return False
    stack = call.notes.get("error_stack") or defined(call) or call.stack
    call.run.notes.setdefault("leaks", []).append((call.name, text.strip(), stack, otherwise))
    return True


def returned(call: ToolCall, error: BaseException | None) -> None:
    """Listens to the end of tool calls: a tool may return what no user should read."""
    if error is None:
        result = call.notes.get("result")
        may_leak(call, result if isinstance(result, str) else str(result)[:4000])


def ended(run: Run) -> None:
    """Listens to the end of runs: one that gave no answer still had a tool that raised."""
    for _, _, _, otherwise in run.notes.pop("leaks", ()):
        if otherwise is not None:
            journals.report_aside(otherwise)


def _tell_cut(run: Run, text: str) -> None:
    reason, said, stack = run.notes.pop("cut", (None, "", ()))
    if reason is None or said.strip() not in text:
        return
    journals.report(
        Sighting(
            code="TL307",
            message=f"The model stopped with finish_reason {reason!r}, and {run.label} gave what there was to its "
            f"caller as a complete answer: it ends with {said.strip()[-40:]!r}.",
            stack=run.place_stack,
            stacks=meetings.with_stacks(("the run", run.stack), ("the model call", stack)),
            object=run.label,
            request=run.request.id if run.request else None,
            conversation=run.request.conversation if run.request else None,
            task=run.task_name,
            measures={"finish_reason": reason},
        )
    )


def _tell_leak(run: Run, text: str) -> None:
    for tool, said, stack, otherwise in run.notes.pop("leaks", ()):
        if said[:200] in text:
            journals.report(_leaked(run, tool, stack))
        elif otherwise is not None:
            journals.report(otherwise)


def _leaked(run: Run, tool: str, stack: Stack) -> Sighting:
    return Sighting(
        code="TL405",
        message=f"The answer of {run.label} shows the inside of the tool {tool!r} to its user: the text of an "
        "exception, with addresses, statements or secrets in it.",
        stack=stack,
        stacks=meetings.with_stacks(("the tool", stack), ("the run that answered", run.place_stack)),
        object=f"tool {tool!r} of {run.label}",
        request=run.request.id if run.request else None,
        conversation=run.request.conversation if run.request else None,
        task=run.task_name,
    )
