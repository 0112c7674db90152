"""One simulated user's side of a conversation, over HTTP."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx2

from turnlane.probe.answer_text import answer_text, error_in, is_html
from turnlane.probe.canary import Canaries, User
from turnlane.probe.causes import Answered, connection_cause
from turnlane.probe.reach import is_this_machine, verification
from turnlane.probe.report import Cause
from turnlane.probe.target import Target, WireRequest, conversation_values

MAX_ANSWER: Final = 4 * 1024 * 1024

MESSAGES: Final = (
    "Hello, I am {name}. My secret word is {word}. Where is my order {number}?",
    "Thank you. My second word is {word}. What did I ask you first?",
    "One more thing: my next word is {word}. Please sum up what I have told you.",
)
"""What users say, turn by turn; the last one again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One message of a user and what came of it. Times of `time.monotonic()`."""

    id: str
    user: User
    round: int
    turn: int
    word: str
    prompt: str
    started: float
    finished: float
    answered: Answered
    text: str
    failed: bool
    left: bool = False
    """Whether the user went away on purpose."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How a user says a message: which one, how long it waits for the answer, and when it goes away."""

    messages: Sequence[str]
    timeout: float
    disconnect_after: float | None
    fields: Mapping[str, object]


class Speaker:
    """A user with its own connections and cookies, as a browser has them."""

    def __init__(self, target: Target, user: User, canaries: Canaries) -> None:
        self.user = user
        self._target = target
        self._canaries = canaries
        self._history: list[tuple[str, str]] = []
        # Not the environment's proxies: a probe is for this machine.
        # A new connection for each request: a kept one stays with one worker of several, and a server that closes
        # it after an error meets the next request on its way.
        self._http = httpx2.AsyncClient(
            trust_env=False,
            follow_redirects=True,
            timeout=None,
            limits=httpx2.Limits(max_keepalive_connections=0),
            verify=verification(target.host),
            event_hooks={"request": [self._stay]},
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def _stay(self, request: httpx2.Request) -> None:
        """A redirect must not lead the users to a machine that nobody gave leave to probe."""
        if request.url.host != self._target.host and not is_this_machine(request.url.host):
            raise LedAway(
                f"it redirects to {request.url.scheme}://{request.url.netloc.decode('ascii', 'replace')}"
            )

    async def say(self, round_: int, turn: int, manners: Manners) -> Spoken:
        """Say the message of this turn and read the whole answer."""
        request = self._canaries.request_id()
        word = self._canaries.word(self.user, request, turn)
        prompt = self._prompt(manners.messages[min(turn, len(manners.messages)) - 1], word)
        wire = self._target.request(
            conversation_values(
                prompt=prompt,
                word=word,
                conversation=self.user.conversation,
                user=self.user.key,
                turn=turn,
                request=request,
                history=self._history,
            ),
            manners.fields,
        )
        started = time.monotonic()
        answered, left = await self._ask(wire, request, manners)
        told = answer_text(answered.body, answered.content_type, self._target.answer)
        text = told.encode("utf-8", "replace").decode()  # half a character cannot be sent back as history
        failed = _failed(answered)
        if not failed:
            self._history.append((prompt, text))
        return Spoken(
            id=request,
            user=self.user,
            round=round_,
            turn=turn,
            word=word,
            prompt=prompt,
            started=started,
            finished=time.monotonic(),
            answered=answered,
            text=text,
            failed=failed,
            left=left,
        )

    def _prompt(self, text: str, word: str) -> str:
        number = str(1000 + int(self.user.name.rpartition(" ")[2]) % 9000)
        # Not str.format: a message of the user's own may hold other braces.
        told = text.replace("{name}", self.user.name).replace("{number}", number)
        return told.replace("{word}", word) if "{word}" in told else f"{told} ({word})"

    async def _ask(self, wire: WireRequest, request: str, manners: Manners) -> tuple[Answered, bool]:
        """The answer, and whether the user went away before it came."""
        bound = manners.timeout
        leaves = manners.disconnect_after is not None and manners.disconnect_after < bound
        read = _Read()
        try:
            async with asyncio.timeout(manners.disconnect_after if leaves else bound):
                await self._exchange(wire, request, read)
        except TimeoutError:
            told = connection_cause("no answer", f"no whole answer within {bound:g} s")
            if leaves:
                told = connection_cause("left", "the user went away")
            # What came of it may hold another user's words.
            return Answered(None, read.text, read.kind, told), leaves
        except httpx2.HTTPError as error:
            return Answered(read.status, read.text, read.kind, _broken(error)), False
        except (httpx2.InvalidURL, ValueError) as error:
            return Answered(None, "", "", connection_cause("cannot be sent", str(error))), False
        return Answered(read.status, read.text, read.kind), False

    async def _exchange(self, wire: WireRequest, request: str, read: _Read) -> None:
        headers = {**wire.headers, "x-request-id": request}
        options = {} if wire.body is None else {"json": wire.body}
        async with self._http.stream(wire.method, wire.url, headers=headers, **options) as answer:
            read.status, read.kind = answer.status_code, answer.headers.get("content-type", "")
            read.encoding = answer.charset_encoding or read.encoding
            async for piece in answer.aiter_bytes():
                read.body += piece
                if len(read.body) > MAX_ANSWER:
                    break


class LedAway(httpx2.HTTPError):
    """The program redirects to another machine."""


@dataclass(slots=True)
class _Read:
    """An answer as far as it has come."""

    status: int | None = None
    kind: str = ""
    encoding: str = "utf-8"
    body: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        try:
            return self.body.decode(self.encoding, "replace")
        except LookupError:  # a program may claim any
            return self.body.decode("utf-8", "replace")


def _failed(answered: Answered) -> bool:
    if answered.broken is not None or answered.status is None or answered.status >= 400:
        return True
    return error_in(answered.body, answered.content_type) is not None or (
        "html" in answered.content_type and is_html(answered.body)
    )


def _broken(error: httpx2.HTTPError) -> Cause:
    if isinstance(error, LedAway):
        return connection_cause("led away", str(error))
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return connection_cause("untrusted", "its certificate is not one that this machine trusts")
    if _of_the_probe(error):
        told = "the probe may open no more files: allow more with ulimit -n, or give smaller --levels"
        return connection_cause("no room", told)
    if isinstance(error, httpx2.ConnectError):
        return connection_cause("no connection", "the program does not accept connections")
    return connection_cause("broken answer", str(error) or type(error).__name__)


def _of_the_probe(error: BaseException | None) -> bool:
    """Whether it is the probe that has run out of files, and not the program that refuses."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__ or error.__context__
    return False
