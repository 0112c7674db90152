"""Lists of messages that the project keeps itself: which variables hold a conversation, and who adds to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from turnlane.checker.typescript.agents import option
from turnlane.checker.typescript.facts import (
    Array,
    Call,
    CallRef,
    Constant,
    Expression,
    Member,
    Name,
    Object,
    Scope,
    Span,
    Spread,
    Text,
)
from turnlane.checker.typescript.libraries import MODEL_CALLS, MODEL_FUNCTIONS
from turnlane.checker.typescript.project import Project
from turnlane.checker.typescript.reach import Place
from turnlane.checker.typescript.sharing import Holding
from turnlane.checker.typescript.values import External, Made

_SPEAKER: Final = frozenset(["role", "sender", "from", "author", "speaker", "type", "by"])
_SPEAKERS: Final = frozenset(
    ["user", "assistant", "bot", "ai", "human", "system", "model", "agent", "tool", "developer", "chatbot", "gpt"]
)
_CONTENT: Final = frozenset(["content", "text", "message", "parts", "body", "msg"])
_MESSAGE_CLASSES: Final = frozenset(
    [
        "HumanMessage",
        "AIMessage",
        "SystemMessage",
        "ToolMessage",
        "ChatMessage",
        "HumanChatMessage",
        "AIChatMessage",
    ]
)
_FED: Final = frozenset(["messages", "input", "contents", "history", "chat_history", "chatHistory", "prompt"])


class Write(NamedTuple):
    """One place that adds to a list of messages."""

    place: Place
    span: Span
    target: Expression
    """The list: `history` in `history.push(...)`."""
    message: bool
    """Whether what is added looks like a message of a conversation."""


class Conversation(NamedTuple):
    """A variable or field that holds messages, and the functions that add to it."""

    holding: Holding
    writes: tuple[Write, ...]
    fed: bool
    """Whether it is given to a model."""

    @property
    def speaks(self) -> bool:
        """Whether its elements are messages of a user or an assistant."""
        return any(write.message for write in self.writes)


def conversations(project: Project) -> Iterator[Conversation]:
    """Every list of the project that is a conversation: messages are added to it, or a model is given it."""
    found: dict[tuple[str, int, str], tuple[Holding, list[Write]]] = {}
    for place in project.places():
        for write in _writes(project, place):
            holding = project.sharing.holder(*place, write.target)
            if holding is not None and _is_list(holding):
                key = (holding.path, holding.scope, holding.name)
                found.setdefault(key, (holding, []))[1].append(write)
    fed = _given_to_models(project) if found else set()
    for key, (holding, writes) in found.items():
        if any(write.message for write in writes) or key in fed:
            yield Conversation(holding, tuple(writes), key in fed)


def _writes(project: Project, place: Place) -> Iterator[Write]:
    scope = project.scope(place)
    for call in scope.calls:
        if isinstance(call.callee, Member) and call.callee.name in ("push", "unshift") and call.arguments:
            message = any(_is_message(project, place, argument) for argument in call.arguments)
            yield Write(place, call.span, call.callee.base, message)
    for entry in scope.assignments:
        if entry.kind == "set" and isinstance(entry.target, Name | Member):
            added = _appended(scope, entry.target, entry.value, entry.augmented)
            if added is not None:
                message = any(_is_message(project, place, one) for one in added)
                yield Write(place, entry.span, entry.target, message)


def _appended(scope: Scope, target: Expression, value: Expression, augmented: bool) -> list[Expression] | None:
    """What `list = [...list, x]` or `list = list.concat(x)` adds."""
    if isinstance(value, Array) and any(isinstance(one, Spread) and one.base == target for one in value.values):
        return [one for one in value.values if not (isinstance(one, Spread) and one.base == target)]
    if isinstance(value, CallRef):
        call = scope.calls[value.number]
        if isinstance(call.callee, Member) and call.callee.name == "concat" and call.callee.base == target:
            return list(call.arguments)
    if augmented and isinstance(value, Text | Name | Member):
        return [value]
    return None


def _is_list(holding: Holding) -> bool:
    """Whether it starts as a list or a text; a `Map`, a store, an object of a class are none."""
    made = holding.made.assignment.value
    if isinstance(made, CallRef | Array):
        return isinstance(made, Array)
    return isinstance(made, Constant) and isinstance(made.value, str)


def _is_message(project: Project, place: Place, expression: Expression) -> bool:
    if isinstance(expression, Array):
        return any(_is_message(project, place, one) for one in expression.values)
    for value in project.values.of(*place, expression):
        if not isinstance(value, Made):
            continue
        if isinstance(value.expression, Object) and _is_message_literal(value.expression):
            return True
        if isinstance(value.expression, CallRef):
            call = project.scope((value.path, value.scope)).calls[value.expression.number]
            if call.new and isinstance(call.callee, Name) and call.callee.id in _MESSAGE_CLASSES:
                return True
    return False


def _is_message_literal(literal: Object) -> bool:
    speaks = any(
        key in _SPEAKER and isinstance(value, Constant) and str(value.value).lower() in _SPEAKERS
        for key, value in zip(literal.keys, literal.values, strict=True)
    )
    return speaks and any(key in _CONTENT for key in literal.keys)


def _given_to_models(project: Project) -> set[tuple[str, int, str]]:
    found: set[tuple[str, int, str]] = set()
    for place, _, call in project.calls():
        if not asks_model(project, place, call):
            continue
        for part in _fed(call):
            holding = project.sharing.holder(*place, part)
            if holding is not None:
                found.add((holding.path, holding.scope, holding.name))
    return found


def _fed(call: Call) -> Iterator[Expression]:
    for key in _FED:
        if (value := option(call, key)) is not None:
            yield from _parts(value)
    for argument in call.arguments:
        if isinstance(argument, Name | Member | Text | Array):
            yield from _parts(argument)


def _parts(value: Expression) -> Iterator[Expression]:
    match value:
        case Name() | Member():
            yield value
        case Array(values) | Text(values):
            for one in values:
                yield from _parts(one.base if isinstance(one, Spread) else one)


def asks_model(project: Project, place: Place, call: Call) -> bool:
    """Whether a call asks a model, or runs an agent."""
    callee = call.callee
    if isinstance(callee, Member):
        base = callee.base
        if isinstance(base, Member) and (base.name, callee.name) in MODEL_CALLS:
            return True
        if callee.name in (
            "invoke",
            "generateContent",
            "call",
            "predict",
            "createChatCompletion",
            "startChat",
            "stream",
        ):
            return any(_is_model_package(package) for package in project.agents.origins(*place, base))
        return any(project.call(run) is call for run in project.agents.runs(place))
    if isinstance(callee, Name):
        for value in project.values.of(*place, callee):
            if isinstance(value, External) and value.package in ("ai", "@openai/agents"):
                return bool(value.path) and (value.path[-1] in MODEL_FUNCTIONS or value.path[-1] == "run")
    return False


def _is_model_package(package: str) -> bool:
    return package.startswith(
        ("@langchain/", "langchain", "@google/", "@google-cloud/vertexai", "openai", "ollama")
    )
