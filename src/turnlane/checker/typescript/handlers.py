"""Which functions a request, a message or an event of a user starts: the handlers of web frameworks and bots."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from turnlane.checker.typescript.facts import (
    Call,
    CallRef,
    Constant,
    Expression,
    Function,
    Member,
    Name,
    Object,
    Scope,
)
from turnlane.checker.typescript.values import External, Made, Values

_VERBS: Final = frozenset(
    ["get", "post", "put", "patch", "delete", "del", "all", "use", "options", "head", "route"]
)
_METHODS: Final = frozenset(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
_CLIENTS: Final = frozenset(
    [
        "$",
        "jQuery",
        "axios",
        "http",
        "https",
        "rest",
        "cy",
        "page",
        "nock",
        "mock",
        "got",
        "ky",
        "superagent",
        "msw",
        "api",
        "client",
        "fetcher",
        "instance",
    ]
)
"""Names of things whose `.get("/path", function)` asks, or pretends to be, a server."""
_EVENTS: Final = frozenset(
    [
        "connection",
        "message",
        "messageCreate",
        "message_create",
        "interactionCreate",
        "chat",
        "data",
        "prompt",
        "query",
        "ask",
        "messages.upsert",
        "chat_message",
        "user_message",
        "send_message",
        "sendMessage",
        "userMessage",
        "chatMessage",
        "text",
        "voice",
        "connect",
        "request",
        "call",
    ]
)
_EMITTERS: Final = re.compile(
    r"(?i)^(io|socket|ws|wss|client|bot|server|connection|conn|nsp|namespace|wsserver|sock)$|socket|bot$"
)
_BOT_VERBS: Final = frozenset(
    ["command", "message", "event", "action", "hears", "onText", "shortcut", "mention", "view"]
)
_DECORATORS: Final = frozenset(
    [
        "Get",
        "Post",
        "Put",
        "Patch",
        "Delete",
        "All",
        "Sse",
        "MessagePattern",
        "EventPattern",
        "SubscribeMessage",
        "Query",
        "Mutation",
        "Resolver",
        "Subscription",
        "GrpcMethod",
    ]
)
_SERVERS: Final = {
    "createServer": ("http", "https", "http2", "node:http", "node:https"),
    "serve": ("", "bun", "std/http", "https://deno.land/std/http/server.ts", "@hono/node-server"),
    "onRequest": ("firebase-functions",),
    "onCall": ("firebase-functions",),
    "defineEventHandler": ("",),
    "eventHandler": ("",),
    "defineLazyEventHandler": ("",),
    "httpAction": ("convex/server",),
    "createEdgeRouter": ("",),
    "streamifyResponse": ("",),
}
_ROUTE_FILE: Final = re.compile(r"(^|/)app/(.*/)?route\.[cm]?[jt]sx?$")
_PAGES_API: Final = re.compile(r"(^|/)pages/api/.*\.[cm]?[jt]sx?$")
_SVELTE: Final = re.compile(r"(^|/)\+(server|page\.server|layout\.server)\.[jt]s$")
_REMIX: Final = re.compile(r"(^|/)app/routes/.*\.[jt]sx?$")
_NITRO: Final = re.compile(r"(^|/)server/(api|routes)/.*\.[jt]s$")
_FUNCTION_FOLDER: Final = re.compile(
    r"(^|/)((netlify/|firebase/|supabase/)?functions|api|lambdas?)/.*\.[cm]?[jt]s$"
)


class Handler(NamedTuple):
    """A function that serves one user at a time, many times in the life of the process."""

    path: str
    scope: int
    title: str
    """How messages call it: ``handler of POST `/chat` ``."""


def handlers(values: Values) -> dict[tuple[str, int], Handler]:
    """Every handler of the project, by file and scope."""
    found: dict[tuple[str, int], Handler] = {}
    for path, module in values.modules.items():
        if not module.scopes or "use client" in module.scopes[0].directives:
            continue
        for handler in (*_exported(values, path), *_registered(values, path), *_declared(path, module.scopes)):
            found.setdefault((handler.path, handler.scope), handler)
    return found


# --- By file and export --------------------------------------------------------------------------------------


def _exported(values: Values, path: str) -> Iterator[Handler]:
    module = values.modules[path]
    actions = "use server" in module.scopes[0].directives
    for export in module.exports:
        for function, title in _entry(values, path, export.name, export.value, actions):
            yield Handler(function.path, function.scope, title)


class _Function(NamedTuple):
    path: str
    scope: int


def _entry(
    values: Values, path: str, name: str, value: Expression, actions: bool
) -> Iterator[tuple[_Function, str]]:
    title = _title(path, name, actions)
    if title:
        for function in functions(values, path, 0, value):
            yield function, title
    if name == "default":
        for made in values.made(path, 0, value):
            if isinstance(made, Made) and isinstance(made.expression, Object):
                for key in ("fetch", "queue", "email", "scheduled"):
                    if key in made.expression.keys and key == "fetch":
                        inner = made.expression.values[made.expression.keys.index(key)]
                        for function in functions(values, made.path, made.scope, inner):
                            yield function, "handler `fetch`"


def _title(path: str, name: str, actions: bool) -> str:
    if name in _METHODS and (_ROUTE_FILE.search(path) or _SVELTE.search(path) or "/api/" in path):
        return f"handler `{name}`"
    if name == "default" and (_PAGES_API.search(path) or _NITRO.search(path) or _FUNCTION_FOLDER.search(path)):
        return "handler of this route"
    if name in ("handler", "lambdaHandler") and not path.endswith((".tsx", ".jsx")):
        return f"function `{name}`"
    if name in ("action", "loader") and _REMIX.search(path):
        return f"`{name}` of this route"
    if name in ("actions", "load") and _SVELTE.search(path):
        return f"`{name}` of this page"
    if actions and name != "*":
        return f"server action `{name}`"
    return ""


def functions(values: Values, path: str, scope: int, expression: Expression) -> Iterator[_Function]:
    """The functions of the project that an expression is, also those it wraps: `withAuth(handler)`."""
    for value in values.made(path, scope, expression):
        if not isinstance(value, Made):
            continue
        if isinstance(value.expression, Function):
            yield _Function(value.path, value.expression.scope)
        elif isinstance(value.expression, CallRef):
            call = values.modules[value.path].scopes[value.scope].calls[value.expression.number]
            if not call.new:
                yield from _wrapped(values, value.path, value.scope, call)
        elif isinstance(value.expression, Object):  # SvelteKit's `actions`
            for inner in value.expression.values:
                if isinstance(inner, Function):
                    yield _Function(value.path, inner.scope)


def _wrapped(values: Values, path: str, scope: int, call: Call) -> Iterator[_Function]:
    for argument in call.arguments:
        if isinstance(argument, Function):
            yield _Function(path, argument.scope)
        elif isinstance(argument, Name):
            for value in values.of(path, scope, argument):
                if isinstance(value, Made) and isinstance(value.expression, Function):
                    yield _Function(value.path, value.expression.scope)


# --- By registration -------------------------------------------------------------------------------------------


def _registered(values: Values, path: str) -> Iterator[Handler]:
    for scope in values.modules[path].scopes:
        for call in scope.calls:
            title = _registration(values, path, scope, call)
            if title:
                for argument in call.arguments:
                    for function in _given(values, path, scope.number, argument):
                        yield Handler(function.path, function.scope, title)


def _given(values: Values, path: str, scope: int, argument: Expression) -> Iterator[_Function]:
    if isinstance(argument, Object):
        for key, value in zip(argument.keys, argument.values, strict=True):
            if key in ("handler", "fetch", "resolve", "POST", "GET", "message", "open"):
                yield from functions(values, path, scope, value)
    elif not isinstance(argument, Constant):
        yield from functions(values, path, scope, argument)


def _registration(values: Values, path: str, scope: Scope, call: Call) -> str:
    """How messages call what this call registers; empty: it registers nothing."""
    if not call.arguments:
        return ""
    if isinstance(call.callee, Member):
        return _member_registration(values, path, scope, call, call.callee)
    if isinstance(call.callee, Name) and call.callee.id in _SERVERS:
        return _server(values, path, scope, call, call.callee.id)
    return ""


def _member_registration(values: Values, path: str, scope: Scope, call: Call, callee: Member) -> str:
    first, base = call.arguments[0], _last_name(callee.base)
    literal = first.value if isinstance(first, Constant) and isinstance(first.value, str) else ""
    if (
        callee.name in _VERBS
        and base not in _CLIENTS
        and (literal.startswith(("/", "*")) or _is_router(values, path, scope, callee))
    ):
        return f"handler of {callee.name.upper()} `{literal}`" if literal else "handler of a router"
    if callee.name == "openapi" or (callee.name == "route" and isinstance(first, Object)):
        return "handler of a route"
    if (
        callee.name in ("on", "once", "addListener")
        and literal
        and (literal in _EVENTS or "message" in literal.lower() or "chat" in literal.lower())
    ):
        return f"handler of event `{literal}`" if _EMITTERS.search(base) else ""
    if callee.name in _BOT_VERBS and base in ("bot", "app", "slackApp", "slack") and len(call.arguments) >= 1:
        return f"handler of {callee.name} of the bot"
    if callee.name in ("query", "mutation", "subscription") and _is_procedure(scope, callee.base):
        return f"tRPC {callee.name}"
    if callee.name == "http" and literal:
        return f"function `{literal}`"
    if callee.name in _SERVERS:
        return _server(values, path, scope, call, callee.name)
    return ""


def _server(values: Values, path: str, scope: Scope, call: Call, name: str) -> str:
    packages = _SERVERS[name]
    for value in values.of(path, scope.number, call.callee):
        if isinstance(value, External):
            known = value.package in packages or any(value.package.startswith(one) for one in packages if one)
            if known and (value.package or name not in ("createServer", "onRequest", "onCall")):
                glob = value.path[0] if value.path else ""
                if value.package or name != "serve" or glob in ("Deno", "Bun"):
                    return f"handler given to `{name}`"
    return ""


def _is_router(values: Values, path: str, scope: Scope, callee: Member) -> bool:
    """Whether `app.use(fn)` is said to a router that this project makes."""
    for value in values.made(path, scope.number, callee.base):
        if isinstance(value, Made) and isinstance(value.expression, CallRef):
            call = values.modules[value.path].scopes[value.scope].calls[value.expression.number]
            for maker in values.of(value.path, value.scope, call.callee):
                if isinstance(maker, External) and maker.package in (
                    "express",
                    "koa",
                    "fastify",
                    "hono",
                    "@koa/router",
                ):
                    return True
    return False


def _is_procedure(scope: Scope, base: Expression) -> bool:
    current = base
    while True:
        if isinstance(current, CallRef):
            current = scope.calls[current.number].callee
        elif isinstance(current, Member):
            if current.name.lower().endswith("procedure"):
                return True
            current = current.base
        else:
            return isinstance(current, Name) and current.id.lower().endswith("procedure")


def _last_name(expression: Expression) -> str:
    if isinstance(expression, Name):
        return expression.id
    return expression.name if isinstance(expression, Member) else ""


# --- By declaration ----------------------------------------------------------------------------------------------


def _declared(path: str, scopes: tuple[Scope, ...]) -> Iterator[Handler]:
    for scope in scopes:
        if scope.number and "use server" in scope.directives:
            yield Handler(path, scope.number, f"server action `{scope.name}`")
        if scope.kind == "method" and scope.decorators:
            owner = scopes[scope.parent]
            for decorator in scope.decorators:
                name = _last_name(owner.calls[decorator.number].callee) if isinstance(decorator, CallRef) else ""
                if name in _DECORATORS:
                    yield Handler(path, scope.number, f"handler `{owner.name}.{scope.name}`")
