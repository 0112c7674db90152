"""TL405 in Python: the text of any exception of a run, sent to the caller."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.python.catching import plain_name
from turnlane.checker.python.facts import (
    Attribute,
    Call,
    CallRef,
    Choice,
    Expression,
    Items,
    Name,
    Other,
    Scope,
    Span,
    Subscript,
    Text,
)
from turnlane.checker.python.failures import Branch, branches_around_runs, response_of
from turnlane.checker.python.project import Project
from turnlane.checker.rule import Example, Rule

MAKES_TEXT: Final = frozenset({"str", "repr", "format", "dumps", "format_exc", "dict"})
TEXTS: Final = frozenset({"args", "message", "detail"})
"""Attributes of an exception that hold its text."""


class ToolLeaks(Rule):
    code = "TL405"
    language = "python"
    detects = (
        "A request handler that answers with the text of any exception of a run or a tool: `str(error)` under "
        "`except Exception`, in the detail of an HTTP error or in the body. The type's name, a sentence of its "
        "own, and errors that are caught by name are right."
    )
    by_default = False
    bad = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from fastapi import FastAPI, HTTPException

app = FastAPI()


@app.post("/chat")
async def chat(text: str):
    try:
        return await AssistantAgent("support", None).run(task=text)
    except Exception as error:
        raise HTTPException(status_code=500, detail=f"Chat failed: {error}")  # here


@app.post("/ask")
async def ask(text: str):
    try:
        return await AssistantAgent("support", None).run(task=text)
    except HTTPException:
        raise
    except Exception as error:
        message = str(error)
        return {"error": message}  # here
""",
            title="FastAPI",
        ),
        Example(
            """\
import traceback

from autogen import AssistantAgent, UserProxyAgent
from flask import Flask, jsonify, request

app = Flask(__name__)


@app.route("/chat", methods=["POST"])
def chat():
    try:
        user = UserProxyAgent("user", human_input_mode="NEVER")
        return user.initiate_chat(AssistantAgent("assistant"), message=request.json["text"]).summary
    except Exception as e:
        return jsonify({"error": str(e)}), 500  # here
""",
            title="Flask",
        ),
    )
    good = (
        Example(
            """\
import logging

from autogen_agentchat.agents import AssistantAgent
from fastapi import FastAPI, HTTPException

app = FastAPI()
log = logging.getLogger("support")


@app.post("/chat")
async def chat(text: str):
    try:
        return await AssistantAgent("support", None).run(task=text)
    except ValueError as error:
        raise HTTPException(422, str(error))
    except Exception as error:
        log.exception("agent support failed: %s", error)
        raise HTTPException(502, {"type": type(error).__name__}) from error


@app.post("/sum")
async def sum_of(numbers: list[int]):
    try:
        return sum(numbers)
    except Exception as error:
        raise HTTPException(500, str(error))
""",
            title="the type's name, a named error, no run",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for branch in branches_around_runs(project):
            if not branch.is_handler:
                continue
            for span in _answers(branch):
                yield Finding(
                    self.code,
                    project.place(branch.route.frame.path, span),
                    f"{project.started(branch.route)} sends the text of any exception to the caller, with the "
                    "addresses, queries and keys in it",
                    "warning",
                )


def _answers(branch: Branch) -> Iterator[Span]:
    """The answers of a branch that hold the text of the exception."""
    scope = branch.scope
    names = _holding_text(branch)
    for one in branch.raises:
        call = response_of(one.value, scope)
        if call is not None and any(_holds(part, scope, names) for part in _given(call)):
            yield one.span
    for result in branch.results:
        call = response_of(result.value, scope)
        parts = _given(call) if call is not None else [result.value]
        if any(_holds(part, scope, names) for part in parts):
            yield result.span


def _holding_text(branch: Branch) -> frozenset[str]:
    """The exception, and local variables with its text."""
    names = frozenset({branch.block.name} - {""})
    more = {
        one.target.id
        for one in branch.scope.assignments
        if isinstance(one.target, Name) and branch.has(one.block) and _holds(one.value, branch.scope, names)
    }
    return names | more


def _given(call: Call) -> list[Expression]:
    return [*call.arguments, *(value for _, value in call.keywords)]


def _holds(expression: Expression, scope: Scope, names: frozenset[str], depth: int = 0) -> bool:
    """Whether the text of the exception is in an expression."""
    if depth > 8:
        return False
    match expression:
        case Name(id=name):
            return name in names
        case Attribute(base=base, name=name):
            return name in TEXTS and _holds(base, scope, names, depth + 1)
        case Subscript(base=base):
            return _holds(base, scope, names, depth + 1)
        case CallRef(number=number):
            call = scope.calls[number]
            if plain_name(call.callee) not in MAKES_TEXT and response_of(expression, scope) is None:
                return False
            return any(_holds(part, scope, names, depth + 1) for part in _given(call))
        case Items(values=parts) | Choice(options=parts) | Text(parts=parts) | Other(parts=parts):
            return any(_holds(part, scope, names, depth + 1) for part in parts)
        case _:
            return False
