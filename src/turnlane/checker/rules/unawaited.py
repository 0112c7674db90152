"""TL106 in Python: an async call that nobody awaits, or a stream that nobody reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from turnlane.checker import edits
from turnlane.checker.finding import Finding, Fix
from turnlane.checker.python.awaitables import Awaitable, Awaitables
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Attribute, CallRef, Name, Read, Scope
from turnlane.checker.python.project import Project
from turnlane.checker.python.values import symbol_of
from turnlane.checker.rule import Example, Rule

_OF_COROUTINES: Final = frozenset({"close", "send", "throw", "aclose", "asend", "athrow"})
_TAKE_VALUES: Final = frozenset(
    f"builtins.{name}" for name in ("print", "str", "repr", "len", "int", "float", "list", "sorted", "sum")
) | {"json.dumps", "json.loads", "fastapi.responses.JSONResponse", "flask.jsonify"}
"""Functions that can do nothing with a coroutine."""


class Unawaited(Rule):
    code = "TL106"
    language = "python"
    detects = (
        "A call of an async method of an agent, a team, a runtime or a model client, or of an async function "
        "of the project, that is dropped or whose coroutine is used as if it were the result "
        "(`agent.run(...).messages`); a stream that is dropped, awaited or read with a plain `for`; a "
        "coroutine that a handler returns. Silent when the coroutine is kept for later, handed on, or returned "
        "by a plain function for its caller to await."
    )
    fixes = "`await` is inserted where the function around is async, and in notebook cells: safe."
    bad = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import ChatCompletionClient


async def answer(text: str, state: dict, model: ChatCompletionClient) -> str:
    agent = AssistantAgent("support", model)
    agent.load_state(state)  # here
    result = agent.run(task=text)  # here
    return result.messages[-1].to_text()


async def last(text: str, model: ChatCompletionClient) -> str:
    agent = AssistantAgent("support", model)
    return agent.run(task=text).messages[-1].to_text()  # here
""",
            after="""\
from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import ChatCompletionClient


async def answer(text: str, state: dict, model: ChatCompletionClient) -> str:
    agent = AssistantAgent("support", model)
    await agent.load_state(state)
    result = await agent.run(task=text)
    return result.messages[-1].to_text()


async def last(text: str, model: ChatCompletionClient) -> str:
    agent = AssistantAgent("support", model)
    return (await agent.run(task=text)).messages[-1].to_text()
""",
            title="dropped, kept and used at once",
        ),
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_agentchat.ui import Console
from autogen_core.models import ChatCompletionClient


async def show(text: str, model: ChatCompletionClient) -> None:
    team = RoundRobinGroupChat([AssistantAgent("support", model)], max_turns=1)
    team.run_stream(task=text)  # here
    Console(team.run_stream(task=text))  # here
    for item in team.run_stream(task=text):  # here
        print(item)
    result = await team.run_stream(task=text)  # here
    print(result)
    print(team.run(task=text))  # here
