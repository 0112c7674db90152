"""TL112 in Python: one client, agent or team is used by several event loops, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from turnlane.checker.finding import Finding
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Block
from turnlane.checker.python.loops import Drive, drives_of, has_other_loop
from turnlane.checker.python.project import Project, class_entry, class_name
from turnlane.checker.python.values import Container, External, Instance, Ref
from turnlane.checker.rule import Example, Rule

_BOUND_TO_A_LOOP: Final = frozenset(
    {
        "agent",
        "client",
        "http_client",
        "manager",
        "openai_client",
        "runtime",
        "stateless_agent",
        "team",
        "workflow",
    }
)
"""Roles of objects whose connections, locks or queues belong to the loop that used them first."""

_REPEATED: Final = frozenset({"request", "callback", "task", "session", "page", "tool"})
"""Surroundings in which a call runs again and again in one process."""

_DEEPEST: Final = 4


class Kept(NamedTuple):
    """An object that outlives a loop."""

    ref: Ref
    name: str
    line: int


class Use(NamedTuple):
    """An agent's call, the `asyncio.run` that drives it, and what of it outlives that run."""

    site: Site
    drive: Drive
    kept: Kept


class ClientAcrossLoops(Rule):
    code = "TL112"
    language = "python"
    detects = (
        "A model client, an agent or a team that is made outside of `asyncio.run` and used in it more than "
        "once: by a plain handler, a Celery task, a Streamlit script, a `while` loop, or two runs of one "
        "function. Silent where the objects are made inside of the coroutine, or a private loop is kept for "
        "all runs."
    )
    bad = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from celery import Celery

celery = Celery("tasks")
model = OpenAIChatCompletionClient(model="gpt-4o-mini")


@celery.task
def answer(text: str) -> str:
    agent = AssistantAgent("support", model)
    return asyncio.run(agent.run(task=text)).messages[-1].to_text()  # here
""",
            title="a client of the module in a task",
        ),
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


def main() -> None:
    agent = AssistantAgent("support", OpenAIChatCompletionClient(model="gpt-4o-mini"))
    while True:
        print(asyncio.run(agent.run(task=input())))  # here


if __name__ == "__main__":
    main()
""",
            title="a loop statement",
        ),
        Example(
            """\
import asyncio

import streamlit as st
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

if "agent" not in st.session_state:
    st.session_state["agent"] = AssistantAgent("support", OpenAIChatCompletionClient(model="gpt-4o-mini"))


async def answer(text: str):
    return await st.session_state["agent"].run(task=text)


text = st.chat_input()
if text:
    st.write(asyncio.run(answer(text)))  # here
""",
            title="kept in a Streamlit session",
        ),
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

agent = AssistantAgent("support", OpenAIChatCompletionClient(model="gpt-4o-mini"))


async def ask(text: str):
    return await agent.run(task=text)


if __name__ == "__main__":
    asyncio.run(ask("Where is order 7?"))
    asyncio.run(ask("And order 8?"))  # here
""",
            title="two runs",
        ),
        Example(
            """\
import asyncio

import streamlit as st
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

if "agent" not in st.session_state:
    st.session_state["agent"] = AssistantAgent("support", OpenAIChatCompletionClient(model="gpt-4o-mini"))


async def brief(agent: AssistantAgent, text: str):
    return await agent.run(task=text)


async def long(agent: AssistantAgent, text: str):
    async for message in agent.run_stream(task=text):
        st.write(message)


def main() -> None:
    text = st.chat_input()
    if st.toggle("Stream"):
        asyncio.run(long(st.session_state["agent"], text))  # here
    else:
        asyncio.run(brief(st.session_state["agent"], text))


main()
""",
            title="one agent in both branches",
        ),
    )
    good = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from fastapi import FastAPI

app = FastAPI()
agent = AssistantAgent("support", None)


@app.post("/chat")
async def chat(text: str):
    return asyncio.run(agent.run(task=text))
""",
            title="refused where a loop runs",
        ),
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask

app = Flask(__name__)


async def ask(text: str) -> str:
    model = OpenAIChatCompletionClient(model="gpt-4o-mini")
    result = await AssistantAgent("support", model).run(task=text)
    await model.close()
    return result.messages[-1].to_text()


@app.post("/chat/<text>")
def chat(text: str) -> str:
    return asyncio.run(ask(text))


def several() -> None:
    for text in ("a", "b"):
        agent = AssistantAgent("support", OpenAIChatCompletionClient(model="gpt-4o-mini"))
        asyncio.run(agent.run(task=text))
""",
            title="made for each run",
        ),
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

model = OpenAIChatCompletionClient(model="gpt-4o-mini")


async def main() -> None:
    agent = AssistantAgent("support", model)
    while True:
        print(await agent.run(task=input()))


def ask_all(verbose: bool) -> None:
    if verbose:
        asyncio.run(main())
    else:
        asyncio.run(main())


if __name__ == "__main__":
    asyncio.run(main())
""",
            title="one run",
        ),
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

model = OpenAIChatCompletionClient(model="gpt-4o-mini")
loop = asyncio.new_event_loop()


def ask(text: str):
    return loop.run_until_complete(AssistantAgent("support", model).run(task=text))


