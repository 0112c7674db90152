"""What becomes of the promise that a call gives: awaited, handed on, or dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.typescript.facts import (
    Call,
    CallRef,
    Expression,
    Function,
    Member,
    Name,
    Read,
    Scope,
)
from turnlane.checker.typescript.project import Project
from turnlane.checker.typescript.reach import Place

_CHAIN: Final = frozenset(("then", "catch", "finally"))
_ANSWERS: Final = frozenset(
    [
        "json",
        "send",
        "end",
        "write",
        "emit",
        "enqueue",
        "update",
        "done",
        "reply",
        "close",
        "postMessage",
        "sendText",
        "publish",
        "sendMessage",
        "sendStatus",
        "status",
        "sse",
        "append",
        "pipe",
        "setHeader",
        "error",
        "terminate",
        "setResponse",
        "log_to_stream",
    ]
)
_CHANNELS: Final = frozenset(
    [
        "res",
        "response",
        "reply",
        "ctx",
        "context",
        "socket",
        "ws",
        "writer",
        "controller",
        "stream",
        "streamable",
        "dataStream",
        "io",
        "client",
        "bot",
        "message",
        "msg",
        "session",
        "connection",
        "sse",
        "emitter",
        "encoder",
        "channel",
        "interaction",
        "thread",
        "conversation",
        "server",
        "uiStream",
        "queue",
        "streamWriter",
        "responseStream",
        "writable",
        "sock",
        "c",
    ]
)
"""Names of what an answer is written to."""


def dropped(scope: Scope, number: int) -> Iterator[Call]:
    """The chain of calls from `number` to the one whose promise nobody takes; empty: somebody does.

    `run().then(f).catch(g)` as a statement gives all three calls.
    """
    chain = [scope.calls[number]]
    while chain[-1].use == "member" and chain[-1].user >= 0:
        after = scope.calls[chain[-1].user]
        if not isinstance(after.callee, Member) or after.callee.name not in _CHAIN:
            return
        chain.append(after)
    if chain[-1].use in ("dropped", "void"):
        yield from chain


def delivers(project: Project, place: Place, chain: list[Call], targets: list[Place]) -> bool:
    """Whether what is dropped writes its own answer to the caller: to a stream, a socket, the response."""
    callbacks = [
        (place[0], argument.scope)
        for call in chain
        for argument in call.arguments
        if isinstance(argument, Function)
    ]
    for inner in project.graph.reach([*callbacks, *targets]):
        if any(_answers(call.callee) for call in project.scope(inner).calls):
            return True
    return False


def _answers(callee: Expression) -> bool:
    if not isinstance(callee, Member) or callee.name not in _ANSWERS:
        return False
    base = callee.base
    while isinstance(base, Member):
        if base.name in _CHANNELS:
            return True
        base = base.base
    if isinstance(base, CallRef):  # `res.status(200).json()`
        return True
    return isinstance(base, Name) and base.id in _CHANNELS


def reads(project: Project, place: Place, name: str) -> list[Read]:
    """Every read of a variable that a function declares, in it and in the functions written in it."""
    found = [read for read in project.scope(place).reads if read.name == name]
    for inner in project.graph.nested(place):
        found.extend(reads(project, inner, name))
    return found