""",
            title="streams",
        ),
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o-mini")


@app.post("/chat")
def chat(text: str):
    return AssistantAgent("support", client).run(task=text)  # here


@app.post("/ask")
async def ask(text: str):
    return AssistantAgent("support", client).run(task=text)  # here
""",
            title="returned by a handler",
        ),
        Example(
            """\
import asyncio


class Hub:
    def __init__(self) -> None:
        self.queue = asyncio.Queue()

    async def flush(self) -> None: ...

    async def stop(self) -> None:
        self.flush()  # here
        asyncio.sleep(1)  # here


async def main() -> None:
    Hub().stop()  # here
""",
            after="""\
import asyncio


class Hub:
    def __init__(self) -> None:
        self.queue = asyncio.Queue()

    async def flush(self) -> None: ...

    async def stop(self) -> None:
        await self.flush()
        await asyncio.sleep(1)


async def main() -> None:
    await Hub().stop()
""",
            title="the project's own functions",
        ),
    )
    good = (
        Example(
            """\
import asyncio
import inspect

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_agentchat.ui import Console
from autogen_core import CancellationToken
from autogen_core.models import ChatCompletionClient


def start(agent: AssistantAgent, text: str):
    return agent.run(task=text)


async def all_of_them(agents: list[AssistantAgent], text: str, model: ChatCompletionClient) -> None:
    runs = [agent.run(task=text) for agent in agents]
    await asyncio.gather(*runs)
    first = agents[0].run(task=text)
    second = asyncio.create_task(agents[1].run(task=text))
    print((await first).messages, (await second).messages)
    team = RoundRobinGroupChat([AssistantAgent("support", model)], max_turns=1)
    stream = team.run_stream(task=text)
    async for item in stream:
        print(item)
    await Console(team.run_stream(task=text))
    result = team.run(task=text)
    if inspect.isawaitable(result):
        result = await result
    print(result.messages)
    never = team.run(task=text)
    never.close()
    token = CancellationToken()
    token.link_future(asyncio.ensure_future(team.run(task=text, cancellation_token=token)))


asyncio.run(all_of_them([], "", None))
""",
            title="kept for later",
        ),
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent


class Quiet(AssistantAgent):
    def close(self) -> None:
        print("closed")


def end(agent: Quiet) -> None:
    agent.close()
""",
            title="a subclass that made it sync",
        ),
        Example(
            """\
from autogen import AssistantAgent, UserProxyAgent


def chat(text: str, llm_config: dict) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER")
    support = AssistantAgent("support", llm_config=llm_config)
    user.reset()
    return user.initiate_chat(support, message=text).summary
""",
            title="the classic line is sync",
        ),
        Example(
            """\
import click


def run_async(function):
    return function


@click.command()
@run_async
async def main() -> None: ...


@run_async
async def helper() -> None: ...


def start() -> None:
    helper()


if __name__ == "__main__":
    main()
""",
            title="decorated",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for call in _calls(project):
            how = _misuse(project, call)
            if how:
                yield Finding(
                    self.code,
                    project.site_place(call.site),
                    f"`{project.callee_text(call.site)}(...)` {how}",
                    "error",
                    help="" if call.kind == "async" else "Read a stream with `async for`.",
                    fix=_fix(project, call),
                )


class _Call(NamedTuple):
    """A call in the text of a file that gives a coroutine or a stream, on whatever way it is reached."""

    site: Site
    kind: str
    framework: bool


def _calls(project: Project) -> Iterator[_Call]:
    awaitables = Awaitables(project)
    found: dict[tuple[str, int, int], tuple[Site, Awaitable]] = {}
    unsure: set[tuple[str, int, int]] = set()
    for site in project.sites:
        call = site.call
        if call.use in _WRONG_USES:
            key = (*site.frame.place, site.number)
            for ref in site.targets:
                given = awaitables.given_by(ref, call)
                if given is None or (key in found and found[key][1] != given):
                    unsure.add(key)
                elif key not in found or site.situation.kind == "request":
                    found[key] = (site, given)
    return (_Call(site, *given) for key, (site, given) in found.items() if key not in unsure)


_WRONG_USES: Final = frozenset(
    {
        "awaited",
        "dropped",
        "attribute",
        "subscript",
        "iterated",
        "async iterated",
        "entered",
        "tested",
        "argument",
        "returned",
        "assigned",
    }
)
"""Uses that may be wrong for a coroutine or a stream."""


# --- What is done with it -------------------------------------------------------------------------------------


def _misuse(project: Project, call: _Call) -> str:
    """What goes wrong, for the message; empty when nothing does for certain."""
    site = call.site
    if call.kind == "stream":
        return _misused_stream(project, call)
    match site.call.use:
        case "dropped":
            return "is never awaited: nothing runs"
        case "attribute":
            return (
                ""
                if _asks_coroutine(site)
                else "is not awaited: what is asked of its result is asked of a coroutine"
            )
        case "subscript" | "iterated" | "entered" | "async iterated":
            return "is not awaited: a coroutine stands where its result should be"
        case "tested":
            return "is not awaited: a coroutine is always true"
        case "argument":
            return _HANDED_OVER if _takes_value(project, site, site.call.user) else ""
        case "returned":
            return _returned(call)
        case "assigned":
            return _misused_variable(project, call)
        case _:
            return ""


_HANDED_OVER: Final = "is not awaited: a coroutine is handed over in place of its result"


def _misused_stream(project: Project, call: _Call) -> str:
    site = call.site
    match site.call.use:
        case "dropped":
            return "is never read: nothing runs"
        case "awaited":
            return "is awaited, but it is a stream: this raises TypeError"
        case "attribute" if not _asks_coroutine(site):
            return "is a stream: what is asked of its result is asked of an async generator"
        case "iterated" | "subscript" | "entered":
            return "is a stream: it can only be read with `async for`"
        case "argument" if _takes_value(project, site, site.call.user):
            return "is a stream: it is handed over unread"
        case "assigned":
            return _misused_variable(project, call)
        case _:
            return ""


def _asks_coroutine(site: Site) -> bool:
    """Whether the attribute is one of coroutines: `agent.run(...).close()`."""
    made = CallRef(site.number)
    return any(
        isinstance(other.callee, Attribute)
        and isinstance(other.callee.base, CallRef)
        and other.callee.base == made
        and other.callee.name in _OF_COROUTINES
        for other in site.scope.calls
    )


def _takes_value(project: Project, site: Site, user: int) -> bool:
    """Whether the call that gets it is one that can do nothing with a coroutine."""
    if not 0 <= user < len(site.scope.calls):
        return False
    refs = project.evaluator.evaluate(site.scope.calls[user].callee, site.frame)
    return bool(refs) and all(symbol_of(ref) in _TAKE_VALUES for ref in refs)


def _returned(call: _Call) -> str:
    """A coroutine that a handler gives to its framework, which wanted the answer."""
    site = call.site
    situation, entry = site.situation, site.route.entry
    if site.route.length or entry.registration is None or site.scope.is_generator or site.scope.kind != "function":
        return ""
    if situation.kind == "request" and situation.host in _AWAIT_ONCE:
        return f"is returned by the handler `{site.scope.name}` without being awaited: the answer is a coroutine"
    if situation.kind == "tool" and call.framework:
        return (
            f"is returned by the tool `{site.scope.name}` without being awaited: the model is told of a coroutine"
        )
    return ""


_AWAIT_ONCE: Final = frozenset({"FastAPI", "Starlette", "Flask", "Django"})
"""Web frameworks that do not await what a handler returns."""


def _misused_variable(project: Project, call: _Call) -> str:
    """The same for a variable that is assigned once: how all its reads use it."""
    site, scope = call.site, call.site.scope
    if not 0 <= site.call.user < len(scope.assignments):
        return ""
    assignment = scope.assignments[site.call.user]
    target = assignment.target
    if not isinstance(target, Name) or not isinstance(assignment.value, CallRef) or scope.kind == "class":
        return ""
    name, view = target.id, site.frame.view
    if name in scope.globals or name in scope.nonlocals or len(view.assigned[scope.number, name]) != 1:
        return ""
    if any(_reads(child, name) for child in view.scopes if child.number and _is_inside(view.scopes, child, scope)):
        return ""
    reads = [read for read in scope.reads if read.name == name]
    if not reads and (scope.number == 0 or view.module.recovered):
        return ""  # others may import it, or the line that reads it was lost
    right = {"async iterated"} if call.kind == "stream" else {"awaited"}
    if any(read.use in right or not _is_misuse(project, site, read, call.kind) for read in reads):
        return ""
    what = "a stream" if call.kind == "stream" else "a coroutine"
    if not reads:
        return f"is never awaited: nothing runs, and nothing reads `{name}`"
    return f"is not awaited: `{name}` is {what}, and is used as its result"


def _is_inside(scopes: tuple[Scope, ...], inner: Scope, outer: Scope) -> bool:
    while inner.parent >= 0:
        if inner.parent == outer.number:
            return True
        inner = scopes[inner.parent]
    return False


def _reads(scope: Scope, name: str) -> bool:
    return any(read.name == name for read in scope.reads)


def _is_misuse(project: Project, site: Site, read: Read, kind: str) -> bool:
    match read.use:
        case "attribute" | "callee":
            return read.attribute not in _OF_COROUTINES and not read.attribute.startswith(("cr_", "ag_", "__"))
        case "subscript" | "iterated" | "entered" | "tested":
            return True
        case "awaited":
            return kind == "stream"
        case "async iterated":
            return kind == "async"
        case "argument":
            return _takes_value(project, site, read.user)
        case _:
            return False


def _fix(project: Project, call: _Call) -> Fix | None:
    site = call.site
    if call.kind == "stream" or (site.call.use == "async iterated" and call.framework):
        return None
    code = edits.parse(project.sources[site.path], project.program[site.path].module.cells)
    return edits.insert_await(code, site.call.span) if code is not None else None
