"""Users who visit a planted program, each with a secret word of their own."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from turnlane.practice import PracticeProvider

from .plant import Visit

_HEADS = ("ba", "do", "fi", "gu", "ke", "lo", "mi", "nu", "pa", "ri", "so", "tu", "va", "wo", "ze")
_TAILS = ("bral", "dorn", "fisk", "gant", "holm", "kest", "lund", "mork", "nalt", "polk", "rusk", "sild")


def words() -> Iterator[str]:
    """Words that no text has by chance, and of which none is part of another."""
    for number in itertools.count():
        yield f"{_HEADS[number % 15]}{_TAILS[number % 12]}{number:03d}x"


@dataclass(frozen=True)
class Sent:
    """One request of a user, and what came of it.

    Attributes:
        word: the user's secret word.
        request: the `x-request-id` sent.
        status: the HTTP status; None without an answer.
        text: the answer's body, or what kept it away.
        seconds: from request to answer.
    """

    word: str
    request: str
    status: int | None
    text: str
    seconds: float


async def visit(base: str, groups: Sequence[Visit], names: Iterator[str]) -> list[Sent]:
    """Send what the groups ask, and wait for all answers."""
    sent: list[Sent] = []
    for group in groups:
        await asyncio.sleep(group.wait)
        shared = f"c-{next(names)}"
        users = [_User(base, group, next(names), shared, number) for number in range(group.users)]
        for answers in await asyncio.gather(*(user.stay() for user in users)):
            sent += answers
    return sent


class _User:
    def __init__(self, base: str, group: Visit, word: str, shared: str, number: int) -> None:
        self.base = base
        self.group = group
        self.word = word
        self.conversation = shared if group.together else f"c-{word}"
        self.number = number

    async def stay(self) -> list[Sent]:
        await asyncio.sleep(self.number * self.group.apart)
        # A new connection for each request: the process behind it may have changed. Cookies are the user's own.
        limits = httpx2.Limits(max_keepalive_connections=0)
        async with httpx2.AsyncClient(base_url=self.base, trust_env=False, verify=False, limits=limits) as http:
            return [await self.ask(http, turn) for turn in range(1, self.group.turns + 1)]

    async def ask(self, http: httpx2.AsyncClient, turn: int) -> Sent:
        group, request = self.group, f"{self.word}-{turn}"
        names = {"word": self.word, "turn": str(turn), "user": f"u-{self.word}", "conversation": self.conversation}
        names["prompt"] = filled(group.prompt, names)
        headers = {"x-request-id": request, **filled(dict(group.headers), names)}
        started = time.monotonic()
        try:
            async with asyncio.timeout(group.leave_after or group.timeout):
                answer = await http.request(
                    group.method,
                    filled(group.path, names),
                    json=filled(group.json, names),
                    data=filled(group.form, names),
                    headers=headers,
                    timeout=None,
                )
        except (httpx2.HTTPError, TimeoutError) as error:
            return Sent(self.word, request, None, type(error).__name__, time.monotonic() - started)
        return Sent(self.word, request, answer.status_code, answer.text, time.monotonic() - started)


def filled(value: Any, names: dict[str, str]) -> Any:
    """`value` with every `{name}` in its texts replaced."""
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, dict):
        return {key: filled(item, names) for key, item in value.items()}
    return [filled(item, names) for item in value] if isinstance(value, list) else value


def _questions(body: Any) -> int:
    messages = body.get("messages", ()) if isinstance(body, dict) else ()
    return sum(message.get("role") == "user" for message in messages)


def harm(sent: Sequence[Sent], provider: PracticeProvider) -> dict[str, int | float]:
    """What users and provider saw, with no help of guard or probe."""
    seen = [request.text for request in provider.requests]
    users = {one.word for one in sent}
    mixed = [text for text in seen if sum(word in text for word in users) > 1]
    foreign = [one for one in sent if any(word in one.text for word in users - {one.word})]
    return {
        "sent": len(sent),
        "answered": sum(one.status is not None and one.status < 400 for one in sent),
        "errors": sum(one.status is not None and one.status >= 400 for one in sent),
        "silent": sum(one.status is None for one in sent),
        "with history": sum(_questions(request.body) > 1 for request in provider.requests),
        "mixed prompts": len(mixed),
        "foreign answers": len(foreign),
        "calls": provider.received,
        "slowest": round(max((one.seconds for one in sent), default=0.0), 2),
    }
