"""A history, sorted by message, turn and conversation, so that rules can ask it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from turnlane.runtime.conversation import WhenBusy
from turnlane.testing.history.events import (
    Accepted,
    Answered,
    Blinded,
    CancelAsked,
    Died,
    Event,
    History,
    Items,
    Listed,
    Looked,
    Opened,
    Parted,
    Ran,
    Read,
    Refused,
    Replayed,
    Sent,
    Stalled,
    Streamed,
    StreamEnded,
)

ENDED: Final = frozenset({"completed", "incomplete", "failed", "cancelled", "interrupted", "needs_attention"})

KEPT: Final = frozenset({"completed", "incomplete", "interrupted"})
"""Turns that end so leave their mark on the conversation: later prompts have their messages. All others leave it
as it was."""

JOINING: Final = frozenset({"merge", "debounce"})
"""What a message may ask for that shares the turn of an earlier one."""

_SORTED: Final = (
    Opened,
    Sent,
    Accepted,
    Refused,
    Answered,
    CancelAsked,
    Looked,
    Died,
    Stalled,
    Parted,
    Blinded,
    Ran,
    Streamed,
    StreamEnded,
    Replayed,
    Read,
    Listed,
)
"""The order in which the book takes them: a run asks when its process died, an answer which turn it is."""


@dataclass
class Message:
    """Everything known about one message and the turn that it became."""

    conversation: str
    key: str
    text: str
    sent_at: float
    when_busy: WhenBusy = "enqueue"
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
    def turn(self) -> str:
        """The turn that it became; call it on a message that is known."""
        return self.turns[0]

    @property
    def status(self) -> str | None:
        return self.answers[0].status if self.answers else None

    @property
    def out_at(self) -> float | None:
        """When a client first saw that it had ended."""
        return min((answer.at for answer in self.answers if answer.status in ENDED), default=None)

    @property
    def name(self) -> str:
        return f"{self.key} ({', '.join(self.turns) or 'no turn'})"


class Book:
    """The history, sorted.

    Raises:
        ValueError: two messages have one text or one key.
    """

    def __init__(self, history: History) -> None:
        self.messages: dict[str, Message] = {}
        self.by_text: dict[str, Message] = {}
        self.by_turn: dict[str, list[Message]] = defaultdict(list)
        self.canaries: dict[str, str] = {}
        self.runs: list[Ran] = []
        self.deaths: list[Died] = []
        self.stalls: list[Stalled] = []
        self.parted: list[Parted] = []
        self.cancels: dict[str, float] = {}
        self.looks: list[Looked] = []
        self.reads: list[Read] = []
        self.listings: dict[str, Items] = {}
        self.readers: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self.finished_readers: set[tuple[str, str]] = set()
        self.replays: dict[str, tuple[tuple[int, str], ...]] = {}
        self.blind: list[Blinded] = []
        for kind in _SORTED:
            for event in history.events:
                if type(event) is kind:
                    self._note(event)
        self.deaths.sort(key=lambda death: death.at)

    @cached_property
    def conversations(self) -> dict[str, list[Message]]:
        found: dict[str, list[Message]] = defaultdict(list)
        for message in self.messages.values():
            found[message.conversation].append(message)
        return found

    @cached_property
    def lanes(self) -> dict[str, list[Message]]:
        """The messages of each conversation in the order in which they stand or, unlisted, ran."""
        return {conversation: self._lane(conversation) for conversation in self.conversations}

    def runs_of(self, conversation: str) -> list[tuple[Ran, Message]]:
        """The runs of a conversation's messages, in the order in which they began."""
        runs = ((run, message) for message in self.conversations[conversation] for run in message.runs)
        return sorted(runs, key=lambda pair: pair[0].started)

    def runs_of_turn(self, turn: str) -> list[Ran]:
        """The model calls of all messages that the turn is made of, in the order in which they began."""
        runs = (run for message in self.by_turn[turn] for run in message.runs if run.what != "act")
        return sorted(runs, key=lambda run: run.started)

    def owner(self, run: Ran) -> Message | None:
        """The message that a run works on."""
        return self.by_text.get(run.said[-1]) if run.said else None

    def befell(self, start: float, end: float) -> bool:
        """Whether any owner died, stalled or was parted from the store between two times."""
        died = any(start <= death.at <= end for death in self.deaths)
        away: list[Stalled | Parted] = [*self.stalls, *self.parted]
        return died or any(span.started <= end and span.ended >= start for span in away)

    def figures(self) -> dict[str, int]:
        """How much there was to judge."""
        attempts, ran = self._done("first call")
        acts, acted = self._done("act")
        ends = Counter(message.status for message in self.messages.values())
        return {
            "conversations": len(self.conversations),
            "messages": len(self.messages),
            "accepted": sum(message.known for message in self.messages.values()),
            "turns": len(self.by_turn),
            "completed": ends["completed"] + ends["incomplete"],
            "failed": ends["failed"],
            "cancelled": ends["cancelled"],
            "interrupted": ends["interrupted"],
            "needs attention": ends["needs_attention"],
            "joined": sum(len(messages) - 1 for messages in self.by_turn.values()),
            "runs": len(self.runs),
            "attempts": attempts,
            "re-runs": attempts - ran,
            **self._paid(),
            "acts": acts,
            "acts again": acts - acted,
            "zombie calls": sum(self.is_zombie(run) for run in self.runs),
            "deaths": len(self.deaths),
            "stalls": len(self.stalls),
            "streams": len(self.finished_readers),
            "looks": len(self.looks) + len(self.reads),
            "listings": len(self.listings),
        }

    def _done(self, what: str) -> tuple[int, int]:
        """How often it was done, and for how many messages."""
        done = [run.said[-1] for run in self.runs if run.what == what and run.said]
        return len(done), len(set(done))

    def _paid(self) -> dict[str, int]:
        """Model calls with a whole answer, and how many of them asked what had been answered before."""
        calls = Counter((run.said, run.text) for run in self.runs if run.what != "act" and run.answered)
        return {"calls answered": calls.total(), "calls answered again": calls.total() - len(calls)}

    def _lane(self, conversation: str) -> list[Message]:
        messages = self.conversations[conversation]
        if conversation in self.listings:
            listed = [self.by_text.get(text) for role, text in self.listings[conversation] if role == "user"]
            return list({m.key: m for m in listed if m is not None}.values())
        return sorted((m for m in messages if m.runs), key=lambda m: m.runs[0].started)

    # --- taking events in ---

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
            case CancelAsked():
                self.cancels.setdefault(event.turn, event.at)
            case Died():
                self.deaths.append(event)
            case Stalled():
                self.stalls.append(event)
            case Parted():
                self.parted.append(event)
            case Blinded():
                self.blind.append(event)
            case Ran():
                self._note_run(event)
            case _:
                self._note_reading(event)

    def _note_reading(self, event: Event) -> None:
        match event:
            case Looked():
                self.looks.append(event)
            case Read():
                self.reads.append(event)
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
            message = Message(event.conversation, event.key, event.text, event.at, event.when_busy)
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
        self.runs.append(run)
        if (message := self.owner(run)) is None:
            return
        message.runs.append(run)
        message.runs.sort(key=lambda r: r.started)

    # --- how long a run counts ---

    def judged(self, runs: Sequence[tuple[Ran, Message]]) -> Iterator[tuple[Ran, Message]]:
        """The runs with the time at which they no longer counted, without those that nobody can judge."""
        for run, message in runs:
            if not self.is_out_of_time(run):
                yield replace(run, ended=self._counts_until(run)), message

    def is_out_of_time(self, run: Ran) -> bool:
        """Whether it is a zombie's, or was held up on its way to the witness until its caller had gone."""
        held_up = not run.answered and any(blind.started <= run.started <= blind.ended for blind in self.blind)
        return self.is_zombie(run) or (run.what != "act" and held_up)

    def is_zombie(self, run: Ran) -> bool:
        """Whether it is a model call that its owner began when it could not know that it was replaced."""
        return run.what != "act" and any(
            stall.started <= run.started <= stall.ended for stall in self._stalls_of(run)
        )

    def _counts_until(self, run: Ran) -> float | None:
        """The first of: its end, its owner's death or stall, the moment in which the witness lost sight of it."""
        ends = [] if run.ended is None else [run.ended]
        ends += [death.at for death in self.deaths if death.at >= run.started and _may_be_of(death, run)]
        ends += [stall.started for stall in self._stalls_of(run) if stall.started >= run.started]
        if not run.answered and run.ended is not None:
            ends += [
                max(run.started, blind.started)
                for blind in self.blind
                if blind.started <= run.ended and run.started <= blind.ended
            ]
        return min(ends, default=None)

    def _stalls_of(self, run: Ran) -> Iterator[Stalled]:
        return (stall for stall in self.stalls if stall.owner is None or stall.owner == run.owner)


def _may_be_of(death: Died, run: Ran) -> bool:
    return death.owner is None or run.owner is None or death.owner == run.owner
