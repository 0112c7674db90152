"""TL101 in Python: a second event loop is started on a thread that runs one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.python.explore import Site
from turnlane.checker.python.project import Project
from turnlane.checker.rule import Example, Rule
from turnlane.checker.rules._nested import fix_of, nested_runs

PATCHED: Final = {"Chainlit": "chainlit run"}
"""Hosts whose command applies `nest_asyncio`, and the command; under another server they don't."""


class NestedLoop(Rule):
    code = "TL101"
    language = "python"
    detects = (
        "`asyncio.run`, `loop.run_until_complete` and the like in an `async def`, or in a plain function "
        "that async code calls, in this file or another. Silent where the function looks for a running loop "
        "first, where the call runs in a thread of its own, and in a process with `nest_asyncio` (that is "
        "TL105). In notebooks it is TL102."
    )
    fixes = (
        "`asyncio.run(x)` becomes `await x`; safe in an `async def`. A plain function is made async with all "
        "its callers awaiting it, when they can: unsafe."
    )
    bad = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()


def ask(text: str) -> str:
    agent = AssistantAgent("support", OpenAIChatCompletionClient(model="gpt-4o-mini"))
    result = asyncio.run(agent.run(task=text))  # here
    return result.messages[-1].to_text()


@app.post("/chat")
async def chat(text: str) -> str:
    return ask(text)
""",
            after="""\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()


async def ask(text: str) -> str:
    agent = AssistantAgent("support", OpenAIChatCompletionClient(model="gpt-4o-mini"))
    result = await agent.run(task=text)
    return result.messages[-1].to_text()


@app.post("/chat")
async def chat(text: str) -> str:
    return await ask(text)
""",
            title="hidden in a helper",
        ),
        Example(
            """\
# file: orchestrator.py
import asyncio


class Orchestrator:
    def execute(self, plan, dry_run: bool = False):
        if dry_run:
            return plan
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(self.steps(plan))
        finally:
            loop.close()

    async def steps(self, plan):
        return plan
# file: main.py
import asyncio

from orchestrator import Orchestrator


async def main(plan):
    orchestrator = Orchestrator()
    orchestrator.execute(plan, dry_run=True)
    orchestrator.execute(plan, dry_run=False)  # here


if __name__ == "__main__":
    asyncio.run(main("plan"))
""",
            title="a loop of its own in another file",
        ),
        Example(
            """\
import asyncio


async def fetch() -> str:
    return "text"


async def main() -> None:
    print(asyncio.run(fetch()))  # here
""",
            after="""\
import asyncio


async def fetch() -> str:
    return "text"


async def main() -> None:
    print(await fetch())
""",
            title="in the async function itself",
        ),
        Example(
            """\
import asyncio


def call(coroutine):
    loop = asyncio.get_event_loop()
    if loop.is_running():
        return asyncio.run(coroutine)  # here
    return coroutine
""",
            title="in the branch for a running loop",
        ),
        Example(
            """\
import asyncio


def call(coroutine):
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
    return loop.run_until_complete(coroutine)  # here
""",
            title="driving the running loop",
        ),
    )
    good = (
        Example(
            """\
import asyncio
from concurrent.futures import ThreadPoolExecutor


async def fetch() -> str:
    return "text"


def call() -> str:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(fetch())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, fetch()).result()


async def main() -> None:
    print(call())
""",
            title="asks whether a loop runs",
        ),
        Example(
            """\
import asyncio

from fastapi import FastAPI

app = FastAPI()


async def fetch() -> str:
    return "text"


def in_thread() -> str:
    return asyncio.run(fetch())


@app.get("/plain")
def plain() -> str:
    return asyncio.run(fetch())


@app.get("/thread")
async def thread() -> str:
    return await asyncio.to_thread(in_thread)


if __name__ == "__main__":
    asyncio.run(fetch())
""",
            title="in threads and at the start of the process",
        ),
        Example(
            """\
import asyncio


class Provider:
    @property
    def names(self) -> list[str]:
        return asyncio.run(self.get_names())

    async def get_names(self) -> list[str]:
        return []


def show(provider: Provider) -> None:
    print(provider.names)
""",
            title="only plain callers",
        ),
        Example(
            """\
import asyncio


class Lock:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    async def release(self) -> None: ...

    def __del__(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = self.loop
            if not loop.is_running():
                loop.run_until_complete(self.release())
                return
        loop.create_task(self.release())
""",
            title="another loop where none runs",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for site, place in nested_runs(project):
            if place.path.endswith(".ipynb"):
                continue
            yield Finding(
                self.code,
                place,
                _message(project, site),
                "error" if site.situation.loop and site.situation.host not in PATCHED else "warning",
                trace=project.trace(site),
                fix=fix_of(project, site) if site.path == place.path else None,
            )


def _message(project: Project, site: Site) -> str:
    runner = project.callee_text(site)
    if site.situation.host in PATCHED:
        return (
            f"`{runner}` runs inside the loop of {project.started_by(site)}: it raises RuntimeError, or where "
            f"`{PATCHED[site.situation.host]}` has patched asyncio, it returns only after all that began later"
        )
    where = [route.frame.scope for route in site.route.steps() if route.frame.scope.is_async]
    if not where:
        return f"`{runner}` is called just where a loop runs already: it raises RuntimeError"
    if where[-1] is site.scope:
        return f"`{runner}` in `async def {site.scope.name}` raises RuntimeError: a loop runs there already"
    return f"`{runner}` raises RuntimeError: `async def {where[-1].name}` leads to it ({project.way(site)})"
