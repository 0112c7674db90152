"""TL202 in Python: a module's variable, or a list of a shared object, into which all users' requests write."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from turnlane.checker.finding import Finding
from turnlane.checker.python.explore import Route, Site
from turnlane.checker.python.facts import (
    Assignment,
    Attribute,
    Call,
    CallRef,
    Constant,
    Entered,
    Expression,
    Items,
    Name,
    Scope,
    Span,
    Subscript,
)
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.project import Project
from turnlane.checker.python.request_data import CONNECTION, mentions, names_in, request_names
from turnlane.checker.python.values import Container, Instance, Ref
from turnlane.checker.rule import Example, Rule
from turnlane.checker.rules.shared_agent import SharedAgent

PUTS: Final = frozenset({"append", "extend", "insert", "appendleft", "add"})
EMPTIES: Final = frozenset({"clear"})

HISTORY: Final = re.compile(r"(?i)(histor|messages?$|conversation|dialog|transcript|chat_?log|memory$|turns$)")
"""Attributes of a project's own objects that hold a conversation, by their names."""

KEPT_FOR_ALL: Final = re.compile(
    r"(?i)(cache|metric|stat(s|istics)?$|count|connection|client|subscriber|listener|websocket|socket|registr|lock|"
    r"seen|pool|queue|handler|logger|rate|limit|token|user|account|product|order|item|database|_db$|^db|store$)"
)
"""Module variables that a program keeps for everybody on purpose."""


class Write(NamedTuple):
    """One place where a function writes into a variable that outlives it."""

    name: str
    value: Expression | None
    """None when it is emptied."""
    span: Span
    block: int
    rebinds: bool
    sets: bool = False
    """Whether it replaces what stood there."""


