"""TL307 in Python: a bounded answer that is passed on without a look at why it ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from turnlane.checker.finding import Finding
from turnlane.checker.python.facts import Attribute, Call, CallRef, Constant, Scope
from turnlane.checker.python.program import ModuleView
from turnlane.checker.python.project import AgentCall, Project
from turnlane.checker.rule import Example, Rule

LIMITS: Final = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})
REASONS: Final = frozenset({"finish_reason", "stop_reason", "incomplete_details", "status"})
"""Attributes and keys by which an answer says why it ended."""
STRUCTURED: Final = frozenset({"parse"})
"""Methods of the SDK that raise for a cut answer."""


class TruncatedAnswer(Rule):
    code = "TL307"
    language = "python"
    by_default = False
    detects = (
        "A call of a provider's SDK that bounds its answer (`max_tokens=...`) in a file that never reads "
        "`finish_reason`. Streams are not reported."
    )
    bad = (
        Example(
            """\
from openai import OpenAI

client = OpenAI()


def summary(text: str) -> str:
    answer = client.chat.completions.create(  # here
        model="gpt-4o-mini", messages=[{"role": "user", "content": text}], max_tokens=200
    )
    return answer.choices[0].message.content
""",
        ),
    )
    good = (
        Example(
            """\
from openai import OpenAI

client = OpenAI()


def summary(text: str) -> str:
    answer = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": text}], max_tokens=200
    )
    if answer.choices[0].finish_reason != "stop":
        raise ValueError("the answer is not complete")
    return answer.choices[0].message.content
""",
            title="looked at",
        ),
        Example(
            """\
from openai import OpenAI

client = OpenAI()


def summary(text: str) -> str:
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": text}])
    return answer.choices[0].message.content
""",
            title="not bounded",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        looked: dict[str, bool] = {}
        for call in project.agent_calls:
            if call.role != "openai_resource" or call.name in STRUCTURED or not _is_bounded(call.site.call):
                continue
            path = call.site.path
            if path not in looked:
                looked[path] = _looks(call.site.frame.view)
            if not looked[path]:
                yield self._finding(project, call)

    def _finding(self, project: Project, call: AgentCall) -> Finding:
        limit = next(name for name, _ in call.site.call.keywords if name in LIMITS)
        return Finding(
            self.code,
            project.site_place(call.site),
            f"`{limit}` may cut this answer, and nothing here looks at `finish_reason`: half an answer is passed "
            "on as a whole one",
            "information",
        )


def _is_bounded(call: Call) -> bool:
    streams = any(name == "stream" and getattr(value, "value", None) is True for name, value in call.keywords)
    return not streams and any(
        name in LIMITS and not (isinstance(value, Constant) and value.value is None)
        for name, value in call.keywords
    )


def _looks(view: ModuleView) -> bool:
    """Whether a file reads why an answer ended."""
    return any(_reads(scope) for scope in view.scopes)


def _reads(scope: Scope) -> bool:
    given = [part for call in scope.calls for part in (call.callee, *call.arguments)]
    given += [one.value for one in scope.assignments] + [one.value for one in scope.results]
    given += [test for block in scope.blocks for test in block.subject]
    return any(_names_reason(part, 0) for part in given)


def _names_reason(expression: Any, depth: int) -> bool:
    """Whether a part of an expression is the reason: an attribute, or a key."""
    if depth > 8 or not isinstance(expression, tuple) or isinstance(expression, CallRef):
        return False
    if isinstance(expression, Constant):
        return expression.value in REASONS
    if isinstance(expression, Attribute) and expression.name in REASONS:
        return True
    return any(_names_reason(part, depth + 1) for part in expression)
