"""Judges a conversation server by what its clients saw: nothing lost, doubled, overlapped, mixed or stale.

Clients and witnesses write a `History` while they work, whatever happens to the server meanwhile: kills,
restarts, retries. Afterwards `check` decides whether one history of committed turns explains it all::

    history = History()
    history.opened("conv_1", canary="amber-17")
    history.sent("conv_1", key="k1", text="amber-17 first question")
    history.accepted("k1", turn="resp_1")
    history.answered("resp_1", status="completed", text="an answer")
    ...
    report = check(history)
    assert report.ok, report

What it needs: every message has a text of its own, an idempotency key names one message, and the agent sends
its whole conversation to the model (no sliding window). All times are of one clock (`time.monotonic`, which
all processes of a Linux machine share). What was not written down is not judged: without witnesses there is
no verdict on overlap, without listings none on the end state.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias, get_args

Kind: TypeAlias = Literal["lost", "doubled", "overlapped", "reordered", "leaked", "stale", "diverged", "missed"]

KINDS: Final[Mapping[Kind, str]] = {
    "lost": "an accepted turn never ended, or is not in its conversation",
    "doubled": "a message became two turns, ended twice, or ran again after its answer was out",
    "overlapped": "two runs of one conversation at once",
    "reordered": "turns of a conversation ran, or stand, in another order than accepted",
    "leaked": "the canary of one conversation in a prompt, an answer or a listing of another",
    "stale": "a prompt without an earlier completed message of its user, or with one that did not complete",
    "diverged": "the conversation at the end is not the fold of its committed turns",
    "missed": "a stream reader that came back missed events, or saw a number with two meanings",
}
"""The rules, each with what breaks it."""

ENDED: Final = frozenset({"completed", "incomplete", "failed", "cancelled"})
KEPT: Final = frozenset({"completed", "incomplete"})
"""Turns that end so leave their mark on the conversation; all others leave it as it was."""

_WORDS: Final = re.compile(r"[\w-]+")


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


@dataclass(frozen=True, slots=True)
class Accepted:
    """A client was told the turn's id."""

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
class Ran:
    """A witness saw a run at work: a model call or a tool call.

    `said` are the user's messages in the prompt, oldest first; the last one tells the turn. `text` is all
    text of the prompt. `ended` None: the witness did not see the end, so it ended when its process died.
    An `act` is a tool call, known by the turn's own message alone: its past is not judged.
    """

    said: tuple[str, ...]
    text: str
    started: float
    ended: float | None
    what: Literal["first call", "later call", "act"] = "first call"


@dataclass(frozen=True, slots=True)
class Died:
    """The process that ran turns was killed."""

    at: float


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
class Listed:
    """A conversation at the end: (role, text) of its messages, oldest first."""

    conversation: str
    items: tuple[tuple[str, str], ...]


Event: TypeAlias = (
    Opened | Sent | Accepted | Refused | Answered | Ran | Died | Streamed | StreamEnded | Replayed | Listed
)
_SORTED: Final = (Opened, Sent, Accepted, Refused, Answered, Died, Ran, Streamed, StreamEnded, Replayed, Listed)
"""The order in which the book takes them: a run asks when its process died, an answer which turn it is."""
_EVENTS: Final[Mapping[str, type[Event]]] = {event.__name__: event for event in get_args(Event)}


