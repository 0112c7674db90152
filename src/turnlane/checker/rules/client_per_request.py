"""TL302 in Python: a model client for each request that nobody closes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.libraries.frameworks import ClassEntry
from turnlane.checker.python.explore import Route, Site
from turnlane.checker.python.facts import Attribute, Name, Scope, Subscript
from turnlane.checker.python.project import Project, class_name
from turnlane.checker.python.values import External, Instance, Ref
from turnlane.checker.rule import Example, Rule

ROLES: Final = frozenset({"client", "openai_client", "http_client"})
SESSION_BEGINS: Final = frozenset({"on_chat_start", "on_chat_resume", "set_starters"})
CLOSES: Final = frozenset(
    {"close", "aclose", "enter_async_context", "enter_context", "push_async_exit", "callback"}
)


class ClientPerRequest(Rule):
    code = "TL302"
    language = "python"
    detects = (
        "A model client or HTTP client made by code that each request runs, and neither closed there, entered "
        "with `async with`, kept for later requests nor made by a cached function."
    )
    bad = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()


@app.post("/chat")
async def chat(text: str):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")  # here
    return await AssistantAgent("support", client).run(task=text)
""",
        ),
    )
    good = (
        Example(
            """\
import functools

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
clients = {}


@functools.cache
def get_client():
    return OpenAIChatCompletionClient(model="gpt-4o-mini")


@app.post("/cached")
async def cached(text: str):
    return await AssistantAgent("support", get_client()).run(task=text)


@app.post("/closed")
async def closed(text: str):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        return await AssistantAgent("support", client).run(task=text)
    finally:
        await client.close()


@app.post("/kept/{model}")
async def kept(model: str, text: str):
    if model not in clients:
        clients[model] = OpenAIChatCompletionClient(model=model)
    return await AssistantAgent("support", clients[model]).run(task=text)
""",
            title="one for the process, or closed",
        ),
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
sessions = {}


class Session:
    def __init__(self, name: str):
        self.agents = []
        self.set_up()

    def set_up(self):
        client = OpenAIChatCompletionClient(model="gpt-4o-mini")
        self.agents.append(AssistantAgent("support", client))


@app.post("/sessions/{name}")
async def create_session(name: str):
    session = Session(name)
    sessions[name] = session
    return name
""",
            title="kept in an object that a session keeps",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        closed: set[Instance] | None = None
        for site, made, entry in project.creations:
            # A page or a session makes its client once for a user who stays.
            if not site.situation.serves or _for_a_session(site):
                continue
            if not _is_client(made, entry) or not _made_here(made, site) or _is_described_only(site):
                continue
            if closed is None:
                closed = _closed(project)
            if made.value in closed or _kept(project, site):
                continue
            name = class_name(made, project.evaluator)
            article = "an" if name[:1] in "AEIO" else "a"
            yield Finding(
                self.code,
                project.site_place(site),
                f"every call of {project.started_by(site)} makes {article} {name} that nobody closes: making it "
                "takes about 34 ms of CPU, and its connections are left to the garbage collector",
                "warning",
                trace=project.trace(site),
            )


def _for_a_session(site: Site) -> bool:
    """Whether it runs once for a user's session, not for each message."""
    registration = site.route.entry.registration
    begins = registration is not None and registration.symbol.rpartition(".")[2] in SESSION_BEGINS
    return begins or site.situation.kind in {"page", "session"}


def _is_client(ref: Ref, entry: ClassEntry) -> bool:
    """Whether it is a framework's client; what the project's own client holds is not known."""
    return entry.role in ROLES and isinstance(ref.value, Instance) and isinstance(ref.value.cls, External)


def _is_described_only(site: Site) -> bool:
    """Whether the function makes objects to write them down, as a gallery of components does."""
    return any(getattr(call.callee, "name", "") == "dump_component" for call in site.scope.calls)


def _made_here(ref: Ref, site: Site) -> bool:
    return isinstance(ref.value, Instance) and ref.value.frame is site.frame and ref.value.call == site.number


def _closed(project: Project) -> set[Instance]:
    """The clients that some call closes or some `with` enters."""
    found: set[Instance] = set()
    for site in project.sites:
        callee = site.call.callee
        if isinstance(callee, Attribute) and callee.name in CLOSES:
            for ref in (*project.evaluator.evaluate(callee.base, site.frame), *_arguments(project, site)):
                if isinstance(ref.value, Instance):
                    found.add(ref.value)
        if site.call.use in {"entered", "async entered"}:
            for ref in project.evaluator.call(site.number, site.frame):
                if isinstance(ref.value, Instance):
                    found.add(ref.value)
    for route in project.serving_routes:
        for block in route.frame.scope.blocks:
            if block.kind in {"with", "async with"}:
                for subject in block.subject:
                    found |= {
                        ref.value
                        for ref in project.evaluator.evaluate(subject, route.frame)
                        if isinstance(ref.value, Instance)
                    }
    return found


def _arguments(project: Project, site: Site) -> Iterator[Ref]:
    for argument in site.call.arguments[:1]:
        yield from project.evaluator.evaluate(argument, site.frame)


def _kept(project: Project, site: Site) -> bool:
    """Whether the client, on its way out, is kept for later: in a global, an attribute, a dictionary, a cache.

    Also where it is one of several ways: what is made under `if client is None` is made once.
    """
    number = site.number
    for route in reversed(site.route.steps()):
        scope = route.frame.scope
        if _stored(scope, number):
            return True
        function = project.evaluator.function_object(
            route.frame.path, scope.number, route.frame.receiver, route.frame.closure
        )
        if project.evaluator.is_cached(function):
            return True
        number = route.call
        if number < 0 or not (scope.results or _constructs(route)):
            break
    return False


def _constructs(route: Route) -> bool:
    """Whether a function is part of making an object, which may itself be kept: `__init__`, or called by it."""
    receiver = route.frame.receiver
    return receiver is not None and any(
        step.frame.scope.name == "__init__" and step.frame.receiver == receiver for step in route.steps()
    )


def _stored(scope: Scope, number: int) -> bool:
    call = scope.calls[number]
    if call.use != "assigned" or not 0 <= call.user < len(scope.assignments):
        return False
    target = scope.assignments[call.user].target
    if isinstance(target, Attribute | Subscript):
        return True
    if not isinstance(target, Name):
        return False
    if target.id in scope.globals or target.id in scope.nonlocals:
        return True
    # `client = make()` and then `clients[key] = client` or `self.client = client`
    return any(
        isinstance(one.target, Attribute | Subscript) and isinstance(one.value, Name) and one.value.id == target.id
        for one in scope.assignments
    )
