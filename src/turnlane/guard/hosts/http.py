"""What every HTTP host has: where a request says whose it is, its answer, and what is written at its end."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from turnlane.guard import journals, loops, requests, runs, swallowed, where
from turnlane.guard.journal import HazardError
from turnlane.guard.requests import Request

MAX_BODY: Final = 65_536
"""Bytes of a request's body that are looked at."""

MAX_ANSWER: Final = 16_384
"""Bytes of an error's body that are looked at."""

_FORM_FIELD: Final = re.compile(rb'name="([^"\r\n]{1,40})"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{1,200})\r\n')


class Exchange:
    """One HTTP request and its answer, as they pass by.

    Attributes:
        request: what the rest of the guard knows it as.
        status: the answer's; None until it begins.
        answer: the beginning of an error's body.
    """

    __slots__ = (
        "answer", "body", "content_type", "error", "method", "path", "request", "started", "status", "whole",
    )  # fmt: skip

    def __init__(self, host: str, method: str, path: str, headers: Iterable[tuple[str, str]], query: str) -> None:
        where.first_request()
        fields = {name.lower(): value for name, value in headers}
        self.method = method
        self.path = path
        self.request = Request(host, f"{method} {path}", id=fields.get("x-request-id") or None)
        self.request.learn(fields)
        self.content_type = fields.get("content-type", "")
        self.status: int | None = None
        self.body = b""
        self.answer = b""
        self.error: BaseException | None = None
        self.started = time.monotonic()
        self.whole = False
        if query:
            fields_of_query = dict(parse_qsl(query))
            self.request.learn(fields_of_query)
            self.request.notes["brought"] = list(fields_of_query.values())
        if "cookie" in fields:
            self.request.learn(_cookies(fields["cookie"]))

    def received(self, piece: bytes, *, more: bool) -> None:
        """The program has read a piece of the request's body."""
        try:
            self._received(piece, more=more)
        except Exception as error:
            journals.trouble("body of a request", error)

    def _received(self, piece: bytes, *, more: bool) -> None:
        if self.whole:
            return
        if len(self.body) < MAX_BODY:
            self.body += piece[: MAX_BODY - len(self.body)]
        if not more:
            self.whole = True
            self._learn(self.body)

    def answered(self, piece: bytes) -> None:
        """The program has sent a piece of its answer."""
        if self.status is not None and self.status >= 500 and len(self.answer) < MAX_ANSWER:
            self.answer += bytes(piece[:MAX_ANSWER])

    def ended(self) -> None:
        """The program is done with the request, before anybody forgets its failures.

        Raises:
            HazardError: the answer hides its cause, and the settings are strict.
        """
        loops.look_at(self.error)
        try:
            self._tell()
        except HazardError:
            raise
        except Exception as error:
            journals.trouble("end of a request", error)
        finally:
            # Requests are remembered for longer than the program keeps what belongs to them.
            self.error = None
            for name in ("exchange", "headers", "answering"):
                self.request.notes.pop(name, None)

    def _tell(self) -> None:
        request = self.request
        request.status = self.status
        if self.status is None and isinstance(self.error, Exception):  # one that was cancelled got no answer
            request.status = 500
        if journals.settings().requests:
            journals.write(
                {
                    "kind": "request",
                    "request": request.id,
                    "status": request.status,
                    "seconds": round(time.monotonic() - self.started, 6),
                    "method": self.method,
                    "path": self.path,
                    "error": type(self.error).__name__ if self.error is not None else None,
                }
            )
        swallowed.judge(request, self.answer, escaped=self.error)

    def _learn(self, body: bytes) -> None:
        brought = self.request.notes.setdefault("brought", [])
        if "multipart/form-data" in self.content_type:
            found = _FORM_FIELD.findall(body)
            fields = {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in found}
        elif body[:1].strip() in (b"{", b"[", b""):
            brought.append(self.request.learn_json(body))
            return
        elif b"=" in body[:200]:
            fields = dict(parse_qsl(body.decode("utf-8", "replace")))
        else:
            return
        brought.extend(fields.values())
        if "form" in self.content_type:
            self.request.learn(fields)


def of_web_request(host: str, request: Any) -> Exchange | None:
    """The exchange of a request as aiohttp and Sanic have it, which other parts find with the guard's request."""
    try:
        exchange = Exchange(host, request.method, request.path, request.headers.items(), request.query_string)
        exchange.request.notes["exchange"] = exchange
    except Exception as error:
        journals.trouble(f"{host} request", error)
        return None
    return exchange


def start_afresh() -> None:
    """What begins here is part of nothing: a connection's task handles one request after the other, or was copied
    from what another request did."""
    for variable in (requests.current, runs.current, runs.current_tool):
        variable.set(None)


def read(body: bytes, path: Mapping[str, Any] | None = None) -> None:
    """The program has read the body of the request which it works on.

    Args:
        path: the path's parameters, where they are known by then.
    """
    request = requests.current.get()
    if request is None:
        return
    request.learn(path or {})
    exchange: Exchange | None = request.notes.get("exchange")
    if exchange is not None and body:
        exchange.received(body, more=False)


def read_form(fields: Mapping[str, Any]) -> None:
    """The same for a form that its framework has parsed."""
    request = requests.current.get()
    if request is not None and fields:
        request.learn(fields)
        request.notes.setdefault("brought", []).extend(fields.values())


def _cookies(header: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in header.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}