class History:
    """What clients and witnesses saw. Times default to now."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events: list[Event] = list(events)

    def opened(self, conversation: str, canary: str) -> None:
        self.events.append(Opened(conversation, canary))

    def sent(self, conversation: str, key: str, text: str, at: float | None = None) -> None:
        self.events.append(Sent(conversation, key, text, _now(at)))

    def accepted(self, key: str, turn: str, at: float | None = None) -> None:
        self.events.append(Accepted(key, turn, _now(at)))

    def refused(self, key: str, reason: str, at: float | None = None) -> None:
        self.events.append(Refused(key, reason, _now(at)))

    def answered(
        self, turn: str, status: str, text: str, attempt: int | None = None, at: float | None = None
    ) -> None:
        self.events.append(Answered(turn, status, text, attempt, _now(at)))

    def ran(
        self, said: Sequence[str], text: str, started: float, ended: float | None, *, first: bool = True
    ) -> None:
        """A model call; `first` is False for the later ones of an attempt."""
        self.events.append(Ran(tuple(said), text, started, ended, "first call" if first else "later call"))

    def acted(self, message: str, started: float, ended: float | None) -> None:
        """A tool call, made for this message of the user."""
        self.events.append(Ran((message,), message, started, ended, "act"))

    def died(self, at: float | None = None) -> None:
        self.events.append(Died(_now(at)))

    def streamed(self, reader: str, turn: str, number: int, data: str) -> None:
        self.events.append(Streamed(reader, turn, number, data))

    def stream_ended(self, reader: str, turn: str) -> None:
        self.events.append(StreamEnded(reader, turn))

    def replayed(self, turn: str, events: Iterable[tuple[int, str]]) -> None:
        self.events.append(Replayed(turn, tuple(events)))

    def listed(self, conversation: str, items: Iterable[tuple[str, str]]) -> None:
        self.events.append(Listed(conversation, tuple(items)))

    def write(self, path: Path) -> None:
        """Keep it as JSON lines, to look at or to `check` again."""
        lines = (json.dumps({"event": type(e).__name__, **asdict(e)}) for e in self.events)
        path.write_text("\n".join(lines) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` kept."""
        return cls(_event(json.loads(line)) for line in path.read_text().splitlines())


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. `evidence` names keys, turns and times, enough to find it in the history."""

    kind: Kind
    conversation: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.conversation}: {self.evidence}"


@dataclass(frozen=True)
class Report:
    """The verdict. `figures` says how much was judged: a history of nothing has no violations either."""

    violations: tuple[Violation, ...]
    figures: Mapping[str, int]

    @property
    def ok(self) -> bool:
        return not self.violations

    @property
    def counts(self) -> dict[Kind, int]:
        """Violations of each kind; 0 where there are none."""
        found = Counter(violation.kind for violation in self.violations)
        return {kind: found[kind] for kind in KINDS}

    def __str__(self) -> str:
        verdict = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        judged = ", ".join(f"{name} {count}" for name, count in self.figures.items())
        shown = [f"  {violation}" for violation in self.violations[:20]]
        more = len(self.violations) - len(shown)
        return "\n".join([verdict, f"judged: {judged}", *shown, *([f"  and {more} more"] if more > 0 else [])])


def check(history: History) -> Report:
    """Decide which rules the history breaks.

    Raises:
        ValueError: the history itself is not usable: two messages with one text or one key.
    """
    book = _Book(history)
    rules = (_lost, _doubled, _overlapped, _reordered, _leaked, _stale, _diverged, _missed)
    violations = tuple(violation for rule in rules for violation in rule(book))
    return Report(violations, book.figures())


@dataclass
class _Message:
    """Everything known about one message and the turn that it became."""

    conversation: str
    key: str
    text: str
    sent_at: float
    accepted_at: float | None = None
    turns: list[str] = field(default_factory=list)
    refused: bool = False
    answers: list[Answered] = field(default_factory=list)
    runs: list[Ran] = field(default_factory=list)

    @property
    def known(self) -> bool:
        """Whether a client was told that it is a turn."""
        return bool(self.turns)

    @property
    def status(self) -> str | None:
        return self.answers[0].status if self.answers else None

    @property
    def name(self) -> str:
        return f"{self.key} ({', '.join(self.turns) or 'no turn'})"


class _Book:
    """The history, sorted by message, turn and conversation."""

    def __init__(self, history: History) -> None:
        self.messages: dict[str, _Message] = {}
        self.by_text: dict[str, _Message] = {}
        self.by_turn: dict[str, list[_Message]] = defaultdict(list)
        self.canaries: dict[str, str] = {}
        self.runs: list[Ran] = []
        self.deaths: list[float] = []
        self.listings: dict[str, tuple[tuple[str, str], ...]] = {}
        self.readers: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self.finished_readers: set[tuple[str, str]] = set()
        self.replays: dict[str, tuple[tuple[int, str], ...]] = {}
        for kind in _SORTED:
            for event in history.events:
                if type(event) is kind:
                    self._note(event)

    @cached_property
    def conversations(self) -> dict[str, list[_Message]]:
        found: dict[str, list[_Message]] = defaultdict(list)
        for message in self.messages.values():
            found[message.conversation].append(message)
        return found

    @cached_property
    def lanes(self) -> dict[str, list[_Message]]:
        """The turns of each conversation in the order in which they stand or, unlisted, ran."""
        return {conversation: self._lane(conversation) for conversation in self.conversations}

    def runs_of(self, conversation: str) -> list[tuple[Ran, _Message]]:
        """The runs of a conversation's messages, in the order in which they began."""
        runs = ((run, message) for message in self.conversations[conversation] for run in message.runs)
        return sorted(runs, key=lambda pair: pair[0].started)

    def owner(self, run: Ran) -> _Message | None:
        """The message that a run works on."""
        return self.by_text.get(run.said[-1]) if run.said else None

    def figures(self) -> dict[str, int]:
        attempts, ran = self._done("first call")
        acts, acted = self._done("act")
        return {
            "conversations": len(self.conversations),
            "messages": len(self.messages),
            "accepted": sum(message.known for message in self.messages.values()),
            "completed": sum(message.status in KEPT for message in self.messages.values()),
            "failed": sum(message.status in ENDED - KEPT for message in self.messages.values()),
            "runs": len(self.runs),
            "attempts": attempts,
            "re-runs": attempts - ran,
            "acts": acts,
            "acts again": acts - acted,
            "deaths": len(self.deaths),
            "streams": len(self.finished_readers),
            "listings": len(self.listings),
        }

    def _done(self, what: str) -> tuple[int, int]:
        """How often it was done, and for how many messages."""
        done = [run.said[-1] for run in self.runs if run.what == what and run.said]
        return len(done), len(set(done))

    def _lane(self, conversation: str) -> list[_Message]:
        messages = self.conversations[conversation]
        if conversation in self.listings:
            listed = [self.by_text.get(text) for role, text in self.listings[conversation] if role == "user"]
            return list({m.key: m for m in listed if m is not None}.values())
        return sorted((m for m in messages if m.runs), key=lambda m: m.runs[0].started)

    def _note(self, event: Event) -> None:
        match event:
            case Opened():
                self.canaries[event.canary] = event.conversation
            case Sent():
                self._note_sent(event)
            case Accepted():
                self._note_accepted(event)
            case Refused():
                self.messages[event.key].refused = True
            case Answered():
                for message in self.by_turn.get(event.turn, ()):
                    message.answers.append(event)
            case Ran():
                self._note_run(event)
            case Died():
                self.deaths.append(event.at)
            case Streamed():
                self.readers[event.reader, event.turn].append((event.number, event.data))
            case StreamEnded():
                self.finished_readers.add((event.reader, event.turn))
            case Replayed():
                self.replays[event.turn] = event.events
            case Listed():
                self.listings[event.conversation] = event.items

    def _note_sent(self, event: Sent) -> None:
        message = self.messages.get(event.key)
        if message is None:
            if event.text in self.by_text:
                raise ValueError(f"keys {self.by_text[event.text].key} and {event.key} sent the same text")
            message = _Message(event.conversation, event.key, event.text, event.at)
            self.messages[event.key] = self.by_text[event.text] = message
        elif message.text != event.text or message.conversation != event.conversation:
            raise ValueError(f"key {event.key} was sent with two texts or to two conversations")
        message.sent_at = min(message.sent_at, event.at)

    def _note_accepted(self, event: Accepted) -> None:
        message = self.messages[event.key]
        if event.turn not in message.turns:
            message.turns.append(event.turn)
            self.by_turn[event.turn].append(message)
        if message.accepted_at is None or event.at < message.accepted_at:
            message.accepted_at = event.at

    def _note_run(self, run: Ran) -> None:
        if run.ended is None:
            run = replace(run, ended=self._died_after(run.started))
        self.runs.append(run)
        if (message := self.owner(run)) is not None:
            message.runs.append(run)
            message.runs.sort(key=lambda r: r.started)

    def _died_after(self, started: float) -> float | None:
        return min((at for at in self.deaths if at >= started), default=None)