if __name__ == "__main__":
    while True:
        print(ask(input()))
""",
            title="one loop for all runs",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        # Where a loop runs, a second one is refused before it can meet anything: that is TL101.
        uses = [use for use in _uses(project) if use.drive.route.situation.loop is not True]
        repeated = [use for use in uses if _is_repeated(use)]
        places = {use.drive.place for use in repeated}
        first: dict[tuple[object, ...], Use] = {}
        for use in sorted(uses, key=lambda one: one.drive.number):
            earlier = first.setdefault((use.kept.ref.value, use.drive.route.frame.place), use)
            if use.drive.place not in places and _follows(use.drive, earlier.drive):
                places.add(use.drive.place)
                repeated.append(use)
        told: set[tuple[object, ...]] = set()
        for uses_there in _by_drive(repeated):
            objects = {(use.drive.route.frame.place, use.kept.ref.value) for use in uses_there}
            if not objects & told:
                yield self._finding(project, uses_there[0])
            told |= objects

    def _finding(self, project: Project, use: Use) -> Finding:
        site, drive, kept = use
        again = drive.route.situation.kind in _REPEATED
        start = project.started_by(Site(drive.route, drive.number, ()))
        when = f"every call of {start}" if again else "each of these runs"
        return Finding(
            self.code,
            project.place(drive.route.frame.path, drive.call.span),
            f"{when} uses {kept.name} in a new event loop, but its connections belong to the loop of the first, "
            "which is closed: `Event loop is closed`",
            "error" if again else "warning",
            trace=project.trace(site),
        )


def _by_drive(uses: list[Use]) -> list[list[Use]]:
    """The uses of each new loop, in the order of the program."""
    found: dict[tuple[str, int, int], list[Use]] = {}
    for use in uses:
        found.setdefault(use.drive.place, []).append(use)
    return [found[place] for place in sorted(found)]


def _uses(project: Project) -> Iterator[Use]:
    """What is used in the loops that are made and closed for it, and outlives them."""
    for call in project.agent_calls:
        if call.kind not in {"async", "stream"} or call.receiver is None or call.site.situation.kind == "test":
            continue
        for drive in drives_of(project, call.site):
            if has_other_loop(project, drive):
                for kept in _outliving(project, call.receiver, drive):
                    yield Use(call.site, drive, kept)


def _is_repeated(use: Use) -> bool:
    """Whether the run happens again with the same object."""
    _, drive, kept = use
    situation = drive.route.situation
    if situation.kind in _REPEATED and kept.ref.lifetime != "fresh":
        return True
    loops = [block for block in _blocks(drive) if block.kind in {"for", "while"}]
    # Made before the loop statement, or not in this function at all.
    return any(kept.line < block.line or kept.ref.shared for block in loops)


def _blocks(drive: Drive) -> list[Block]:
    scope = drive.route.frame.scope
    return [scope.blocks[number] for number in drive.route.frame.view.blocks_around(scope, drive.call.block)]


def _follows(drive: Drive, other: Drive) -> bool:
    """Whether a run comes after another one in the same function: not in the other branch of an `if`."""
    if other.number >= drive.number or other.route.frame is not drive.route.frame:
        return False
    view, scope = drive.route.frame.view, drive.route.frame.scope
    around = set(view.blocks_around(scope, drive.call.block))
    return other.call.block in around


def _outliving(project: Project, ref: Ref, drive: Drive) -> Iterator[Kept]:
    """The parts of an object that were made before the run, and still are there after it."""
    for part in _parts(project, ref, 0):
        value = part.value
        if not isinstance(value, Instance):
            continue
        entry = class_entry(part, project.evaluator)
        if entry is None or entry.role not in _BOUND_TO_A_LOOP or "replay" in entry.name.lower():
            continue
        what = class_name(part, project.evaluator)
        if part.shared or part.lifetime == "session":
            name = f"`{part.holder.name}` ({what})" if part.holder is not None else f"the session's `{what}`"
            yield Kept(part, name, 0)
        elif part.lifetime == "fresh" and value.frame is drive.route.frame and value.call >= 0:
            call = value.frame.scope.calls[value.call]
            variable = _variable(value)
            yield Kept(part, f"`{variable}` ({what})" if variable else f"this `{what}`", call.span.line)


def _variable(value: Instance) -> str:
    """The variable that the object was first kept in."""
    assert value.frame is not None
    call = value.frame.scope.calls[value.call]
    if call.use == "assigned" and call.user >= 0:
        target = value.frame.scope.assignments[call.user].target
        return getattr(target, "id", "")
    return ""


def _parts(project: Project, ref: Ref, depth: int) -> Iterator[Ref]:
    """An object and what its constructor was given: an agent's model client, a team's members."""
    yield ref
    value = ref.value
    if depth >= _DEEPEST or not isinstance(value, Instance) or value.frame is None or value.call < 0:
        return
    if not isinstance(value.cls, External):
        return
    call = value.frame.scope.calls[value.call]
    for argument in (*call.arguments, *(given for _, given in call.keywords)):
        for inner in project.evaluator.evaluate(argument, value.frame):
            members = inner.value.items if isinstance(inner.value, Container) else (inner,)
            for member in members:
                yield from _parts(project, member, depth + 1)
