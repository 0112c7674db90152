"""TL108 in Python: a call that waits without `await`, on the thread of an event loop that others need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker import edits
from turnlane.checker.finding import Finding, Fix, Place, Severity
from turnlane.checker.python.blocking import blocking_runs, blocking_waits, on_hosts_loop
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Constant
from turnlane.checker.python.project import AgentCall, Project
from turnlane.checker.python.values import symbol_of
from turnlane.checker.rule import Example, Rule


class BlockedLoop(Rule):
    code = "TL108"
    language = "python"
    detects = (
        "A synchronous chat, run or model call (`initiate_chat`, `generate_reply`, `openai.OpenAI`) in async "
        "code, directly or through plain functions: an error where it serves requests, a warning in async "
        "functions whose callers are not known. Where requests, bot events or tools run on the loop also "
        "`time.sleep`, `requests`, `subprocess` and other calls that wait, unless ruff is configured to report "
        "the line (ASYNC210, ASYNC221, ASYNC251). Silent in threads, in plain handlers that run in a thread "
        "pool, and where the loop belongs to one script."
    )
    fixes = (
        "`user.initiate_chat(...)` becomes `await user.a_initiate_chat(...)`: unsafe, since reply functions of "
        "one's own need an async form too. `time.sleep(n)` becomes `await asyncio.sleep(n)`: safe."
    )
    bad = (
        Example(
            """\
from autogen import AssistantAgent, UserProxyAgent
from fastapi import FastAPI

app = FastAPI()


@app.post("/chat")
async def chat(text: str) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    support = AssistantAgent("support", llm_config={"model": "gpt-4o-mini"})
    result = user.initiate_chat(support, message=text, max_turns=1)  # here
    return result.summary
""",
            after="""\
from autogen import AssistantAgent, UserProxyAgent
from fastapi import FastAPI

app = FastAPI()


@app.post("/chat")
async def chat(text: str) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    support = AssistantAgent("support", llm_config={"model": "gpt-4o-mini"})
    result = await user.a_initiate_chat(support, message=text, max_turns=1)
    return result.summary
""",
            title="a sync chat in an async handler",
        ),
        Example(
            """\
# file: manager.py
from autogen import AssistantAgent, UserProxyAgent


class Manager:
    def __init__(self) -> None:
        self.user = UserProxyAgent("user", human_input_mode="NEVER")

    def process(self, text: str) -> str:
        support = AssistantAgent("support", llm_config={"model": "gpt-4o-mini"})
        return self.user.initiate_chat(support, message=text).summary
# file: main.py
from fastapi import APIRouter

from manager import Manager

router = APIRouter()
manager = Manager()


@router.post("/chat")
async def chat(text: str) -> str:
    return manager.process(text)  # here
""",
            title="in another file",
        ),
        Example(
            """\
import time

import requests
from fastapi import FastAPI
from openai import OpenAI

app = FastAPI()
client = OpenAI()


def fetch(url: str) -> str:
    return requests.get(url, timeout=10).text  # here


@app.get("/page")
async def page(url: str) -> str:
    time.sleep(1)  # here
    text = fetch(url)
    answer = client.chat.completions.create(  # here
        model="gpt-4o-mini", messages=[{"role": "user", "content": text}]
    )
    return answer.choices[0].message.content
""",
            after="""\
import asyncio
import time

import requests
from fastapi import FastAPI
from openai import OpenAI

app = FastAPI()
client = OpenAI()


def fetch(url: str) -> str:
    return requests.get(url, timeout=10).text


@app.get("/page")
async def page(url: str) -> str:
    await asyncio.sleep(1)
    text = fetch(url)
    answer = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": text}]
    )
    return answer.choices[0].message.content
""",
            title="sleep, requests and the sync client",
        ),
        Example(
            """\
from autogen import AssistantAgent, UserProxyAgent
from fastapi import FastAPI

app = FastAPI()


