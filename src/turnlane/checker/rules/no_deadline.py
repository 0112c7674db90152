"""TL306 in Python: a request that waits for a run without an end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.libraries.effects import EFFECTS
from turnlane.checker.python.catching import plain_name
from turnlane.checker.python.explore import Route, Site
from turnlane.checker.python.facts import Call, CallRef, Constant, Expression, Items, Scope
from turnlane.checker.python.project import AgentCall, Project
from turnlane.checker.rule import Example, Rule

RUNNING: Final = frozenset({"agent", "user_proxy", "team", "manager", "stateless_agent", "workflow"})

DEADLINES: Final = frozenset(
    {
        *(row.symbol.rpartition(".")[2] for row in EFFECTS if row.kind == "times out"),
        "wait_for",
        "timeout",
        "timeout_at",
        "fail_after",
        "move_on_after",
        "TimeoutTermination",
    }
)
"""Names of what ends a wait: also of what a program calls so itself."""

TIMEOUTS: Final = frozenset({"timeout", "request_timeout"})


class NoDeadline(Rule):
    code = "TL306"
    language = "python"
    by_default = False
    detects = (
        "A request handler that runs an agent or a team with nothing on the way that ends the wait (`wait_for`, "
        "`asyncio.timeout`, `fail_after`, `TimeoutTermination`), in a program in which no model client is given a "
        "`timeout`."
    )
    bad = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
model = OpenAIChatCompletionClient(model="gpt-4o-mini")


@app.post("/chat")
async def chat(text: str):
    result = await AssistantAgent("support", model).run(task=text)  # here
    return result.messages[-1].to_text()
""",
        ),
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
model = OpenAIChatCompletionClient(model="gpt-4o-mini")


@app.post("/chat")
async def chat(text: str):
    draft = await AssistantAgent("writer", model).run(task=text)  # here
    return await AssistantAgent("critic", model).run(task=draft.messages[-1].to_text())
""",
            title="two runs of one turn, told once",
        ),
    )
    good = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
model = OpenAIChatCompletionClient(model="gpt-4o-mini")


@app.post("/chat")
async def chat(text: str):
    async with asyncio.timeout(60):
        return await answer(text)


@app.post("/ask")
async def ask(text: str):
    return await asyncio.wait_for(AssistantAgent("support", model).run(task=text), 60)


async def answer(text: str):
    return await AssistantAgent("support", model).run(task=text)
""",
            title="a deadline",
        ),
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
model = OpenAIChatCompletionClient(model="gpt-4o-mini", timeout=20)


@app.post("/chat")
async def chat(text: str):
    return await AssistantAgent("support", model).run(task=text)
""",
            title="a client with a time-out",
        ),
        Example(
            """\
from autogen import AssistantAgent, UserProxyAgent
from flask import Flask, request

app = Flask(__name__)
llm_config = {"timeout": 120, "config_list": [{"model": "gpt-4o"}]}


@app.route("/chat", methods=["POST"])
def chat():
    user = UserProxyAgent("user", human_input_mode="NEVER")
    return user.initiate_chat(AssistantAgent("assistant", llm_config=llm_config), message=request.data).summary
""",
            title="a configuration with a time-out",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        runs = [call for call in project.agent_calls if call.role in RUNNING and _in_request(call.site)]
        if not runs or _has_timeout(project):
            return
        told: set[tuple[str, int]] = set()
        for call in runs:
            # One deadline for the turn covers all its runs.
            handler = call.site.route.steps()[0].frame.place
            if handler not in told and not any(_ends(route, number) for route, number in call.site.way()):
                told.add(handler)
                yield self._finding(project, call)

    def _finding(self, project: Project, call: AgentCall) -> Finding:
        return Finding(
            self.code,
            project.site_place(call.site),
            f"no deadline for `{call.name}` in {project.started_by(call.site)}: one request to the provider may "
            "take 600 seconds, and is tried again",
            "information",
            trace=project.trace(call.site),
        )


def _in_request(site: Site) -> bool:
    return site.situation.serves and site.situation.kind == "request"


def _ends(route: Route, number: int) -> bool:
    """Whether a call stands under a deadline: inside `async with timeout(...)`, or handed to `wait_for`."""
    scope = route.frame.scope
    if any(_named(call.callee) for call in _users(scope, number)):
        return True
    blocks = (scope.blocks[block] for block in route.frame.view.blocks_around(scope, scope.calls[number].block))
    return any(
        isinstance(subject, CallRef) and _named(scope.calls[subject.number].callee)
        for block in blocks
        if block.kind in {"with", "async with"}
        for subject in block.subject
    )


def _users(scope: Scope, number: int) -> Iterator[Call]:
    """The calls that a call's result is handed to, through other calls and variables of any depth."""
    call = scope.calls[number]
    if call.use == "argument" and call.user >= 0:
        yield scope.calls[call.user]
        yield from _users(scope, call.user)
    elif call.use == "assigned":
        # A coroutine or task in a variable: any deadline of the function may be its own.
        yield from scope.calls


def _named(callee: Expression) -> bool:
    return plain_name(callee) in DEADLINES


def _has_timeout(project: Project) -> bool:
    """Whether the program gives a time-out to a client, by keyword or configuration, or a team an end."""
    for view in project.program.modules.values():
        for scope in view.scopes:
            if any(_limits(call) for call in scope.calls):
                return True
            given = [one.value for one in scope.assignments] + [one.value for one in scope.results]
            if any(_has_key(value) for value in given):
                return True
    return False


def _limits(call: Call) -> bool:
    if plain_name(call.callee) == "TimeoutTermination":
        return True
    made = plain_name(call.callee)[:1].isupper()
    given = [*call.arguments, *(value for _, value in call.keywords)]
    return (made and any(name in TIMEOUTS for name, _ in call.keywords)) or any(_has_key(one) for one in given)


def _has_key(expression: Expression, depth: int = 0) -> bool:
    """Whether a dictionary, also inside others, has a time-out: `{"timeout": 120, "config_list": [...]}`."""
    if not isinstance(expression, Items) or depth > 4:
        return False
    return any(isinstance(key, Constant) and key.value in TIMEOUTS for key in expression.keys) or any(
        _has_key(value, depth + 1) for value in expression.values
    )
