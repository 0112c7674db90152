"""What clients and witnesses can write into a history, and the history itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from turnlane.runtime.conversation import WhenBusy

Items: TypeAlias = tuple[tuple[str, str], ...]
"""Messages of a conversation, (role, text) each, oldest first."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A conversation with its canary: a word (letters, digits, `_`, `-`) that each of its messages contains."""

    conversation: str
    canary: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A request went out, for the first time or again with the same key."""

    conversation: str
    key: str
    text: str
    at: float
    when_busy: WhenBusy = "enqueue"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A client was told the turn's id. Two messages with one turn: the later one joined it."""

    key: str
    turn: str
    at: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A client was told that the message was not accepted (a full lane, a conflict)."""

    key: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Answered:
    """A client saw how a turn ended."""

    turn: str
    status: str
    text: str
    attempt: int | None
    at: float


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """A client asked for a turn to be cancelled."""

    turn: str
    at: float


@dataclass(frozen=True, slots=True)
class Looked:
    """A client asked for a turn it knew of. `asked` is when, `status` what it read: None for not found."""

    turn: str
    status: str | None
    asked: float


@dataclass(frozen=True, slots=True)
class Ran:
    """A witness saw a run at work: a model call or a tool call.

    `said` are the user's messages in the prompt, oldest first; the last one tells the turn. `text` is all
    text of the prompt. `ended` None: the witness did not see the end, so it ended when its owner died.
    `answered` is False for a call that was refused or whose answer did not come whole. `owner` names the process
    that made it, where the witness knows. An `act` is a tool call, known by the turn's own message alone: its past
    is not judged. `once`: it must not happen a second time.
    """

    said: tuple[str, ...]
    text: str
    started: float
    ended: float | None
    what: Literal["first call", "later call", "act"] = "first call"
    answered: bool = True
    owner: str | None = None
    once: bool = False


@dataclass(frozen=True, slots=True)
class Died:
    """A process that ran turns was killed. `owner` None: every such process."""

    at: float
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Stalled:
    """An owner could not know for a while that it was replaced: it was frozen, or clocks jumped under all of them.

    What it began before counts until `started` only. Model calls that it begins before `ended` are a zombie's:
    nothing can fence them, so they are counted and not judged. Its tool calls are judged.
    """

    started: float
    ended: float
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Parted:
    """An owner could not reach the store for a while, and may have lost its turns. `owner` None: every one."""

    started: float
    ended: float
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Blinded:
    """The witness of model calls was cut off: what reached it late, or broke off meanwhile, has a wrong time."""

    started: float
    ended: float


@dataclass(frozen=True, slots=True)
class Streamed:
    """A reader saw an event of a turn's stream. `data` tells events with one number apart."""

    reader: str
    turn: str
    number: int
    data: str


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """A reader came to the end of a stream, over as many connections as it took."""

    reader: str
    turn: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """The whole stream of a turn that has ended, read from its beginning."""

    turn: str
    events: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Read:
    """A conversation as a client read it meanwhile; `asked` is when."""

    conversation: str
    items: Items
    asked: float


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation at the end."""

    conversation: str
    items: Items


Event: TypeAlias = (
    Opened
    | Sent
    | Accepted
    | Refused
    | Answered
    | CancelAsked
    | Looked
    | Ran
    | Died
    | Stalled
    | Parted
    | Blinded
    | Streamed
    | StreamEnded
    | Replayed
    | Read
    | Listed
)
_EVENTS: Final[Mapping[str, type[Event]]] = {event.__name__: event for event in get_args(Event)}


class History:
    """What clients and witnesses saw. Times default to now."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events: list[Event] = list(events)

    # --- what clients saw ---

    def opened(self, conversation: str, canary: str) -> None:
        self.events.append(Opened(conversation, canary))

    def sent(
        self, conversation: str, key: str, text: str, at: float | None = None, *, when_busy: WhenBusy = "enqueue"
    ) -> None:
        self.events.append(Sent(conversation, key, text, _now(at), when_busy))

    def accepted(self, key: str, turn: str, at: float | None = None) -> None:
        self.events.append(Accepted(key, turn, _now(at)))

    def refused(self, key: str, reason: str, at: float | None = None) -> None:
        self.events.append(Refused(key, reason, _now(at)))

    def answered(
        self, turn: str, status: str, text: str, attempt: int | None = None, at: float | None = None
    ) -> None:
        self.events.append(Answered(turn, status, text, attempt, _now(at)))

    def cancel_asked(self, turn: str, at: float | None = None) -> None:
        self.events.append(CancelAsked(turn, _now(at)))

    def looked(self, turn: str, status: str | None, asked: float) -> None:
        """A read of a turn that this or another client had been told of; `status` None: not found."""
        self.events.append(Looked(turn, status, asked))

    def read(self, conversation: str, items: Iterable[tuple[str, str]], asked: float) -> None:
        """A read of a conversation while it goes on."""
        self.events.append(Read(conversation, tuple(items), asked))

    def streamed(self, reader: str, turn: str, number: int, data: str) -> None:
        self.events.append(Streamed(reader, turn, number, data))

    def stream_ended(self, reader: str, turn: str) -> None:
        self.events.append(StreamEnded(reader, turn))

    def replayed(self, turn: str, events: Iterable[tuple[int, str]]) -> None:
        self.events.append(Replayed(turn, tuple(events)))

    def listed(self, conversation: str, items: Iterable[tuple[str, str]]) -> None:
        self.events.append(Listed(conversation, tuple(items)))

    # --- what witnesses saw ---

    def ran(
        self,
        said: Sequence[str],
        text: str,
        started: float,
        ended: float | None,
        *,
        first: bool = True,
        answered: bool = True,
        owner: str | None = None,
    ) -> None:
        """A model call; `first` is False for the later ones of an attempt."""
        what: Literal["first call", "later call"] = "first call" if first else "later call"
        self.events.append(Ran(tuple(said), text, started, ended, what, answered, owner))

    def acted(
        self, message: str, started: float, ended: float | None, *, owner: str | None = None, once: bool = False
    ) -> None:
        """A tool call, made for this message of the user; `once`: it must not happen a second time."""
        self.events.append(Ran((message,), message, started, ended, "act", ended is not None, owner, once))

    # --- what was done to the processes ---

    def died(self, at: float | None = None, *, owner: str | None = None) -> None:
        self.events.append(Died(_now(at), owner))

    def stalled(self, started: float, ended: float, *, owner: str | None = None) -> None:
        self.events.append(Stalled(started, ended, owner))

    def parted(self, started: float, ended: float, *, owner: str | None = None) -> None:
        self.events.append(Parted(started, ended, owner))

    def blinded(self, started: float, ended: float) -> None:
        self.events.append(Blinded(started, ended))

    # --- files ---

    def write(self, path: Path) -> None:
        """Keep it as JSON lines, to look at or to `check` again."""
        lines = (json.dumps({"event": type(e).__name__, **asdict(e)}) for e in self.events)
        path.write_text("\n".join(lines) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `write` kept."""
        return cls(_event(json.loads(line)) for line in path.read_text().splitlines())


def _now(at: float | None) -> float:
    return time.monotonic() if at is None else at


def _event(row: dict[str, Any]) -> Event:
    kind = _EVENTS[row.pop("event")]
    return kind(**{f.name: _frozen(row[f.name]) for f in fields(kind) if f.name in row})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
