"""ASGI applications, called as a server calls them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class Answer:
    """What an application answered."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        start = next(message for message in messages if message["type"] == "http.response.start")
        self.status: int = start["status"]
        self.body = b"".join(message.get("body", b"") for message in messages if "body" in message)


async def call(
    app: Any,
    path: str,
    *,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    query: str = "",
    pieces: int = 1,
) -> Answer:
    """One POST request, its body in pieces."""
    data = b"" if body is None else json.dumps(body).encode()
    size = max(1, -(-len(data) // pieces))
    parts = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope(path, headers, query), receive, send)
    return Answer(sent)


def scope(path: str, headers: Mapping[str, str] | None = None, query: str = "") -> dict[str, Any]:
    """What a server says of a request."""
    given = {"content-type": "application/json", **(headers or {})}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 80),
    }
