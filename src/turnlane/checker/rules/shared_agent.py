"""TL201 in Python: one agent, team or runtime for the requests of all users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker import edits
from turnlane.checker.finding import Finding, Fix
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import CallRef, Constant
from turnlane.checker.python.project import AgentCall, Project, agent_calls_of, class_entry, class_name
from turnlane.checker.python.values import Container, Holder, Instance, Ref
from turnlane.checker.rule import Example, Rule
from turnlane.checker.rules._nested import code_of

OWNED_BY_A_CONVERSATION: Final = frozenset({"agent", "user_proxy", "team", "group_chat", "manager", "workflow"})
"""Roles of objects that keep a conversation."""

STOPS: Final = frozenset({"stop", "stop_when_idle", "close"})
SENDS: Final = frozenset({"publish_message", "send_message"})

READ: Final = "users read each other's text"

TEAM_ROLES: Final = frozenset({"team", "group_chat", "manager"})


class SharedAgent(Rule):
    code = "TL201"
    language = "python"
    detects = (
        "An agent, team, group chat or manager that lives longer than a request (a module variable, a class "
        "attribute, a cache, `app.state`, the closure of an app factory, a default argument) and is run, or "
        "put into a team, by code that a request handler reaches, in this file or another; a runtime that all "
        "requests share and address with one key, or stop. Objects kept per session or found by a key "
        "(`agents[session_id]`) are right."
    )
    fixes = (
        "An object of the module that only functions of its own file use becomes a factory that each of them "
        "calls; its client stays the module's. Unsafe: what the object remembered between calls is gone; save and "
        "load its state where it has to remember."
    )
    bad = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
agent = AssistantAgent("support", OpenAIChatCompletionClient(model="gpt-4o-mini"))


@app.post("/chat")
async def chat(text: str) -> str:
    result = await agent.run(task=text)  # here
    return result.messages[-1].to_text()
""",
            after="""\
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o-mini")


def make_agent():
    return AssistantAgent("support", client)


@app.post("/chat")
async def chat(text: str) -> str:
    agent = make_agent()
    result = await agent.run(task=text)
    return result.messages[-1].to_text()
""",
            title="a module variable",
        ),
        Example(
            """\
# file: agents.py
from autogen_agentchat.agents import AssistantAgent

writer = AssistantAgent("writer", None)
critic = AssistantAgent("critic", None)
# file: main.py
from autogen_agentchat.teams import RoundRobinGroupChat
from fastapi import FastAPI

from agents import critic, writer

app = FastAPI()


@app.post("/chat")
async def chat(text: str):
    team = RoundRobinGroupChat([writer, critic], max_turns=2)  # here
    return await team.run(task=text)
""",
            title="a new team of shared agents",
        ),
        Example(
            """\
from autogen_core import DefaultTopicId, SingleThreadedAgentRuntime
from fastapi import FastAPI

app = FastAPI()
runtime = SingleThreadedAgentRuntime()


@app.post("/chat")
async def chat(text: str):
    runtime.start()
    await runtime.publish_message(text, DefaultTopicId())  # here
    await runtime.stop_when_idle()  # here
""",
            title="a runtime with one key for all",
        ),
        Example(
            """\
# file: agents.py
from autogen import UserProxyAgent


class LoudUserProxy(UserProxyAgent):
    def send(self, message, recipient, request_reply=None, silent=False):
        print(message)
        super(LoudUserProxy, self).send(message, recipient, request_reply, silent)


admin = LoudUserProxy("admin", human_input_mode="NEVER")
# file: main.py
import chainlit as cl

from agents import admin


@cl.on_chat_start
async def start():
    cl.user_session.set("admin", admin)


@cl.on_message
async def answer(message: cl.Message):
    user = cl.user_session.get("admin")
    await cl.make_async(user.send)(message.content, None)  # here
""",
            title="an agent of an own class, told where it is called",
        ),
    )
    good = (
        Example(
            """\
from autogen_core import SingleThreadedAgentRuntime, TopicId
from fastapi import FastAPI

app = FastAPI()
runtime = SingleThreadedAgentRuntime()


@app.post("/chat/{session}")
async def chat(session: str, text: str):
    await runtime.publish_message(text, TopicId("support", session))
""",
            title="a runtime whose topics carry the session",
        ),
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o-mini")


@app.post("/chat")
async def chat(text: str) -> str:
    agent = AssistantAgent("support", client)
    result = await agent.run(task=text)
    return result.messages[-1].to_text()
""",
            title="an agent for each request",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for site in project.sites:
            if not site.situation.serves:
                continue
            for call in agent_calls_of(site):
                if call.role == "runtime":
                    yield from self._runtime(project, call)
                elif call.runs:
                    yield from self._run(project, call)
        for site, made, entry in project.creations:
            if site.situation.serves and entry.role in TEAM_ROLES and isinstance(made.value, Instance):
                yield from self._made_of_shared(project, site)

    def _runtime(self, project: Project, call: AgentCall) -> Iterator[Finding]:
        """A runtime keys its agents, so it may be shared: unless all requests use one key, or one stops it."""
        ref = call.receiver
        if ref is None or not ref.shared or ref.holder is None:
            return
        if call.name in STOPS:
            verb, harm = "is stopped by", "what it does for other users at that moment ends"
        elif call.name in SENDS and _addresses_everybody(project, call):
            verb, harm = "sends to the same agents for", READ
        else:
            return
        yield self._finding(project, call.site, ref, verb, harm)

    def _run(self, project: Project, call: AgentCall) -> Iterator[Finding]:
        refs = [call.receiver] if call.receiver is not None else []
        refs += [
            ref
            for argument in call.site.call.arguments
            for ref in project.evaluator.evaluate(argument, call.site.frame)
        ]
        for ref in refs:
            if _is_shared_conversation(project, ref):
                yield self._finding(project, call.site, ref, "is run by")
                return

    def _made_of_shared(self, project: Project, site: Site) -> Iterator[Finding]:
        """A team of this request whose members are everybody's."""
        for argument in (*site.call.arguments, *(value for _, value in site.call.keywords)):
            for ref in project.evaluator.evaluate(argument, site.frame):
                members = ref.value.items if isinstance(ref.value, Container) else (ref,)
                for member in members:
                    if _is_shared_conversation(project, member):
                        yield self._finding(project, site, member, "joins a new team in")
                        return

    def _finding(self, project: Project, site: Site, ref: Ref, verb: str, harm: str = READ) -> Finding:
        holder = ref.holder
        assert holder is not None
        place, _ = project.touch(_caller(site), holder)
        what = class_name(ref, project.evaluator)
        return Finding(
            self.code,
            place,
            f"`{holder.name}` ({what}), {kept(holder)}, {verb} every request of {project.started_by(site)}: "
            f"{harm}",
            "error",
            trace=project.trace(site),
            fix=_fix(project, holder, place.path),
        )


def _fix(project: Project, holder: Holder, path: str) -> Fix | None:
    """A factory called in each function that uses the module's object, when all of them stand in its file."""
    if holder.kind != "module" or holder.path != path or holder.name != holder.root:
        return None
    view = project.program[path]
    users = [scope for scope in view.scopes[1:] if any(read.name == holder.name for read in scope.reads)]
    code = code_of(project, path)
    if code is None or not users or any(scope.kind != "function" for scope in users):
        return None
    stateful = {name for (owner, name) in view.assigned if owner == 0 and _is_stateful(project, path, name)}
    return edits.factory_for_module_object(
        code, holder.name, [scope.span for scope in users], stateful - {holder.name}
    )


def _is_stateful(project: Project, path: str, name: str) -> bool:
    return any(_is_shared_conversation(project, ref) for ref in project.evaluator.module_name(path, name))


def _caller(site: Site) -> Site:
    """For `super().send(...)`, an agent's own class at work, the call that has led to it; else the site."""
    while site.route.previous is not None and _extends_itself(site):
        site = Site(site.route.previous, site.route.call, ())
    return site


def _extends_itself(site: Site) -> bool:
    base = getattr(site.call.callee, "base", None)
    return isinstance(base, CallRef) and getattr(site.scope.calls[base.number].callee, "id", "") == "super"


def _addresses_everybody(project: Project, call: AgentCall) -> bool:
    """Whether the message goes to agents whose key is the same for all requests.

    `DefaultTopicId()` and `AgentId("support", "default")` name one agent for everybody.
    """
    scope = call.site.scope
    given = [*call.site.call.arguments[1:], *(value for _, value in call.site.call.keywords)]
    for expression in given:
        if not isinstance(expression, CallRef):
            continue
        address = scope.calls[expression.number]
        name = getattr(address.callee, "id", getattr(address.callee, "name", ""))
        if name == "DefaultTopicId" and not address.arguments and not address.keywords:
            return True
        parts = [*address.arguments, *(value for _, value in address.keywords)]
        if name in {"AgentId", "TopicId"} and len(parts) == 2 and isinstance(parts[1], Constant):
            return True
    return False


def _is_shared_conversation(project: Project, ref: Ref) -> bool:
    if not ref.shared or ref.holder is None:
        return False
    entry = class_entry(ref, project.evaluator)
    return entry is not None and entry.role in OWNED_BY_A_CONVERSATION


def kept(holder: Holder) -> str:
    """Where and how a shared object is held, for messages."""
    match holder.kind:
        case "module":
            return f"made once at {holder.path}:{holder.line}"
        case "class":
            return f"an attribute of the class at {holder.path}:{holder.line}"
        case "default":
            return f"a default argument made once at {holder.path}:{holder.line}"
        case "closure":
            return f"made once by the function at {holder.path}:{holder.line}"
        case "cached":
            return f"cached for all callers at {holder.path}:{holder.line}"
        case _:
            return f"kept by the application at {holder.path}:{holder.line}"
