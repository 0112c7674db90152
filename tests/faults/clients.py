"""Users of a system that is broken under them. They write down what they see, and repeat what broke off."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, TypeAlias

import anyio
import httpx2
import openai
from openai import AsyncOpenAI

from turnlane.runtime.conversation import WhenBusy
from turnlane.testing.history import ENDED, History

Way: TypeAlias = Literal["plain", "stream", "background"]
"""How a user waits for an answer."""

LAST_EVENTS: Final = ("response.completed", "response.incomplete", "response.failed")

POLL_EVERY: Final = 0.05
"""Seconds between two looks of a polling user: his pace, nothing is synchronised by it."""

PATIENCE: Final = 6.0
"""Seconds without a byte after which a user tries again: what is half-open tells nobody that it is broken."""

DEBOUNCE: Final = 0.2
"""Seconds that a debounced message waits for another."""

SECOND_THOUGHTS: Final[Sequence[WhenBusy]] = (
    "interrupt",
    "interrupt",
    "rollback",
    "merge",
    "merge",
    "debounce",
    "reject",
    "enqueue",
)
"""What a user asks for who writes again before he is answered."""

BROKEN: Final = (openai.APIConnectionError, httpx2.TransportError)
"""What a client sees of a broken connection."""


class Users:
    """What all users of one schedule share.

    Args:
        origins: of all front ends; a request that broke off goes to another next.
        strategies: whether users write again before they are answered, and ask for more than to wait.
    """

    def __init__(self, origins: Sequence[str], history: History, *, strategies: bool = True) -> None:
        self.history = history
        self.strategies = strategies
        self.answered = 0
        """Turns whose end a user saw."""
        self.broken = 0
        """How often a connection broke, was refused or answered 503."""
        self.elsewhere = 0
        """How often a stream was resumed at another front end."""
        self.streamed: set[str] = set()
        """Turns that somebody read as a stream."""
        self.conversations: list[str] = []
        self.clients = [
            AsyncOpenAI(
                base_url=f"{origin}/v1",
                api_key="local",
                max_retries=0,  # the users repeat themselves, so that each request is written down
                timeout=httpx2.Timeout(PATIENCE, connect=2.0),
            )
            for origin in origins
        ]

    async def close(self) -> None:
        for client in self.clients:
            await client.close()


class Line:
    """How one user reaches the system: a front end, and another one when that fails."""

    def __init__(self, users: Users, chance: random.Random) -> None:
        self._users = users
        self._chance = chance
        self.at = chance.randrange(len(users.clients))

    @property
    def client(self) -> AsyncOpenAI:
        return self._users.clients[self.at]

    async def persist(self, step: Callable[[AsyncOpenAI], Awaitable[Any]]) -> Any:
        """Do it until it was answered, now here and now there."""
        while True:
            try:
                return await step(self.client)
            except BROKEN:
                pass
            except openai.InternalServerError as error:
                if error.status_code != 503:  # 503: it stops, is not yet ready, or has no store
                    raise
            await self.move_on()

    async def move_on(self) -> None:
        """Try the next front end, after a moment."""
        self._users.broken += 1
        self.at = (self.at + 1) % len(self._users.clients)
        await anyio.sleep(self._chance.uniform(0.02, 0.2))


class User:
    """One user with one conversation."""

    def __init__(self, users: Users, number: int, agent: str, chance: random.Random) -> None:
        self.users = users
        self.agent = agent
        self.canary = f"canary-{number}-{chance.getrandbits(32):08x}"
        self.conversation = ""
        self.line = Line(users, chance)
        self._chance = chance
        self._sent = 0

    async def talk(self, turns: int) -> None:
        """Say `turns` messages: mostly one after the other, sometimes several before an answer."""
        await self._open()
        while self._sent < turns:
            match self._chance.choice("ssssbdd" if self.users.strategies else "ssssb"):
                case "s":
                    await self._say(self._chance.choice(("plain", "stream", "background")))
                case "b":
                    await self._say_at_once(min(3, turns - self._sent))
                case _:
                    await self._think_again(min(self._chance.choice((2, 3, 3)), turns - self._sent))

    async def probe(self) -> None:
        """Say one message, and wait for the answer."""
        await self._open()
        await self._say("plain")

    async def _open(self) -> None:
        made = await self.line.persist(lambda client: client.conversations.create())
        self.conversation = made.id
        self.users.conversations.append(made.id)
        self.users.history.opened(self.conversation, self.canary)

    # --- ways to talk ---

    async def _say(self, way: Way) -> None:
        key, text = self._next()
        if way == "plain":
            await self._say_plainly(key, text)
        elif way == "stream":
            await _Reading(self, key, text).to_the_end()
        elif (turn := await self._queue(key, text)) is not None:
            await self._poll(turn)

    async def _say_at_once(self, burst: int) -> None:
        """Queue several: each is accepted before the next is sent, so their order is known."""
        turns = [await self._queue(*self._next()) for _ in range(burst)]
        await self._poll_all(turns)

    async def _think_again(self, messages: int) -> None:
        """Ask for something that takes a while, and write again before it is answered."""
        turns = [await self._queue(*self._next("at length "))]
        strategy = self._chance.choice(SECOND_THOUGHTS)
        for _ in range(messages - 1):
            await anyio.sleep(self._chance.uniform(0.0, 0.5))  # so that it is found waiting, or in the middle
            if self._chance.random() < 0.3:
                strategy = self._chance.choice(SECOND_THOUGHTS)
            turns.append(await self._queue(*self._next(), strategy))
        if self._chance.random() < 0.2:
            await self._cancel(turns[-1])
        await self._poll_all(turns)

    def _next(self, how: str = "") -> tuple[str, str]:
        self._sent += 1
        return f"{self.canary}-{self._sent}", f"{self.canary} says {how}message {self._sent}"

    async def _say_plainly(self, key: str, text: str) -> None:
        try:
            response = await self.line.persist(lambda client: self.create(client, key, text))
        except openai.APIStatusError as error:
            # What has no answer is an error here: the turn is told, its end is read.
            turn = self._told_turn(error)
            self.users.history.accepted(key, turn)
            await self._poll(turn)
            return
        self.users.history.accepted(key, response.id)
        self.note_end(response)

    def _told_turn(self, error: openai.APIStatusError) -> str:
        turn = error.body.get("response_id") if isinstance(error.body, dict) else None
        if not isinstance(turn, str):
            raise error
        return turn

    async def _queue(self, key: str, text: str, when_busy: WhenBusy = "enqueue") -> str | None:
        """Send it; None when it was refused."""
        try:
            response = await self.line.persist(
                lambda client: self.create(client, key, text, when_busy, background=True)
            )
        except openai.ConflictError as error:
            if when_busy != "reject":
                raise
            self.users.history.refused(key, str(error.code))
            return None
        self.users.history.accepted(key, response.id)
        if self._chance.random() < 0.1:
            await self._read_back()
        return str(response.id)

    async def create(
        self, client: AsyncOpenAI, key: str, text: str, when_busy: WhenBusy = "enqueue", **how: Any
    ) -> Any:
        self.users.history.sent(self.conversation, key, text, when_busy=when_busy)
        wish = {"when_busy": when_busy, **({"debounce": DEBOUNCE} if when_busy == "debounce" else {})}
        return await client.responses.create(
            model=self.agent,
            input=text,
            conversation=self.conversation,
            extra_headers={"Idempotency-Key": key},
            extra_body={"turnlane": wish} if when_busy != "enqueue" else None,
            **how,
        )

    # --- reading ---

    async def _cancel(self, turn: str | None) -> None:
        if turn is None:
            return
        self.users.history.cancel_asked(turn)
        await self.line.persist(lambda client: client.responses.cancel(turn))

    async def _poll_all(self, turns: Sequence[str | None]) -> None:
        for turn in dict.fromkeys(turns):
            if turn is not None:
                await self._poll(turn)

    async def _poll(self, turn: str) -> None:
        while True:
            response = await self.line.persist(lambda client: self.look(client, turn))
            if response is not None and status_of(response) in ENDED:
                self.note_end(response)
                return
            await anyio.sleep(POLL_EVERY)
            if self._chance.random() < 0.2:  # what one front end was told, the other knows
                self.line.at = self._chance.randrange(len(self.users.clients))

    async def look(self, client: AsyncOpenAI, turn: str) -> Any:
        """The turn as it is now; None when it is not found."""
        asked = time.monotonic()
        try:
            response = await client.responses.retrieve(turn)
        except openai.NotFoundError:
            self.users.history.looked(turn, None, asked)
            return None
        self.users.history.looked(turn, status_of(response), asked)
        return response

    async def _read_back(self) -> None:
        """Read the conversation, at whichever front end."""
        self.line.at = self._chance.randrange(len(self.users.clients))

        async def read(client: AsyncOpenAI) -> None:
            asked = time.monotonic()
            self.users.history.read(self.conversation, await listing(client, self.conversation), asked)

        await self.line.persist(read)

    def note_end(self, response: Any) -> None:
        attempt = getattr(response, "attempt", None)
        self.users.history.answered(response.id, status_of(response), response.output_text, attempt)
        self.users.answered += 1


class _Reading:
    """One turn read as a stream, over as many connections as it takes."""

    def __init__(self, user: User, key: str, text: str) -> None:
        self._user = user
        self._key = key
        self._text = text
        self._turn: str | None = None
        self._last = -1
        self._at = user.line.at
        self._ended = False

    async def to_the_end(self) -> None:
        while True:
            await self._user.line.persist(self._connect)
            if self._ended:
                return
            await self._user.line.move_on()

    async def _connect(self, client: AsyncOpenAI) -> None:
        """Read until the end or the next break; come back with the last number seen, perhaps elsewhere."""
        if self._turn is None:
            stream = await self._user.create(client, self._key, self._text, stream=True)
        else:
            self._user.users.elsewhere += self._user.line.at != self._at
            after = {"starting_after": self._last} if self._last >= 0 else {}
            stream = await client.responses.retrieve(self._turn, stream=True, **after)
        self._at = self._user.line.at
        async with stream:
            async for event in stream:
                self._note(event)

    def _note(self, event: Any) -> None:
        history = self._user.users.history
        if event.type == "error":  # the store is away: the turn is well, the stream is not
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


def status_of(response: Any) -> str:
    """The turn's own status, which OpenAI has no word for where it is `interrupted` or `needs_attention`."""
    return str(response.turn_status)


def shown(event: Any) -> str:
    """What a reader sees of an event."""
    return f"{event.type} {getattr(event, 'delta', '')}".rstrip()


async def listing(client: AsyncOpenAI, conversation: str) -> list[tuple[str, str]]:
    """The messages of a conversation: role and text."""
    pages = client.conversations.items.list(conversation, order="asc", limit=100)
    items = [item async for item in pages if item.type == "message"]
    return [(str(item.role), "".join(getattr(part, "text", "") for part in item.content)) for item in items]