@app.post("/chat")
async def chat(text: str) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    support = AssistantAgent("support", llm_config={"model": "gpt-4o-mini"})
    result = await user.a_initiate_chat(  # here
        support, message=text, summary_method="reflection_with_llm"
    )
    return result.summary
""",
            title="a summary by the model after an async chat",
        ),
        Example(
            """\
import asyncio
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI

app = FastAPI()


async def answer(text: str) -> str:
    return text


def in_a_thread(text: str) -> str:
    with ThreadPoolExecutor() as pool:
        future = pool.submit(asyncio.run, answer(text))
        return future.result()  # here


@app.post("/chat")
async def chat(text: str) -> str:
    return in_a_thread(text)
""",
            title="waits for a thread",
        ),
        Example(
            """\
import autogen
import chainlit as cl

USER = "user"


@cl.on_chat_start
async def start() -> None:
    cl.user_session.set(USER, autogen.UserProxyAgent("user", human_input_mode="NEVER"))
    cl.user_session.set("support", autogen.AssistantAgent("support"))


@cl.on_message
async def answer(message: cl.Message) -> None:
    user = cl.user_session.get(USER)
    user.initiate_chat(cl.user_session.get("support"), message=message.content)  # here


async def library(user: autogen.UserProxyAgent, support: autogen.AssistantAgent) -> None:
    user.send("hello", support)  # here
""",
            title="agents of a session; an async function that others call",
        ),
        Example(
            """\
# file: pipeline.py
import requests


def models() -> list[str]:
    return requests.get("http://localhost:11434/api/tags", timeout=10).json()
# file: main.py
from fastapi import FastAPI

from pipeline import models

app = FastAPI()


@app.get("/models")
async def list_models():
    return models()  # here


@app.post("/ask")
async def ask(model: str):
    return model in models()  # here
""",
            title="two handlers that lead there",
        ),
    )
    good = (
        Example(
            """\
import asyncio
import time

import requests
from autogen import AssistantAgent, UserProxyAgent
from fastapi import FastAPI

app = FastAPI()


def answer(text: str) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    support = AssistantAgent("support", llm_config={"model": "gpt-4o-mini"})
    time.sleep(1)
    return user.initiate_chat(support, message=text).summary


@app.post("/chat")
async def chat(text: str) -> str:
    return await asyncio.to_thread(answer, text)


@app.post("/executor")
async def executor(text: str) -> str:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, lambda: answer(text))


@app.post("/plain")
def plain(text: str) -> str:
    return answer(requests.get(text, timeout=10).text)


@app.on_event("startup")
async def warm_up() -> None:
    requests.get("https://example.com", timeout=10)
""",
            title="threads, plain handlers, start-up",
        ),
        Example(
            """\
import asyncio
import time

from autogen import AssistantAgent, UserProxyAgent
from flask import Flask

app = Flask(__name__)


async def answer(text: str) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    support = AssistantAgent("support", llm_config={"model": "gpt-4o-mini"})
    time.sleep(1)
    return user.initiate_chat(support, message=text).summary


@app.post("/chat")
def chat(text: str) -> str:
    return asyncio.run(answer(text))


if __name__ == "__main__":
    print(asyncio.run(answer("hello")))
""",
            title="a loop that nobody else uses",
        ),
        Example(
            """\
import subprocess
from functools import lru_cache

from fastapi import FastAPI

app = FastAPI()


@lru_cache(maxsize=1)
def version() -> str:
    return subprocess.run(["git", "describe"], capture_output=True, text=True).stdout


@app.get("/version")
async def show() -> str:
    return version()
