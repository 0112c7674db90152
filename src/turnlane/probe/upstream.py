"""A recording proxy in front of a real provider: every chat call is kept, and passed on as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from turnlane.practice import RecordedRequest
from turnlane.practice.exchange import ClientGone, Exchange, Receive, Scope, Send
from turnlane.practice.listener import Listener
from turnlane.practice.recorder import Recorder
from turnlane.probe.answer_text import refusal_text
from turnlane.probe.belonging import TAG
from turnlane.probe.conditions import Conditions
from turnlane.probe.reach import is_this_machine
from turnlane.probe.target import is_address
from turnlane.probe.trouble import ProbeError

_OWN: Final = frozenset(
    {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "te", "trailer", TAG}
)
"""Headers that belong to one connection, and ours."""
_KEPT: Final = 50_000
_TIMEOUT: Final = httpx2.Timeout(600.0, connect=10.0)


class RecordingProxy:
    """Passes calls on to a provider.

    Args:
        upstream: the provider's address with its `/v1`.
        port: to listen on; 0 for any.

    Raises:
        ProbeError: the address is none.
    """

    def __init__(self, upstream: str, port: int = 0) -> None:
        if not is_address(upstream):
            raise ProbeError("--upstream must be the address of a provider, such as https://api.openai.com/v1.")
        self._upstream = upstream.rstrip("/")
        self._wanted_port = port
        self._port = 0
        self._recorder = Recorder(_KEPT)
        self._errors: dict[int, str] = {}
        self._listener = Listener(self)
        self._http: httpx2.AsyncClient | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def running(self) -> int:
        return self._recorder.running

    def calls(self) -> Sequence[RecordedRequest]:
        return self._recorder.records()

    def error_of(self, number: int) -> str | None:
        return self._errors.get(number)

    def prepare(self, conditions: Conditions) -> None:
        """A real provider answers as it likes: conditions change nothing here."""

    async def start(self) -> None:
        # A real provider may be behind the environment's proxy, one on this machine is not.
        here = is_this_machine(urlsplit(self._upstream).hostname or "")
        self._http = httpx2.AsyncClient(timeout=_TIMEOUT, trust_env=not here)
        self._port = await self._listener.open("127.0.0.1", self._wanted_port)

    async def stop(self) -> None:
        await self._listener.close()
        if self._http is not None:
            await self._http.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        try:
            raw = await exchange.read()
        except ClientGone:
            return
        recorded = exchange.method == "POST"
        number = self._arrived(exchange, raw) if recorded else 0
        try:
            await self._pass_on(exchange, scope, raw, number, send)
        finally:
            if recorded:
                gone = exchange.line.gone and not exchange.complete
                self._recorder.finished(number, exchange.status, None, disconnected=gone)

    def _arrived(self, exchange: Exchange, raw: bytes) -> int:
        try:
            body: Any = json.loads(raw)
        except ValueError:
            body = None
        return self._recorder.arrived(exchange.method, exchange.path, exchange.request_headers, body)

    async def _pass_on(self, exchange: Exchange, scope: Scope, raw: bytes, number: int, send: Send) -> None:
        assert self._http is not None
        query = scope.get("query_string", b"").decode("latin-1")
        url = self._upstream + exchange.path.removeprefix("/v1") + (f"?{query}" if query else "")
        headers = _passed(exchange)
        try:
            async with self._http.stream(exchange.method, url, content=raw, headers=headers) as answer:
                await self._relay(exchange, answer, number, send)
        except httpx2.HTTPError as error:
            self._errors[number] = f"the provider could not be reached: {error or type(error).__name__}"
            if exchange.status is None:
                told = {"error": {"message": self._errors[number], "type": "server_error", "code": "upstream"}}
                await exchange.respond(502, json.dumps(told).encode())
            else:
                await exchange.cut(reset=False)

    async def _relay(self, exchange: Exchange, answer: httpx2.Response, number: int, send: Send) -> None:
        exchange.status = answer.status_code
        kept = [(n, v) for n, v in answer.headers.raw if n.decode("latin-1").lower() not in _OWN]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
        body = bytearray()
        async for piece in answer.aiter_raw():
            if answer.status_code >= 400:
                body += piece
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        exchange.complete = not exchange.line.gone
        if answer.status_code >= 400:
            self._errors[number] = refusal_text(bytes(body).decode("utf-8", "replace"), "application/json")


def _passed(exchange: Exchange) -> Mapping[str, str]:
    shown = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in exchange.request_headers}
    # An answer as it is: the proxy reads only errors, and those must be text.
    return {name: value for name, value in shown.items() if name not in _OWN} | {"accept-encoding": "identity"}
