"""TL103 in Python: code of a thread asks for an event loop that is not there."""

from __future__ import annotations

from collections.abc import Iterator

from turnlane.checker.finding import Finding
from turnlane.checker.python.loops import missing_loops
from turnlane.checker.python.project import Project
from turnlane.checker.rule import Example, Rule


class LoopInThread(Rule):
    code = "TL103"
    language = "python"
    detects = (
        "`asyncio.get_event_loop()` or `get_running_loop()` in plain code that runs in a thread: one that "
        "the program started, a worker of a thread pool, a FastAPI `def` endpoint, a Streamlit script. "
        "Silent where the thread gets a loop before, or where the refusal is caught."
    )
    bad = (
        Example(
            """\
import asyncio
from concurrent.futures import ThreadPoolExecutor

pool = ThreadPoolExecutor()


async def answer(text: str) -> str:
    return text


def ask(text: str) -> str:
    loop = asyncio.get_event_loop()  # here
    return loop.run_until_complete(answer(text))


def ask_in_background(text: str) -> str:
    return pool.submit(ask, text).result()
""",
            title="in a worker",
        ),
        Example(
            """\
import asyncio

from fastapi import FastAPI

app = FastAPI()


async def answer(text: str) -> str:
    return text


@app.post("/chat")
def chat(text: str) -> str:
    return asyncio.get_event_loop().run_until_complete(answer(text))  # here
""",
            title="in a plain endpoint",
        ),
        Example(
            """\
import asyncio

import streamlit as st


async def answer(text: str) -> str:
    return text


text = st.chat_input()
if text:
    loop = asyncio.get_event_loop()  # here
    st.write(loop.run_until_complete(answer(text)))
""",
            title="in a Streamlit script",
        ),
    )
    good = (
        Example(
            """\
import asyncio
import threading


async def answer() -> None: ...


def own() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncio.get_event_loop().run_until_complete(answer())


def careful() -> None:
    try:
        loop = asyncio.get_event_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
    loop.run_until_complete(answer())


def run() -> None:
    asyncio.run(answer())


for target in (own, careful, run):
    threading.Thread(target=own).start()
    threading.Thread(target=careful).start()
    threading.Thread(target=run).start()
""",
            title="a thread with a loop",
        ),
        Example(
            """\
import asyncio
from concurrent.futures import ThreadPoolExecutor


async def answer(text: str) -> str:
    return text


async def main(text: str) -> str:
    loop = asyncio.get_event_loop()
    with ThreadPoolExecutor() as pool:
        return await loop.run_in_executor(pool, lambda: asyncio.run(answer(text)))
""",
            title="the loop is taken outside",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for site in missing_loops(project):
            yield Finding(
                self.code,
                project.site_place(site),
                f"`{project.callee_text(site)}()` raises RuntimeError in {project.started_by(site)}: "
                "its thread has no event loop",
                "error",
                trace=project.trace(site),
            )
