"""A verb's connection to a running server: JSON calls and event streams, and its errors as sentences."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

import httpx2

from turnlane.cli.complaint import FAILED, Complaint

KEY_VARIABLE: Final = "TURNLANE_API_KEY"

Json = dict[str, Any]


class Refusal(Complaint):
    """The server answered with an error. `error` is its error object."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(sentence_of(error) or f"the server answered {status}", FAILED)
        self.http_status = status
        self.error = error


class Connection:
    """HTTP to one server. Use as a context manager.

    Args:
        url: of the server, with or without `/v1`.
        api_key: else the environment variable TURNLANE_API_KEY.
    """

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        if not self.url.startswith(("http://", "https://")):
            raise Complaint(f"{url!r} is no address of a server: write it as http://127.0.0.1:8080")
        key = api_key or os.environ.get(KEY_VARIABLE)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        # No proxies of the environment: they are for the web, and this is a server of ours. A stream says
        # something every 15 s, so silence of a minute is a dead connection.
        self._http = httpx2.Client(
            base_url=self.url, headers=headers, trust_env=False, timeout=httpx2.Timeout(60.0, connect=5.0)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Json:
        """Raises Complaint."""
        return self._call("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Raises Complaint."""
        return self._call("POST", path, json=body)

    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Json]:
        """The events of a new response, as they come.

        Raises:
            Complaint: also in the middle, when the connection ends.
        """
        yield from self._events("POST", path, json=body)

    def follow(self, turn: str) -> Iterator[Json]:
        """The events of a response that exists, from its first to its last.

        Raises:
            Complaint
        """
        yield from self._events("GET", f"/v1/responses/{turn}", params={"stream": "true"})

    def _events(self, method: str, path: str, **options: Any) -> Iterator[Json]:
        with self._told(), self._http.stream(method, path, **options) as answer:
            if answer.status_code >= 400:
                answer.read()
                raise _refusal(answer)
            yield from server_sent_events(answer.iter_lines())

    def _call(self, method: str, path: str, **options: Any) -> Json:
        with self._told():
            answer = self._http.request(method, path, **options)
        if answer.status_code >= 400:
            raise _refusal(answer)
        found: Json = answer.json()
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except httpx2.ConnectError:
            raise Complaint(
                f"nothing answers at {self.url}: is the server running? (turnlane serve FILE.py)", FAILED
            ) from None
        except httpx2.HTTPError as error:
            what = str(error) or type(error).__name__
            raise Complaint(f"the connection to {self.url} failed: {what}", FAILED) from None


def server_sent_events(lines: Iterable[str]) -> Iterator[Json]:
    """The JSON objects of an event stream (text/event-stream); comments and `[DONE]` are left out."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            text, data = "\n".join(data), []
            if text != "[DONE]":
                yield json.loads(text)


def sentence_of(error: Mapping[str, Any]) -> str:
    """An error object as one sentence: message, where, hazard, request id."""
    places = [f"{name} {error[name]}" for name in ("agent", "tool") if error.get(name)]
    hazard = f"{error['hazard']}, see `turnlane explain {error['hazard']}`" if error.get("hazard") else ""
    extras = [*places, hazard, f"request {error['request_id']}" if error.get("request_id") else ""]
    told = "; ".join(extra for extra in extras if extra)
    return f"{error.get('message') or ''} ({told})" if told else str(error.get("message") or "")


def _refusal(answer: httpx2.Response) -> Refusal:
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = {"message": f"the server answered {answer.status_code}: {answer.text[:200]}"}
    return Refusal(answer.status_code, error if isinstance(error, dict) else {"message": str(error)})
