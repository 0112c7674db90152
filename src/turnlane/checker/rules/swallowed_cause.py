"""TL505 in Python: an error of a run that becomes a bare 500, with no trace of its cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.python.catching import plain_name
from turnlane.checker.python.facts import Call, CallRef, Constant, Expression, Span
from turnlane.checker.python.failures import Branch, branches_around_runs, response_of, says_failed
from turnlane.checker.python.project import Project
from turnlane.checker.rule import Example, Rule

WITHOUT_CAUSE: Final = frozenset({"print", "debug", "info", "warning", "warn", "error", "critical"})
"""Calls that say only what they are given."""


class SwallowedCause(Rule):
    code = "TL505"
    language = "python"
    detects = (
        "An `except Exception` around a run, in code that a request reaches, which raises an HTTP error or "
        "answers with one and neither logs the exception, nor uses it, nor chains it. Logging with the stack, and "
        "raising another exception, which the server logs with its cause, are right."
    )
    bad = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from fastapi import FastAPI, HTTPException

app = FastAPI()


@app.post("/chat")
async def chat(text: str):
    try:
        result = await AssistantAgent("support", None).run(task=text)
        return result.messages[-1].to_text()
    except Exception:
        raise HTTPException(500)  # here


@app.post("/mail")
async def mail(text: str):
    try:
        return await answer(text)
    except Exception as error:
        print("It failed")
        return {"error": "Failed to generate a response. Please try again."}  # here


async def answer(text: str):
    return await AssistantAgent("support", None).run(task=text)
""",
        ),
        Example(
            """\
from autogen import AssistantAgent, UserProxyAgent
from flask import Flask, jsonify, request

app = Flask(__name__)


@app.route("/chat", methods=["POST"])
def chat():
    try:
        user = UserProxyAgent("user", human_input_mode="NEVER")
        return user.initiate_chat(AssistantAgent("assistant"), message=request.json["text"]).summary
    except:
        return jsonify({"error": "internal error"}), 500  # here
""",
            title="Flask",
        ),
    )
    good = (
        Example(
            """\
import json
import logging

from autogen_agentchat.agents import AssistantAgent
from fastapi import FastAPI, HTTPException

app = FastAPI()
log = logging.getLogger("support")


@app.post("/chat")
async def chat(text: str):
    try:
        return await AssistantAgent("support", None).run(task=text)
    except Exception as error:
        log.exception("agent support failed")
        raise HTTPException(502, {"type": "failed"})


@app.post("/chained")
async def chained(text: str):
    try:
        return await AssistantAgent("support", None).run(task=text)
    except Exception as error:
        raise HTTPException(502, "failed") from error


@app.post("/other")
async def other(text: str):
    try:
        return await AssistantAgent("support", None).run(task=text)
    except Exception:
        raise RuntimeError("agent support failed")


@app.post("/parsed")
async def parsed(text: str):
    result = await AssistantAgent("support", None).run(task=text)
    try:
        return json.loads(result.messages[-1].to_text())
    except Exception:
        return {"error": "not JSON"}
""",
            title="logged, chained, raised as another, not of a run",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for branch in branches_around_runs(project):
            answer = _answer(branch)
            if answer is None or not _loses_cause(branch):
                continue
            yield Finding(
                self.code,
                project.place(branch.route.frame.path, answer),
                f"{project.started(branch.route)} answers every error of the run alike, and its cause is neither "
                "logged nor chained",
                "warning",
                trace=project.route_trace(branch.route),
            )


def _answer(branch: Branch) -> Span | None:
    """Where the branch answers with an HTTP error."""
    for one in branch.raises:
        if one.cause is None or (isinstance(one.cause, Constant) and one.cause.value is None):
            call = response_of(one.value, branch.scope)
            if call is not None or _is_http_error(one.value):
                return one.span
    if branch.is_handler:
        for result in branch.results:
            if says_failed(result.value, branch.scope):
                return result.span
    return None


def _is_http_error(value: Expression) -> bool:
    return plain_name(value).endswith(("HTTPException", "InternalServerError"))


def _loses_cause(branch: Branch) -> bool:
    name = branch.block.name
    if name and any(read.name == name and branch.has(read.block) for read in branch.scope.reads):
        return False
    if any(isinstance(one.value, Constant) for one in branch.raises):
        return False  # a bare `raise`
    return all(_says_nothing(call, branch) for call in branch.calls)


def _says_nothing(call: Call, branch: Branch) -> bool:
    """Whether a call makes the answer, or prints a sentence without the exception."""
    if response_of(CallRef(branch.scope.calls.index(call)), branch.scope) is not None:
        return True
    return plain_name(call.callee) in WITHOUT_CAUSE and not any(
        key in {"exc_info", ""} for key, _ in call.keywords
    )