# --- the rules ---


def _lost(book: _Book) -> Iterator[Violation]:
    for message in book.messages.values():
        if not message.known:
            continue
        if message.status not in ENDED:
            seen = f"last seen {message.status}" if message.status else "never seen to end"
            yield Violation("lost", message.conversation, f"{message.name} was accepted and {seen}")
        elif message.status in KEPT and not _stands(book, message):
            yield Violation("lost", message.conversation, f"{message.name} completed and is not listed")
    for turn, messages in book.by_turn.items():
        if len(messages) > 1:
            keys = ", ".join(message.key for message in messages)
            yield Violation("lost", messages[0].conversation, f"messages {keys} share the turn {turn}")


def _stands(book: _Book, message: _Message) -> bool:
    listing = book.listings.get(message.conversation)
    return listing is None or any(text == message.text for _, text in listing)


def _doubled(book: _Book) -> Iterator[Violation]:
    for message in book.messages.values():
        for evidence in _signs_of_doubling(book, message):
            yield Violation("doubled", message.conversation, f"{message.name} {evidence}")


def _signs_of_doubling(book: _Book, message: _Message) -> Iterator[str]:
    if len(message.turns) > 1:
        yield "is more than one turn"
    ends = {(answer.status, answer.text) for answer in message.answers if answer.status in ENDED}
    if len(ends) > 1:
        yield f"ended in {len(ends)} ways: {sorted(ends)}"
    listing = book.listings.get(message.conversation, ())
    if (times := sum(text == message.text for role, text in listing if role == "user")) > 1:
        yield f"is listed {times} times"
    out = min((answer.at for answer in message.answers if answer.status in ENDED), default=None)
    for run in message.runs:
        if run.said.count(message.text) > 1:
            yield f"is in its prompt {run.said.count(message.text)} times, at {run.started:.3f}"
        if out is not None and run.started > out:
            yield f"ran at {run.started:.3f}, after its answer was out at {out:.3f}"


