"""TL504 in Python: an agent in a server that asks the human on the server's own terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding, Place, Severity
from turnlane.checker.libraries.frameworks import ClassEntry
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Attribute, Call, Constant, Expression, Name
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.project import AgentCall, Project, class_entry, class_name
from turnlane.checker.python.values import ClassObject, External, Instance, LiteralValue, Ref
from turnlane.checker.rule import Example, Rule

INPUT: Final = ("input", "builtins.input")

ASKING: Final = frozenset(
    {
        "get_human_input",
        "a_get_human_input",
        "check_termination_and_human_reply",
        "a_check_termination_and_human_reply",
    }
)
"""Classic methods by which an agent asks; who replaces one of them asks elsewhere."""

CHATS: Final = frozenset({"initiate_chat", "a_initiate_chat", "run", "a_run", "run_stream", "initiate_chats"})
"""Methods that hold a conversation in which people are asked."""

HOLDERS: Final = frozenset({"team", "group_chat", "manager"})
ONE_PERSON: Final = frozenset({"AutoGen runtime", "Agent Framework workflow", "websockets"})
"""Hosts that are as often a program at a terminal."""

DEEPEST: Final = 4


class StdinInAServer(Rule):
    code = "TL504"
    language = "python"
    detects = (
        "A `UserProxyAgent` that asks on stdin and takes part in a run which a request handler, a page, a bot "
        "or a queue's task starts: AgentChat without `input_func` (or with `input` as it), classic with "
        '`human_input_mode` left at its default, `"ALWAYS"` or `"TERMINATE"`. Also `input()` in such a '
        "handler itself. Subclasses that override `get_human_input` are right."
    )
    bad = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from fastapi import FastAPI

app = FastAPI()


def refunds():
    user = UserProxyAgent("user")  # here
    return RoundRobinGroupChat([AssistantAgent("support", None), user], max_turns=4)


@app.post("/refunds")
async def refund(text: str):
    return await refunds().run(task=text)
""",
            title="a team without a function to ask by",
        ),
        Example(
            """\
import streamlit as st
from autogen import AssistantAgent, UserProxyAgent

assistant = AssistantAgent("assistant", llm_config={"model": "gpt-4o"})
user = UserProxyAgent("user", code_execution_config=False)  # here
careful = UserProxyAgent("careful", human_input_mode="TERMINATE")  # here

text = st.text_input("Question")
if st.button("Ask"):
    st.write(user.initiate_chat(assistant, message=text).summary)
    st.write(careful.initiate_chat(assistant, message=text).summary)
""",
            title="the default of classic AutoGen",
        ),
        Example(
            """\
from flask import Flask

app = Flask(__name__)


@app.route("/chat")
def chat():
    return input("Your answer: ")  # here
""",
            title="input itself",
        ),
    )
    good = (
        Example(
            """\
import autogen
from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from fastapi import FastAPI, WebSocket

app = FastAPI()


class WebUser(autogen.UserProxyAgent):
    async def a_get_human_input(self, prompt):
        return await self.queue.get()


@app.websocket("/chat")
async def chat(socket: WebSocket):
    async def ask(prompt, token):
        return await socket.receive_text()

    user = UserProxyAgent("user", input_func=ask)
    await RoundRobinGroupChat([AssistantAgent("support", None), user]).run(task="hello")


@app.post("/ask")
async def ask(text: str):
    assistant = autogen.AssistantAgent("assistant")
    silent = autogen.UserProxyAgent("user", human_input_mode="NEVER")
    await silent.a_initiate_chat(assistant, message=text)
    web = WebUser("user")
    await web.a_initiate_chat(assistant, message=text)
    once = autogen.UserProxyAgent("user")
    await once.a_initiate_chat(assistant, message=text, max_turns=1)


@app.get("/gallery")
async def gallery():
    return UserProxyAgent("user").dump_component()
""",
            title="asked elsewhere, or nobody asked",
        ),
        Example(
            """\
from autogen import AssistantAgent, UserProxyAgent

assistant = AssistantAgent("assistant")
user = UserProxyAgent("user")

if __name__ == "__main__":
    user.initiate_chat(assistant, message=input())
""",
            title="a program at a terminal",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        replaced: bool | None = None
        for call in project.agent_calls:
            if not _serves(call.site) or not _converses(call):
                continue
            for ref in _taking_part(project, call):
                if _family(project, ref) == "classic":
                    if replaced is None:
                        replaced = _is_asking_replaced(project)
                    if replaced:
                        continue
                mode = _asks(project, ref)
                if mode:
                    yield self._proxy(project, call, ref, mode)
        for site in project.calls_of(INPUT):
            if (
                _serves(site)
                and site.situation.kind not in {"thread", "process"}
                and site.scope.name not in ASKING
            ):
                when = f"in {project.started_by(site)}"
                yield self._finding(project, site, project.site_place(site), "`input`", when, "error")

    def _proxy(self, project: Project, call: AgentCall, ref: Ref, mode: str) -> Finding:
        made = ref.value
        assert isinstance(made, Instance)
        assert made.frame is not None
        place = project.place(made.frame.path, made.frame.scope.calls[made.call].span)
        what = f"this {class_name(ref, project.evaluator)}{mode}"
        start = project.started_by(call.site)
        if "TERMINATE" in mode:
            return self._finding(
                project, call.site, place, what, f"whenever a chat of {start} is to end", "warning"
            )
        return self._finding(project, call.site, place, what, f"when its turn comes in {start}", "error")

    def _finding(
        self, project: Project, site: Site, place: Place, what: str, when: str, severity: Severity
    ) -> Finding:
        return Finding(
            self.code,
            place,
            f"{what} waits for a line on the server's stdin, where nobody types, {when}",
            severity,
            trace=project.trace(site),
        )


def _serves(site: Site) -> bool:
    return site.situation.serves and site.situation.host not in ONE_PERSON


def _converses(call: AgentCall) -> bool:
    """Whether the call holds a conversation in which somebody can be asked."""
    if call.cls is None or call.name not in CHATS:
        return False
    turns = next((value for name, value in call.site.call.keywords if name == "max_turns"), None)
    return call.role not in {"agent", "user_proxy"} or not (isinstance(turns, Constant) and turns.value == 1)


def _taking_part(project: Project, call: AgentCall) -> Iterator[Ref]:
    """The agents of a conversation: who is called, who is handed in, and the members of those."""
    given = [*call.site.call.arguments, *(value for name, value in call.site.call.keywords if name == "recipient")]
    waiting = [call.receiver] if call.receiver is not None else []
    waiting += [ref for part in given for ref in project.evaluator.evaluate(part, call.site.frame)]
    seen: set[int] = set()
    for _ in range(DEEPEST):
        inside: list[Ref] = []
        for ref in waiting:
            made = ref.value
            if not isinstance(made, Instance) or id(made) in seen or made.frame is None or made.call < 0:
                continue
            seen.add(id(made))
            yield ref
            entry = class_entry(ref, project.evaluator)
            if entry is not None and entry.role in HOLDERS:
                inside += _members(project, made.frame.scope.calls[made.call], made.frame)
        waiting = inside


def _members(project: Project, call: Call, frame: Frame) -> Iterator[Ref]:
    for expression in (*call.arguments[:1], *(value for _, value in call.keywords)):
        refs = project.evaluator.evaluate(expression, frame)
        yield from refs
        yield from project.evaluator.elements(refs)


def _family(project: Project, ref: Ref) -> str:
    entry = class_entry(ref, project.evaluator)
    return entry.family if entry is not None else ""


def _asks(project: Project, ref: Ref) -> str:
    """How an agent comes to ask on stdin, for the message; empty: it does not, as far as is known."""
    made = ref.value
    entry = class_entry(ref, project.evaluator)
    if not isinstance(made, Instance) or made.frame is None or entry is None:
        return ""
    if isinstance(made.cls, ClassObject) and _is_changed(project, made.cls):
        return ""
    call = made.frame.scope.calls[made.call]
    if any(not name for name, _ in call.keywords):
        return ""
    if entry.family == "agentchat":
        return _asks_agentchat(project, entry, call, made.frame)
    return _asks_classic(project, entry, call, made.frame) if entry.family == "classic" else ""


def _asks_agentchat(project: Project, entry: ClassEntry, call: Call, frame: Frame) -> str:
    if entry.role != "user_proxy":
        return ""
    given = _given(entry, call, "input_func")
    if given is None or (isinstance(given, Constant) and given.value is None):
        return " without `input_func`"
    refs = project.evaluator.evaluate(given, frame)
    return (
        " with `input`" if any(isinstance(one.value, External) and one.value.name in INPUT for one in refs) else ""
    )


def _asks_classic(project: Project, entry: ClassEntry, call: Call, frame: Frame) -> str:
    given = _given(entry, call, "human_input_mode")
    if given is None:
        return " without `human_input_mode`" if entry.role == "user_proxy" else ""
    modes = {
        ref.value.value for ref in project.evaluator.evaluate(given, frame) if isinstance(ref.value, LiteralValue)
    }
    wanted = {"ALWAYS", "TERMINATE"} if entry.role == "user_proxy" else {"ALWAYS"}
    return f' with `human_input_mode="{next(iter(modes))}"`' if len(modes) == 1 and modes <= wanted else ""


def _given(entry: ClassEntry, call: Call, name: str) -> Expression | None:
    """What a call of the constructor gives for a parameter."""
    for keyword, value in call.keywords:
        if keyword == name:
            return value
    positional = entry.parameters[: entry.parameters.index("*")] if "*" in entry.parameters else entry.parameters
    place = positional.index(name) if name in positional else len(call.arguments)
    return call.arguments[place] if place < len(call.arguments) else None


def _is_changed(project: Project, cls: ClassObject) -> bool:
    """Whether a class of the project makes or asks in its own way."""
    for base in project.evaluator.mro(cls):
        if isinstance(base, ClassObject):
            view = project.program[base.path]
            if any(child.name in ASKING | {"__init__"} for child in view.children.get(base.scope, ())):
                return True
    return False


def _is_asking_replaced(project: Project) -> bool:
    """Whether the program sets another function in the place of the classic methods, or of the console."""
    for view in project.program.modules.values():
        if any(item.module.startswith("autogen.io") or item.name in _STREAMS for item in view.module.imports):
            return True
        for scope in view.scopes:
            if scope.kind == "function" and scope.name in ASKING and view.scopes[scope.parent].kind != "class":
                return True
            for assignment in scope.assignments:
                target = assignment.target
                if isinstance(target, Attribute) and (target.name in ASKING or _is_builtin_input(target)):
                    return True
    return False


_STREAMS: Final = frozenset({"IOStream", "IOWebsockets"})


def _is_builtin_input(target: Attribute) -> bool:
    return target.name == "input" and isinstance(target.base, Name) and target.base.id == "builtins"