""",
            title="once in a process",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        found: dict[Place, Finding] = {}
        for finding in self._findings(project):
            before = found.get(finding.place)
            if before is None or _RANK[before.severity] < _RANK[finding.severity]:
                found[finding.place] = finding
        yield from found.values()

    def _findings(self, project: Project) -> Iterator[Finding]:
        for call in blocking_runs(project):
            severity: Severity = "error" if call.site.situation.users == "many" else "warning"
            for way in _ways(project, call.site):
                yield self._finding(project, way, severity, "the model has answered", _twin(project, call))
        for call in project.agent_calls:
            if _summarizes(call) and call.site.situation.users == "many" and on_hosts_loop(call.site):
                yield self._summary(project, call.site)
        for site in blocking_waits(project):
            if not _left_to_ruff(project, site):
                for way in _ways(project, site):
                    yield self._finding(project, way, "warning", "it returns", _sleep(project, site))

    def _finding(self, project: Project, site: Site, severity: Severity, until: str, fix: Fix | None) -> Finding:
        place, route = project.crossing(site)
        name = project.callee_text(site)
        if place.path == site.path and route.frame.scope is site.scope:
            what = f"`{name}` blocks"
        else:
            what = f"This leads to `{name}`, which blocks"
        return Finding(
            self.code,
            place,
            f"{what} the event loop of {_owner(project, site)}: {_others(site)} until {until}",
            severity,
            trace=project.trace(site),
            fix=fix if place.path == site.path else None,
        )

    def _summary(self, project: Project, site: Site) -> Finding:
        return Finding(
            self.code,
            project.site_place(site),
            f"`{project.callee_text(site)}` asks the model for its summary synchronously, which blocks the loop "
            f"of {_owner(project, site)}: {_others(site)} until it has answered",
            "warning",
            help="Leave `summary_method` out, or ask for the summary with an async chat of its own.",
            trace=project.trace(site),
        )


def _ways(project: Project, site: Site) -> Iterator[Site]:
    """The call once for each line in which async code leaves for it."""
    return (way for way in project.ways(site, lambda frame: True) if on_hosts_loop(way))


def _owner(project: Project, site: Site) -> str:
    """Whose loop it is."""
    if site.situation.kind == "library":
        return f"`async def {site.route.steps()[0].frame.scope.name}`"
    return project.started_by(site)


def _others(site: Site) -> str:
    serves = site.situation.users == "many" and site.situation.kind != "tool"
    return "all other requests wait" if serves else "everything else on it waits"


_RANK: Final = {"error": 2, "warning": 1, "information": 0}


def _summarizes(call: AgentCall) -> bool:
    if call.name not in {"a_initiate_chat", "a_initiate_chats"}:
        return False
    return any(
        name == "summary_method" and isinstance(value, Constant) and value.value == "reflection_with_llm"
        for name, value in call.site.call.keywords
    )


# --- What ruff reports ----------------------------------------------------------------------------------------

_RUFF: Final = (
    ("time.", "ASYNC251"),
    ("requests.", "ASYNC210"),
    ("httpx.", "ASYNC210"),
    ("urllib", "ASYNC210"),
    ("subprocess.Popen.", "ASYNC222"),
    ("subprocess.", "ASYNC221"),
    ("os.system", "ASYNC221"),
    ("os.popen", "ASYNC221"),
    ("os.wait", "ASYNC222"),
)


def _left_to_ruff(project: Project, site: Site) -> bool:
    """Whether ruff, as it is configured, says so itself: it sees what stands in the `async def`."""
    if not site.scope.is_async:
        return False
    for ref in site.targets:
        symbol = symbol_of(ref)
        for prefix, code in _RUFF:
            if symbol.startswith(prefix):
                return project.settings.ruff_reports(code, "TL108", site.path)
    return False


# --- Fixes ----------------------------------------------------------------------------------------------------


def _twin(project: Project, call: AgentCall) -> Fix | None:
    site, twin = call.site, call.entry.async_twin.rpartition(".")[2]
    if not twin or not site.scope.is_async:
        return None
    code = edits.parse(project.sources[site.path], project.program[site.path].module.cells)
    return edits.async_twin(code, site.call.span, twin, safe=False) if code is not None else None


def _sleep(project: Project, site: Site) -> Fix | None:
    if not site.scope.is_async or all(symbol_of(ref) != "time.sleep" for ref in site.targets):
        return None
    code = edits.parse(project.sources[site.path], project.program[site.path].module.cells)
    return edits.async_sleep(code, site.call.span) if code is not None else None