def _overlapped(book: _Book) -> Iterator[Violation]:
    for conversation in book.conversations:
        runs = book.runs_of(conversation)
        # Model calls and tool calls have witnesses of their own, and one may note an end a moment after the
        # other has seen what follows: each is judged by itself.
        calls = [(run, message) for run, message in runs if run.what != "act"]
        acts = [(run, message) for run, message in runs if run.what == "act"]
        for evidence in (*_at_once(calls), *_at_once(acts)):
            yield Violation("overlapped", conversation, evidence)


def _at_once(runs: Sequence[tuple[Ran, _Message]]) -> Iterator[str]:
    furthest: tuple[float, _Message] | None = None
    for run, message in runs:
        if furthest is not None and run.started < furthest[0]:
            yield f"{message.name} ran from {run.started:.3f}, {furthest[1].name} until {furthest[0]:.3f}"
        end = math.inf if run.ended is None else run.ended
        if furthest is None or end > furthest[0]:
            furthest = (end, message)


def _reordered(book: _Book) -> Iterator[Violation]:
    for conversation, lane in book.lanes.items():
        places = {message.key: place for place, message in enumerate(lane)}
        for evidence in (*_out_of_accepted_order(lane), *_out_of_lane_order(book, conversation, places)):
            yield Violation("reordered", conversation, evidence)


def _out_of_accepted_order(lane: Sequence[_Message]) -> Iterator[str]:
    """A message that was sent after another was accepted must stand behind it."""
    latest: _Message | None = None
    for message in lane:
        if latest is not None and message.accepted_at is not None and message.accepted_at < latest.sent_at:
            yield f"{latest.name} was sent after {message.name} was accepted, and stands before it"
        if latest is None or message.sent_at > latest.sent_at:
            latest = message


def _out_of_lane_order(book: _Book, conversation: str, places: Mapping[str, int]) -> Iterator[str]:
    furthest = -1
    for run, message in book.runs_of(conversation):
        place = places.get(message.key, furthest)
        if place < furthest:
            yield f"{message.name} ran at {run.started:.3f}, after a turn that stands behind it"
        furthest = max(furthest, place)
        said = [places[m.key] for text in run.said if (m := book.by_text.get(text)) and m.key in places]
        if said != sorted(said):
            yield f"the prompt of {message.name} at {run.started:.3f} has its messages in another order"


def _leaked(book: _Book) -> Iterator[Violation]:
    for where, conversation, text in _texts(book):
        foreign = {
            word
            for word in _WORDS.findall(text)
            if (owner := book.canaries.get(word)) is not None and owner != conversation
        }
        for word in sorted(foreign):
            yield Violation("leaked", conversation, f"{where} has {word}, which belongs to {book.canaries[word]}")