class SharedHistory(Rule):
    code = "TL202"
    language = "python"
    detects = (
        "A request handler, or a function it calls, that puts what a user sent into a module variable which is "
        "not keyed (`HISTORY.append(text)`, `global current; current = data`, `STATE['topic'] = text`), or that "
        "writes the history of one object all requests share. Right are dictionaries by session, caches, "
        "counters, connections, and singletons made once."
    )
    bad = (
        Example(
            """\
from fastapi import FastAPI
from openai import AsyncOpenAI

app = FastAPI()
client = AsyncOpenAI()
messages = []


@app.post("/chat")
async def chat(text: str):
    messages.append({"role": "user", "content": text})  # here
    answer = await client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    return answer.choices[0].message.content
""",
            title="a module's list",
        ),
        Example(
            """\
# file: store.py
current_topic = None


def remember(topic):
    global current_topic
    current_topic = topic  # here
# file: main.py
import autogen
from flask import Flask, request

from store import remember

app = Flask(__name__)


@app.route("/topic", methods=["POST"])
def topic():
    remember(request.json["topic"])
    return "ok"
""",
            title="a global of another module",
        ),
        Example(
            """\
import autogen
from flask import Flask, request

app = Flask(__name__)
STATE = {"topic": "", "tone": ""}


@app.route("/state", methods=["POST"])
def state():
    STATE["topic"] = request.json["topic"]  # here
    STATE["tone"] = request.json["tone"]
    return "ok"
""",
            title="several parts of one variable, told once",
        ),
        Example(
            """\
import autogen
from flask import Flask, request

app = Flask(__name__)


class Assistant:
    def __init__(self):
        self.history = []

    def answer(self, text):
        self.history.append(text)
        return text


assistant = Assistant()


@app.route("/chat", methods=["POST"])
def chat():
    return assistant.answer(request.json["text"])  # here
""",
            title="the history of an object that all requests share",
        ),
    )
    good = (
        Example(
            """\
from collections import defaultdict

import autogen
from fastapi import FastAPI, WebSocket

app = FastAPI()
histories = defaultdict(list)
connections = []
settings = None
calls = 0


def get_settings(path):
    global settings
    if settings is None:
        settings = open(path).read()
    return settings


@app.post("/chat/{session}")
async def chat(session: str, text: str):
    global calls
    calls += 1
    histories[session].append(text)
    messages = []
    messages.append(text)
    return get_settings("settings.toml")


@app.websocket("/ws")
async def ws(websocket: WebSocket):
    connections.append(websocket)
""",
            title="keyed, local, or everybody's on purpose",
        ),
        Example(
            """\
import autogen

history = []


def ask(text):
    history.append(text)


if __name__ == "__main__":
    ask(input())
""",
            title="one user's program",
        ),
        Example(
            """\
from autogen import AssistantAgent
from fastapi import FastAPI

app = FastAPI()


class Coach:
    def __init__(self):
        self.agent = AssistantAgent("coach", llm_config={"model": "gpt-4o-mini"})
        self.conversation_history = []

    def answer(self, text):
        self.conversation_history.append(text)
        return self.agent.generate_reply(messages=[{"role": "user", "content": text}])


coach = Coach()


@app.post("/chat")
def chat(text: str):
    return coach.answer(text)
""",
            title="an agent that all users share, which is TL201",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        if not project.uses_agents:
            return
        told: set[tuple[str, int, str]] = set()
        written: set[tuple[str, str]] = set()
        emptied: list[tuple[Route, Write]] = []
        for route in project.serving_routes:
            for write in _writes(project, route.frame):
                if write.value is None or _is_empty(write.value):
                    emptied.append((route, write))
                elif _of_a_request(project, route.frame, write):
                    written.add((route.frame.path, write.name))
                    # A function that fills one variable in many lines makes one mistake.
                    where = (*route.frame.place, write.name)
                    if where not in told:
                        told.add(where)
                        yield self._finding(project, route, write)
        for route, write in emptied:
            if (route.frame.path, write.name) in written:
                yield self._finding(project, route, write)
        yield from self._histories_beside_runs(project)

    def _finding(self, project: Project, route: Route, write: Write) -> Finding:
        start = project.started(route)
        if write.value is None or _is_empty(write.value):
            what = f"empties `{write.name}`, which all users share: it takes what is other users' too"
        elif write.sets:
            what = f"sets `{write.name}`, which all users share: other users' requests read and overwrite it"
        else:
            what = f"writes into `{write.name}`, which all users share: one user's text meets another's"
        return Finding(
            self.code,
            project.place(route.frame.path, write.span),
            f"{start} {what}",
            "warning",
            trace=project.route_trace(route),
        )

    def _histories_beside_runs(self, project: Project) -> Iterator[Finding]:
        """The histories of shared objects, but for the lines in which TL201 has said that the object is shared."""
        found = [one for route in project.serving_routes for one in self._object_histories(project, route)]
        if found:
            said = {(one.place.path, one.place.line) for one in SharedAgent().check(project)}
            yield from (one for one in found if (one.place.path, one.place.line) not in said)

    def _object_histories(self, project: Project, route: Route) -> Iterator[Finding]:
        """`self.history.append(text)` in a method of an object that all requests share."""
        frame = route.frame
        receiver = frame.receiver
        if receiver is None or not receiver.shared or receiver.holder is None:
            return
        changed = [
            (number, attribute)
            for number, call in enumerate(frame.scope.calls)
            if (attribute := _own_history(call, frame)) is not None and _is_plain_list(project, frame, call)
        ]
        changed += [
            (-1, assignment.target.name)
            for assignment in frame.scope.assignments
            if _forgets(assignment, frame) and isinstance(assignment.target, Attribute)
        ]
        readers = {step.frame.place for step in route.steps()[:-1]}
        for number, attribute in changed:
            if receiver.holder.reader not in readers:
                continue
            place, _ = project.touch(Site(route, number, ()), receiver.holder)
            yield Finding(
                self.code,
                place,
                f"`{receiver.holder.name}` is one object for all users, and every request of "
                f"{project.started(route)} changes its `{attribute}`: one user's text meets another's",
                "warning",
                trace=project.route_trace(route),
            )


def _own_history(call: Call, frame: Frame) -> str | None:
    """`history` of `self.history.append(x)`."""
    callee = call.callee
    if not isinstance(callee, Attribute) or callee.name not in PUTS | EMPTIES:
        return None
    base = callee.base
    if isinstance(base, Attribute) and isinstance(base.base, Name) and HISTORY.search(base.name):
        is_self = frame.view.class_of_self(frame.scope, base.base.id) is not None
        return base.name if is_self else None
    return None


def _forgets(assignment: Assignment, frame: Frame) -> bool:
    """`self.history = []`, outside the constructor."""
    target = assignment.target
    return (
        isinstance(target, Attribute)
        and isinstance(target.base, Name)
        and frame.scope.name != "__init__"
        and bool(HISTORY.search(target.name))
        and _is_empty(assignment.value)
        and frame.view.class_of_self(frame.scope, target.base.id) is not None
    )


def _is_plain_list(project: Project, frame: Frame, call: Call) -> bool:
    callee = call.callee
    assert isinstance(callee, Attribute)
    return any(
        isinstance(ref.value, Container) and ref.shared for ref in project.evaluator.evaluate(callee.base, frame)
    )


# --- Module variables ----------------------------------------------------------------------------------------


def _writes(project: Project, frame: Frame) -> Iterator[Write]:
    scope = frame.scope
    for call in scope.calls:
        callee = call.callee
        if not isinstance(callee, Attribute) or not isinstance(callee.base, Name):
            continue
        name = callee.base.id
        if callee.name in PUTS | EMPTIES and _is_module_container(project, name, frame):
            value = call.arguments[-1] if callee.name in PUTS and call.arguments else None
            yield Write(name, value, call.span, call.block, False)
    for assignment in scope.assignments:
        target = assignment.target
        if assignment.augmented:
            continue
        if isinstance(target, Name) and target.id in scope.globals:
            yield Write(target.id, assignment.value, assignment.span, assignment.block, True, True)
        elif isinstance(target, Subscript) and isinstance(target.base, Name) and isinstance(target.key, Constant):
            name = target.base.id
            if _is_module_container(project, name, frame):
                yield Write(name, assignment.value, assignment.span, assignment.block, False, True)


def _is_module_container(project: Project, name: str, frame: Frame) -> bool:
    """Whether `name` is a module's own variable, not a local one that holds a part of it, with a container."""
    scope = frame.scope
    if name not in scope.globals and any(
        isinstance(assignment.target, Name) and assignment.target.id == name for assignment in scope.assignments
    ):
        return False
    if any(parameter.name == name for parameter in scope.parameters):
        return False
    return any(_is_kept_container(ref) for ref in project.evaluator.name(name, frame))


def _is_kept_container(ref: Ref) -> bool:
    return (
        isinstance(ref.value, Container) and ref.lifetime == "module" and ref.value.kind in {"list", "dict", "set"}
    )


def _of_a_request(project: Project, frame: Frame, write: Write) -> bool:
    assert write.value is not None
    if KEPT_FOR_ALL.search(write.name) or isinstance(write.value, Constant):
        return False
    if _made_once(frame.scope, frame, write) or write.name in names_in(write.value, frame.scope):
        return False
    if any(CONNECTION.match(name) for name in names_in(write.value, frame.scope)):
        return False
    if write.rebinds and _is_entered(write.value, frame.scope):
        return True
    if write.rebinds and _is_made(project, frame, write.value):
        return False
    return mentions(write.value, frame.scope, request_names(frame, project.evaluator))


def _is_entered(value: Expression, scope: Scope) -> bool:
    """Whether it is what a `with` of this very function opened: one request's browser, file, session."""
    if isinstance(value, Name):
        bound = [
            one.value for one in scope.assignments if isinstance(one.target, Name) and one.target.id == value.id
        ]
        return len(bound) == 1 and isinstance(bound[0], Entered)
    return isinstance(value, Entered)


def _made_once(scope: Scope, frame: Frame, write: Write) -> bool:
    """Whether the write stands under a test of the variable itself: `if _client is None:`."""
    for number in frame.view.blocks_around(scope, write.block):
        block = scope.blocks[number]
        if block.kind in {"if", "else"} and any(write.name in names_in(test, scope) for test in block.subject):
            return True
    # `if _client is not None: return _client` before it
    return any(
        block.kind == "if"
        and block.line < write.span.line
        and any(write.name in names_in(test, scope) for test in block.subject)
        and any(result.block == number for result in scope.results)
        for number, block in enumerate(scope.blocks)
    )


def _is_made(project: Project, frame: Frame, value: Expression) -> bool:
    """Whether an object is constructed from the arguments: a service set up anew, not a user's text."""
    return isinstance(value, CallRef) and any(
        isinstance(ref.value, Instance) for ref in project.evaluator.evaluate(value, frame)
    )


def _is_empty(value: Expression) -> bool:
    return isinstance(value, Items) and not value.values
