"""TL107 in Python: the sync and the async form of AutoGen's classic chats on one path."""

from __future__ import annotations

from collections.abc import Iterator

from turnlane.checker import edits
from turnlane.checker.finding import Finding, Fix, Place
from turnlane.checker.python.blocking import blocking_runs
from turnlane.checker.python.project import AgentCall, Project
from turnlane.checker.python.running import Function
from turnlane.checker.rule import Example, Rule


class MixedModes(Rule):
    code = "TL107"
    language = "python"
    detects = (
        "A synchronous call of AutoGen's classic line or AG2 (`initiate_chat`, `generate_reply`, `send`) on "
        "the event loop, where the same function, or the handler that leads to it, also uses an `a_` form."
    )
    fixes = (
        "The call becomes its `a_` form, awaited: unsafe, since reply functions of one's own need an async form "
        "too."
    )
    bad = (
        Example(
            """\
from autogen import AssistantAgent, UserProxyAgent


async def answer(text: str, llm_config: dict) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    support = AssistantAgent("support", llm_config=llm_config)
    checker = AssistantAgent("checker", llm_config=llm_config)
    draft = await user.a_initiate_chat(support, message=text, max_turns=1)
    final = user.initiate_chat(checker, message=draft.summary, max_turns=1)  # here
    return final.summary
""",
            after="""\
from autogen import AssistantAgent, UserProxyAgent


async def answer(text: str, llm_config: dict) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    support = AssistantAgent("support", llm_config=llm_config)
    checker = AssistantAgent("checker", llm_config=llm_config)
    draft = await user.a_initiate_chat(support, message=text, max_turns=1)
    final = await user.a_initiate_chat(checker, message=draft.summary, max_turns=1)
    return final.summary
""",
            title="in one function",
        ),
        Example(
            """\
from autogen import AssistantAgent, UserProxyAgent
from fastapi import FastAPI

app = FastAPI()


def check(user: UserProxyAgent, text: str) -> str:
    checker = AssistantAgent("checker")
    return user.initiate_chat(checker, message=text, max_turns=1).summary  # here


@app.post("/chat")
async def chat(text: str) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    draft = await user.a_initiate_chat(AssistantAgent("support"), message=text, max_turns=1)
    return check(user, draft.summary)
""",
            title="on the way of one request",
        ),
    )
    good = (
        Example(
            """\
import asyncio

from autogen import AssistantAgent, UserProxyAgent
from fastapi import FastAPI

app = FastAPI()


def check(text: str) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    return user.initiate_chat(AssistantAgent("checker"), message=text, max_turns=1).summary


@app.post("/chat")
async def chat(text: str) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    draft = await user.a_initiate_chat(AssistantAgent("support"), message=text, max_turns=1)
    return await asyncio.to_thread(check, draft.summary)


@app.post("/plain")
def plain(text: str) -> str:
    return check(text)
""",
            title="the sync part in a thread",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        asynchronous = set(_asynchronous(project))
        seen: set[Place] = set()
        for call in blocking_runs(project):
            site = call.site
            if not call.entry.async_twin or not asynchronous & {site.frame.place, site.route.entry.frame.place}:
                continue
            place = project.site_place(site)
            if place not in seen:
                seen.add(place)
                yield self._finding(project, call, place)

    def _finding(self, project: Project, call: AgentCall, place: Place) -> Finding:
        name = project.callee_text(call.site)
        twin = call.entry.async_twin.rpartition(".")[2]
        return Finding(
            self.code,
            place,
            f"`{name}` is the sync form in a path that also uses the async one: it blocks the event loop "
            "and skips async reply functions",
            "warning",
            help=f"Use `await {twin}(...)` here too, or one sync path in a thread of its own.",
            trace=project.trace(call.site),
            fix=_fix(project, call, twin),
        )


def _asynchronous(project: Project) -> Iterator[Function]:
    """The functions in which, or on whose way, an `a_` form is used."""
    for call in project.agent_calls:
        if call.name.startswith("a_") and call.kind == "async":
            yield call.site.frame.place
            yield call.site.route.entry.frame.place


def _fix(project: Project, call: AgentCall, twin: str) -> Fix | None:
    site = call.site
    if not site.scope.is_async:
        return None
    code = edits.parse(project.sources[site.path], project.program[site.path].module.cells)
    return edits.async_twin(code, site.call.span, twin, safe=False) if code is not None else None
