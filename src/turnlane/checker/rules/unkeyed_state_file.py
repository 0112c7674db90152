"""TL206 in Python: the saved state of all conversations in one file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.python.explore import Route, Site
from turnlane.checker.python.facts import Constant, Expression
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.project import Project, agent_calls_of
from turnlane.checker.python.values import External, LiteralValue, Method
from turnlane.checker.rule import Example, Rule

OPENS: Final = frozenset({"builtins.open", "aiofiles.open", "io.open", "anyio.open_file"})
WRITES: Final = frozenset({"pathlib.Path.write_text", "pathlib.Path.write_bytes", "anyio.Path.write_text"})
SAVED: Final = frozenset({"save_state"})


class UnkeyedStateFile(Rule):
    code = "TL206"
    language = "python"
    detects = (
        "A request handler, or a function it calls, that saves an agent's or team's state into a file whose "
        "name does not depend on the request."
    )
    bad = (
        Example(
            """\
import json

import aiofiles
from autogen_agentchat.teams import RoundRobinGroupChat
from fastapi import FastAPI

app = FastAPI()
STATE = "team_state.json"


@app.post("/chat")
async def chat(text: str):
    team = RoundRobinGroupChat([])
    async with aiofiles.open(STATE) as file:
        await team.load_state(json.loads(await file.read()))
    result = await team.run(task=text)
    state = await team.save_state()
    async with aiofiles.open(STATE, "w") as file:  # here
        await file.write(json.dumps(state))
    return result
""",
        ),
    )
    good = (
        Example(
            """\
import json

import aiofiles
from autogen_agentchat.teams import RoundRobinGroupChat
from fastapi import FastAPI

app = FastAPI()


@app.post("/chat/{conversation}")
async def chat(conversation: str, text: str):
    team = RoundRobinGroupChat([])
    result = await team.run(task=text)
    async with aiofiles.open(f"states/{conversation}.json", "w") as file:
        await file.write(json.dumps(await team.save_state()))
    return result
""",
            title="a file for each conversation",
        ),
        Example(
            """\
import asyncio
import json

from autogen_agentchat.teams import RoundRobinGroupChat


async def main():
    team = RoundRobinGroupChat([])
    with open("state.json", "w") as file:
        json.dump(await team.save_state(), file)


if __name__ == "__main__":
    asyncio.run(main())
""",
            title="one user's program",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        saving: dict[Frame, Route] = {}
        for site in project.sites:
            if site.situation.serves and any(call.name in SAVED for call in agent_calls_of(site)):
                saving.setdefault(site.frame, site.route)
        for frame, route in saving.items():
            for number in range(len(frame.scope.calls)):
                site = Site(route, number, project.evaluator.evaluate(frame.scope.calls[number].callee, frame))
                name = _written_file(project, site)
                if name is not None:
                    yield self._finding(project, site, name)

    def _finding(self, project: Project, site: Site, name: str) -> Finding:
        return Finding(
            self.code,
            project.site_place(site),
            f"every request of {project.started_by(site)} writes into the same file `{name}`: "
            "users continue each other's conversations",
            "error",
            trace=project.trace(site),
        )


def _written_file(project: Project, site: Site) -> str | None:
    """The name of the file that a call writes, when it is the same for all requests."""
    for ref in site.targets:
        symbol = ref.value.name if isinstance(ref.value, External) else ""
        if symbol in OPENS and _opened_for_writing(site):
            return _constant_text(project, site, site.call.arguments[0]) if site.call.arguments else None
        if isinstance(ref.value, Method) and ref.value.symbol in WRITES:
            made = ref.value.receiver.value
            number = getattr(made, "call", -1)
            frame = getattr(made, "frame", None)
            if number >= 0 and frame is not None and frame.scope.calls[number].arguments:
                return _constant_text(
                    project, Site(site.route, number, ()), frame.scope.calls[number].arguments[0]
                )
    return None


def _opened_for_writing(site: Site) -> bool:
    modes = [*site.call.arguments[1:2], *(value for name, value in site.call.keywords if name == "mode")]
    return any(
        isinstance(mode, Constant) and isinstance(mode.value, str) and mode.value[:1] in "wax" for mode in modes
    )


def _constant_text(project: Project, site: Site, expression: Expression) -> str | None:
    texts = {
        ref.value.value
        for ref in project.evaluator.evaluate(expression, site.frame)
        if isinstance(ref.value, LiteralValue) and isinstance(ref.value.value, str)
    }
    others = [
        ref
        for ref in project.evaluator.evaluate(expression, site.frame)
        if not isinstance(ref.value, LiteralValue)
    ]
    return texts.pop() if len(texts) == 1 and not others else None
