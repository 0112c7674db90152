"""Users of a server that is killed under them. They write down what they see, and repeat what broke off."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeAlias

import anyio
import httpx2
import openai
from openai import AsyncOpenAI
from tests.faults.served import Served

from turnlane.testing.history import ENDED, History

Way: TypeAlias = Literal["plain", "stream", "background"]
"""How a user waits for an answer."""

LAST_EVENTS: Final = ("response.completed", "response.incomplete", "response.failed")

POLL_EVERY: Final = 0.05
"""Seconds between two looks of a polling user: his pace, nothing is synchronised by it."""

BROKEN: Final = (openai.APIConnectionError, httpx2.TransportError)
"""What a client sees of a kill."""


class Progress:
    """How many turns have been answered; the killer waits for it."""

    def __init__(self) -> None:
        self.answered = 0
        self._changed = anyio.Event()

    def one_more(self) -> None:
        self.answered += 1
        self._changed.set()
        self._changed = anyio.Event()

    async def reach(self, wanted: int) -> None:
        while self.answered < wanted:
            await self._changed.wait()


class Users:
    """What all users of one schedule share."""

    def __init__(self, served: Served, history: History) -> None:
        self.served = served
        self.history = history
        self.progress = Progress()
        self.broken = 0
        """How often a connection broke or was refused."""
        self.streamed: set[str] = set()
        """Turns that somebody read as a stream."""
        self.client = AsyncOpenAI(
            base_url=f"{served.origin}/v1",
            api_key="local",
            max_retries=0,  # the users repeat themselves, so that each request is written down
            timeout=60,
        )

    async def persist(self, step: Callable[[], Awaitable[Any]]) -> Any:
        """Do it until the server has answered."""
        while True:
            try:
                return await step()
            except BROKEN:
                self.broken += 1
            except openai.InternalServerError as error:
                if error.status_code != 503:  # 503: it is stopping, or not yet ready
                    raise
            await self.served.ready.wait()


class User:
    """One user with one conversation."""

    def __init__(self, users: Users, number: int, agent: str, chance: random.Random) -> None:
        self.users = users
        self.agent = agent
        self.canary = f"canary-{number}-{chance.getrandbits(32):08x}"
        self.conversation = ""
        self._chance = chance
        self._sent = 0

    async def talk(self, turns: int) -> None:
        """Say `turns` messages: mostly one after the other, sometimes several at once in one lane."""
        made = await self.users.persist(self.users.client.conversations.create)
        self.conversation = made.id
        self.users.history.opened(self.conversation, self.canary)
        left = turns
        while left:
            burst = min(left, self._chance.choice((1, 1, 1, 1, 3)))
            left -= burst
            if burst == 1:
                await self._say(self._chance.choice(("plain", "stream", "background")))
            else:
                await self._say_at_once(burst)

    async def _say_at_once(self, burst: int) -> None:
        """Queue several: each is accepted before the next is sent, so their order is known."""
        turns = [await self._queue(*self._next()) for _ in range(burst)]
        for turn in turns:
            await self._poll(turn)

    async def _say(self, way: Way) -> None:
        key, text = self._next()
        if way == "plain":
            await self._say_plainly(key, text)
        elif way == "stream":
            await _Reading(self, key, text).to_the_end()
        else:
            await self._poll(await self._queue(key, text))

    def _next(self) -> tuple[str, str]:
        self._sent += 1
        return f"{self.canary}-{self._sent}", f"{self.canary} says message {self._sent}"

    async def _say_plainly(self, key: str, text: str) -> None:
        response = await self.users.persist(lambda: self.create(key, text))
        self.users.history.accepted(key, response.id)
        self.note_end(response)

    async def _queue(self, key: str, text: str) -> str:
        response = await self.users.persist(lambda: self.create(key, text, background=True))
        self.users.history.accepted(key, response.id)
        return str(response.id)

    async def _poll(self, turn: str) -> None:
        while True:
            response = await self.users.persist(lambda: self.users.client.responses.retrieve(turn))
            if response.status in ENDED:
                self.note_end(response)
                return
            await anyio.sleep(POLL_EVERY)

    async def create(self, key: str, text: str, **how: Any) -> Any:
        self.users.history.sent(self.conversation, key, text)
        return await self.users.client.responses.create(
            model=self.agent,
            input=text,
            conversation=self.conversation,
            extra_headers={"Idempotency-Key": key},
            **how,
        )

    def note_end(self, response: Any) -> None:
        self.users.history.answered(response.id, response.status, response.output_text, response.attempt)
        self.users.progress.one_more()


class _Reading:
    """One turn read as a stream, over as many connections as it takes."""

    def __init__(self, user: User, key: str, text: str) -> None:
        self._user = user
        self._key = key
        self._text = text
        self._turn: str | None = None
        self._last = -1
        self._connections = 0
        self._ended = False

    async def to_the_end(self) -> None:
        while not self._ended:
            await self._user.users.persist(self._connect)

    async def _connect(self) -> None:
        """Read until the end or the next break; come back with the last number seen."""
        self._connections += 1
        if self._turn is None:
            stream = await self._user.create(self._key, self._text, stream=True)
        else:
            retrieve = self._user.users.client.responses.retrieve
            after = {"starting_after": self._last} if self._last >= 0 else {}
            stream = await retrieve(self._turn, stream=True, **after)
        async with stream:
            async for event in stream:
                self._note(event)

    def _note(self, event: Any) -> None:
        history = self._user.users.history
        if event.type == "error":  # the store is closing: the turn is well, the stream is not
            return
        if self._turn is None:
            self._turn = str(event.response.id)
            self._user.users.streamed.add(self._turn)
            history.accepted(self._key, self._turn)
        self._last = event.sequence_number
        history.streamed(self._key, self._turn, event.sequence_number, shown(event))
        if event.type in LAST_EVENTS:
            self._ended = True
            history.stream_ended(self._key, self._turn)
            self._user.note_end(event.response)


def shown(event: Any) -> str:
    """What a reader sees of an event."""
    return f"{event.type} {getattr(event, 'delta', '')}".rstrip()
