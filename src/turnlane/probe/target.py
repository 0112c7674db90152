"""What is probed: where its requests go, what they hold, and how its program is started."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

from turnlane.probe.template import Json, filled, names_in, speaks
from turnlane.probe.trouble import ProbeError


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request as it is sent. `body` is a JSON value; None for no body."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A program behind HTTP.

    Attributes:
        name: for people: what was given on the command line.
        kind: `function` is hosted by the probe, `http` any program, `openai` one that speaks OpenAI's chat API.
        url: where requests go, with names in braces.
        json: the body, with names in braces; None for none.
        method: of HTTP.
        headers: to send with each request.
        answer: path of the text in a JSON answer; None looks for it.
        command: the words that start the program; empty for one that runs already.
        directory: where it is started; None for the present directory.
        environment: variables that its start command sets.
        guessed: whether nobody said what a request looks like; the program's own description may.
    """

    name: str
    kind: Literal["function", "http", "openai"]
    url: str
    json: Json = None
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: str | None = None
    command: Sequence[str] = ()
    directory: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    guessed: bool = False

    @property
    def starts(self) -> bool:
        """Whether the probe starts the program."""
        return bool(self.command)

    @property
    def host(self) -> str:
        """The host that requests go to."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port that requests go to."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def origin(self) -> str:
        """Its address without a path."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def shown_url(self) -> str:
        """The address without passwords and keys."""
        return shown_address(self.url)

    @property
    def path(self) -> str:
        """The path that requests go to."""
        return urlsplit(self.url).path

    @property
    def names(self) -> set[str]:
        """The names in braces that its requests use."""
        return names_in([self.url, self.json, dict(self.headers)])

    @property
    def carries_history(self) -> bool:
        """Whether each request holds the whole conversation, so that the program need not keep it."""
        return bool(self.names & {"messages", "ui_messages"})

    def request(self, values: Mapping[str, Json], extra: Mapping[str, object]) -> WireRequest:
        """One request; `extra` are fields to set in its JSON object."""
        in_url = {name: quote(str(value), safe="") for name, value in values.items()}
        body = filled(self.json, values)
        if extra and isinstance(body, dict):
            body = {**body, **extra}
        headers = {name: str(value) for name, value in filled(dict(self.headers), values).items()}
        return WireRequest(self.method, filled(self.url, in_url), headers, body)

    def at_port(self, port: int) -> Target:
        """The same with `{port}` in its address and its command replaced."""

        def put(text: str) -> str:
            return text.replace("{port}", str(port))

        return replace(
            self,
            name=put(self.name),
            url=put(self.url),
            command=tuple(map(put, self.command)),
            environment={name: put(value) for name, value in self.environment.items()},
        )


def http_target(
    url: str,
    template: Json,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    answer: str | None = None,
) -> Target:
    """A target from an address and a template.

    Raises:
        ProbeError: the address is none, or nothing of what a user says would be sent.
    """
    _check_address(url)
    if not speaks(url, template, dict(headers or {})):
        raise ProbeError(
            "Nothing in the request holds what the user says: write {prompt} where the message belongs, "
            'as in --json \'{"message": "{prompt}", "conversation_id": "{conversation}"}\'.'
        )
    return Target(
        name=shown_address(url),
        kind="http",
        url=url,
        json=template,
        method=method.upper(),
        headers=headers or {},
        answer=answer,
    )


def openai_target(
    base_url: str, model: str, *, stream: bool = False, headers: Mapping[str, str] | None = None
) -> Target:
    """A target that speaks OpenAI's chat API; the simulated users keep their history themselves.

    Raises:
        ProbeError: the address is none.
    """
    _check_address(base_url)
    body: dict[str, Any] = {"model": model, "messages": "{messages}", "user": "{user}"}
    return Target(
        name=f"{shown_address(base_url)} ({model})",
        kind="openai",
        url=base_url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions",
        json={**body, "stream": True} if stream else body,
        headers={"authorization": "Bearer practice", **(headers or {})},
    )


_PASSWORD: Final = re.compile(r"(://)[^/?#@\s]*@")
_KEY: Final = re.compile(r"([?&][\w-]*(?:key|token|secret|password|signature|auth)[\w-]*=)[^&#{}]+", re.IGNORECASE)


def shown_address(url: str) -> str:
    """An address as it may stand in a report: without a password and without values that are named as keys."""
    return _KEY.sub(r"\1***", _PASSWORD.sub(r"\1***@", url))


def is_address(url: str) -> bool:
    """Whether `url` is the address of something behind HTTP."""
    try:
        parts = urlsplit(url.replace("{port}", "1"))
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_address(url: str) -> None:
    if url.startswith(("ws://", "wss://")):
        raise ProbeError(
            "The probe does not speak through web sockets: give the address of a route that takes HTTP requests, "
            "or name the function that answers a message, as my_app:handler."
        )
    if not is_address(url):
        raise ProbeError(
            f"{shown_address(url)!r} is no address of a program: write it as http://127.0.0.1:8000/chat."
        )


def conversation_values(
    *,
    prompt: str,
    word: str,
    conversation: str,
    user: str,
    turn: int,
    request: str,
    history: Sequence[tuple[str, str]],
) -> dict[str, Json]:
    """What the names in braces stand for. `history` holds what was said and answered before."""
    said = [entry for prompt_, answer in history for entry in (("user", prompt_), ("assistant", answer))]
    said.append(("user", prompt))
    return {
        "prompt": prompt,
        "word": word,
        "conversation": conversation,
        "user": user,
        "turn": turn,
        "id": request,
        "messages": [{"role": role, "content": text} for role, text in said],
        "ui_messages": [
            {"id": f"{request}-{number}", "role": role, "parts": [{"type": "text", "text": text}]}
            for number, (role, text) in enumerate(said)
        ],
    }
