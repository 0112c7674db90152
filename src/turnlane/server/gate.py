"""The outermost layer: request id, host and key checks, errors, and the log line. Raw ASGI, for its speed."""

from __future__ import annotations

import re
import secrets
import time
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turnlane.runtime.agent import ReentrantRun
from turnlane.runtime.engine import EngineError
from turnlane.server.answer import JSON_TYPE, Bytes
from turnlane.server.call import Server, header
from turnlane.server.keys import ANONYMOUS_CALLER, LOCAL_CALLER, Caller, host_name, is_loopback, may_be_host
from turnlane.server.problem import Problem, bug, of_exception
from turnlane.server.unexpected import report
from turnlane.telemetry.events import bound, emit

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Need no key and no right Host: what a load balancer asks."""

_HAZARDS: Final = "/hazards"
"""Needs neither as well: the pages that errors lead to hold nothing of anybody's."""

_SANE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")


class Gate:
    """Lets requests through to `app`, with `turnlane.caller` and `turnlane.request_id` in the scope."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": "no WebSockets here; use HTTP"})
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request_id = request_id_of(scope)
        scope["turnlane.request_id"] = request_id
        answer = _Watched(send, request_id)
        with bound(request_id=request_id):
            try:
                scope["turnlane.caller"] = self._admit(scope)
                await self._app(scope, receive, answer)
            except Problem as problem:
                await _refuse(problem, request_id, receive, answer)
            except (EngineError, ReentrantRun) as error:
                await _refuse(of_exception(error, operator=_is_operator(scope)), request_id, receive, answer)
            except Exception as error:
                report(error, scope)
                await _refuse(bug(request_id), request_id, receive, answer)
            finally:
                emit(
                    "request.ended",
                    method=scope["method"],
                    path=scope.get("turnlane.path", "unknown"),
                    status=answer.status,
                    seconds=time.perf_counter() - began,
                )

    def _admit(self, scope: Scope) -> Caller:
        """Who is calling.

        Raises:
            Problem: 401, 403.
        """
        path = scope["path"]
        if path in OPEN_PATHS or path == _HAZARDS or path.startswith(f"{_HAZARDS}/"):
            return LOCAL_CALLER
        if self._server.keys is None:
            host = self._server.settings.host
            _check_origin(scope, host)
            return LOCAL_CALLER if is_loopback(host) else ANONYMOUS_CALLER
        caller = self._server.keys.caller(header(scope, b"authorization"))
        if caller is None:
            raise Problem(
                401,
                "a valid API key is needed: send it as the header Authorization: Bearer KEY "
                "(api_key=... of the openai client)",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return caller


class _Watched:
    """`send`, with the request id added and the status remembered."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id.encode()
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"].append((b"x-request-id", self._request_id))
        await self._send(message)


def request_id_of(scope: Scope) -> str:
    """The id the client or a proxy gave, if it is safe to log and to send back; else a new one."""
    given = header(scope, b"x-request-id")
    if given is not None and _SANE_REQUEST_ID.fullmatch(given):
        return given
    return f"req_{secrets.token_hex(12)}"


def _is_operator(scope: Scope) -> bool:
    caller: Caller | None = scope.get("turnlane.caller")
    return caller is not None and caller.admin


def _check_origin(scope: Scope, bound_to: str) -> None:
    """Without keys the browser of whoever sits here could be made to call us: only our own pages may."""
    host = header(scope, b"host")
    if not may_be_host(host, bound_to):
        raise Problem(
            403,
            f"without API keys this server answers to localhost and its own address only, not to "
            f"{host_name(host or '')[:100]!r}; start it with --api-key-file to serve other names",
            code="host_not_allowed",
        )
    origin = header(scope, b"origin")
    if origin is not None and not _same_host(origin, host or ""):
        raise Problem(
            403, "without API keys no web page of another origin may call this server", code="origin_not_allowed"
        )


def _same_host(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


async def _refuse(problem: Problem, request_id: str, receive: Receive, answer: _Watched) -> None:
    if answer.status:
        return  # the answer has begun: all that is left is to end it
    await Bytes(problem.body(request_id), JSON_TYPE, problem.status, problem.headers).send(receive, answer)
