"""TL113 in Python: a run starts while a module is imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from turnlane.checker import edits
from turnlane.checker.finding import Finding, Place, Severity
from turnlane.checker.python.explore import Site
from turnlane.checker.python.loops import RUNNERS, makers_of
from turnlane.checker.python.project import Project
from turnlane.checker.rule import Example, Rule
from turnlane.checker.rules._nested import code_of

_IMPORTED_BY_SERVERS: Final = frozenset(
    {"FastAPI", "Starlette", "Quart", "Litestar", "Sanic", "aiohttp", "Django"}
)
"""Hosts whose programs are usually named to a server, which imports them."""

_STARTED_AS_PROGRAMS: Final = frozenset({"alembic", "chainlit", "streamlit", "marimo"})
"""Packages whose command runs a script from top to bottom: there a run at the top level is meant."""


class RunAtImport(Rule):
    code = "TL113"
    language = "python"
    detects = (
        "`asyncio.run`, or a chat or run of an agent, at the top level of a file without `if __name__ == "
        '"__main__":`, also in a function that the top level calls: an error where another file imports this '
        "one, information where it is only a script. Scripts of Streamlit and Chainlit and notebooks are "
        "right."
    )
    fixes = "The statements from the run to the end of the file go under the guard: unsafe."
    bad = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def main() -> None:
    agent = AssistantAgent("support", OpenAIChatCompletionClient(model="gpt-4o-mini"))
    print(await agent.run(task="Where is order 7?"))


asyncio.run(main())  # here
""",
            after="""\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def main() -> None:
    agent = AssistantAgent("support", OpenAIChatCompletionClient(model="gpt-4o-mini"))
    print(await agent.run(task="Where is order 7?"))


if __name__ == "__main__":
    asyncio.run(main())
""",
            title="a loop",
        ),
        Example(
            """\
import asyncio


async def move(name: str) -> None: ...


for name in ("left", "right"):
    if name == "left":
        asyncio.run(move(name))  # here
    else:
        asyncio.run(move(name))
""",
            title="several loops",
        ),
        Example(
            """\
from autogen import AssistantAgent, UserProxyAgent

assistant = AssistantAgent("assistant")
user = UserProxyAgent("user", human_input_mode="NEVER")
user.initiate_chat(assistant, message="Where is order 7?")  # here
""",
            title="a chat",
        ),
        Example(
            """\
# file: bot.py
import asyncio


async def register() -> None: ...


asyncio.run(register())  # here
# file: app.py
from bot import register
""",
            title="in a module that is imported",
        ),
    )
    good = (
        Example(
            """\
import asyncio


async def main() -> None: ...


if __name__ == "__main__":
    asyncio.run(main())
""",
            title="under the guard",
        ),
        Example(
            """\
import asyncio

import streamlit as st


async def main() -> None: ...


if st.button("Go"):
    asyncio.run(main())
""",
            title="a Streamlit script",
        ),
        Example(
            """\
# file: package/__main__.py
import asyncio


async def main() -> None: ...


asyncio.run(main())
""",
            title="a package's program",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        chats = (
            call.site
            for call in project.agent_calls
            if call.kind == "sync" and call.role not in {"client", "openai_client", "openai_resource"}
        )
        first: dict[str, tuple[Place, Site]] = {}
        for place, site in self._runs(project, chain(project.calls_of(RUNNERS), chats)):
            # One guard is for all that a script runs: the first is enough.
            if place.path not in first or place < first[place.path][0]:
                first[place.path] = (place, site)
        for place, site in first.values():
            yield self._finding(project, site, place)

    def _runs(self, project: Project, sites: Iterable[Site]) -> Iterator[tuple[Place, Site]]:
        for site in sites:
            if site.situation.kind != "import" or site.situation.loop is not False or site.situation.thread:
                continue
            top = site.route.steps()[0]
            path = top.frame.path
            if path.endswith("__main__.py") or _is_started(project, path) or _is_legacy(project, site):
                continue
            steps = site.route.steps()
            number = steps[1].call if len(steps) > 1 else site.number
            yield Place(path, *top.frame.scope.calls[number].span), site

    def _finding(self, project: Project, site: Site, place: Place) -> Finding:
        severity, who = _who_imports(project, place.path)
        code = code_of(project, place.path)
        return Finding(
            self.code,
            place,
            f"`{project.callee_text(site)}` runs whenever this file is imported" + (f": {who}" if who else ""),
            severity,
            trace=project.trace(site) if len(site.route.steps()) > 1 else (),
            fix=edits.main_guard(code, place) if code is not None else None,
        )


def _is_started(project: Project, path: str) -> bool:
    """Whether a command of its framework runs the file from top to bottom."""
    if project.program.imported_by.get(path):
        return False
    imports = project.program[path].module.imports
    return any(item.module.partition(".")[0] in _STARTED_AS_PROGRAMS for item in imports)


def _is_legacy(project: Project, site: Site) -> bool:
    """Whether TL104 says it already, and nobody imports the file."""
    legacy = any(maker.symbol == "asyncio.get_event_loop" for maker in makers_of(project, site))
    return legacy and not project.program.imported_by.get(site.path)


def _who_imports(project: Project, path: str) -> tuple[Severity, str]:
    importers = sorted(project.program.imported_by.get(path, set()) - {path})
    if importers:
        others = f" and {len(importers) - 1} more import it" if len(importers) > 1 else " imports it"
        return "error", f"`{importers[0]}`{others}"
    for entry in project.exploration.entries:
        if entry.frame.path == path and entry.situation.host in _IMPORTED_BY_SERVERS:
            return "warning", f"{entry.situation.host} servers import it, inside their running loop"
    return "information", ""