def _texts(book: _Book) -> Iterator[tuple[str, str, str]]:
    """Every text that belongs to one conversation: where it was seen, whose it is, the text."""
    for message in book.messages.values():
        for run in message.runs:
            yield f"the prompt of {message.name} at {run.started:.3f}", message.conversation, run.text
        for answer in message.answers:
            yield f"the answer of {message.name}", message.conversation, answer.text
    for conversation, items in book.listings.items():
        yield "the listing", conversation, "\n".join(text for _, text in items)
    for (reader, turn), events in book.readers.items():
        for message in book.by_turn.get(turn, ()):
            text = "\n".join(data for _, data in events)
            yield f"the stream of {message.name} to {reader}", message.conversation, text


def _stale(book: _Book) -> Iterator[Violation]:
    for conversation, lane in book.lanes.items():
        kept: set[str] = set()
        gone: set[str] = set()
        for message in lane:
            for run in message.runs:
                if run.what == "act":
                    continue
                yield from _wrong_past(book, conversation, message, run, kept, gone)
            if message.status in KEPT:
                kept.add(message.text)
            elif message.status in ENDED:
                gone.add(message.text)


def _wrong_past(
    book: _Book, conversation: str, message: _Message, run: Ran, kept: set[str], gone: set[str]
) -> Iterator[Violation]:
    past = set(run.said[:-1])
    for text in sorted(kept - past):
        missing = book.by_text[text].name
        yield Violation(
            "stale", conversation, f"the prompt of {message.name} at {run.started:.3f} lacks {missing}"
        )
    for text in sorted(gone & past):
        ghost = book.by_text[text]
        evidence = f"the prompt of {message.name} at {run.started:.3f} has {ghost.name}, which {ghost.status}"
        yield Violation("stale", conversation, evidence)


def _diverged(book: _Book) -> Iterator[Violation]:
    for run in book.runs:
        unknown = [text for text in run.said if text not in book.by_text]
        if unknown or not run.said:
            evidence = f"a prompt at {run.started:.3f} has a message that nobody sent: {unknown[:1]}"
            yield Violation("diverged", "?", evidence)
    for conversation, items in book.listings.items():
        for evidence in _off_the_fold(book, conversation, items):
            yield Violation("diverged", conversation, evidence)


def _off_the_fold(book: _Book, conversation: str, items: Sequence[tuple[str, str]]) -> Iterator[str]:
    for text, answer in _exchanges(items):
        message = book.by_text.get(text)
        if message is None or message.conversation != conversation:
            yield f"a message is listed that nobody sent to it: {text!r}"
        elif message.refused and not message.known:
            yield f"{message.name} was refused and is listed"
        elif message.status in KEPT and answer != message.answers[0].text:
            yield f"{message.name} is listed with {answer!r}, its client was told {message.answers[0].text!r}"


def _exchanges(items: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each user's message with all that was answered to it."""
    text: str | None = None
    answer: list[str] = []
    for role, said in items:
        if role != "user":
            answer.append(said)
            continue
        if text is not None:
            yield text, "".join(answer)
        text, answer = said, []
    if text is not None:
        yield text, "".join(answer)


def _missed(book: _Book) -> Iterator[Violation]:
    for (reader, turn), events in book.readers.items():
        messages = book.by_turn.get(turn, ())
        conversation = messages[0].conversation if messages else "?"
        for evidence in _gaps(events, book.replays.get(turn), ended=(reader, turn) in book.finished_readers):
            yield Violation("missed", conversation, f"reader {reader} of {turn} {evidence}")


def _gaps(
    events: Sequence[tuple[int, str]], replay: Sequence[tuple[int, str]] | None, *, ended: bool
) -> Iterator[str]:
    numbers = [number for number, _ in events]
    for before, after in pairwise(numbers):
        if after <= before:
            yield f"saw number {after} after {before}"
    if replay is None:
        return
    seen, whole = dict(events), dict(replay)
    for number in sorted(seen.keys() & whole.keys()):
        if seen[number] != whole[number]:
            yield f"saw {seen[number]!r} as number {number}, which is {whole[number]!r}"
    if whole and (beyond := sorted(n for n in seen.keys() - whole.keys() if n > min(whole))):
        yield f"saw numbers {beyond[:10]}, which the stream does not have"
    if ended and (gap := sorted(whole.keys() - seen.keys())):
        yield f"came to the end without numbers {gap[:10]}"


def _now(at: float | None) -> float:
    return time.monotonic() if at is None else at


def _event(row: dict[str, Any]) -> Event:
    kind = _EVENTS[row.pop("event")]
    return kind(**{f.name: _frozen(row[f.name]) for f in fields(kind)})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
