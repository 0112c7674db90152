"""The rules: each takes the book and tells what breaks it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, TypeAlias, get_args

from turnlane.testing.history.book import ENDED, JOINING, KEPT, Book, Message
from turnlane.testing.history.events import Items, Ran

Kind: TypeAlias = Literal[
    "lost",
    "doubled",
    "overlapped",
    "reordered",
    "leaked",
    "stale",
    "diverged",
    "missed",
    "unseen",
    "unasked",
    "repeated",
]

NOTICED: Final = 0.25
"""Seconds after which a witness has noticed that the caller of a broken-off call went away."""

_WORDS: Final = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. `evidence` names keys, turns and times, enough to find it in the history."""

    kind: Kind
    conversation: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.conversation}: {self.evidence}"


def judge(book: Book) -> tuple[Violation, ...]:
    """All violations, in the order of the kinds."""
    return tuple(violation for kind in get_args(Kind) for violation in _RULES[kind](book))


# --- lost, doubled ---


def _lost(book: Book) -> Iterator[Violation]:
    for message in book.messages.values():
        if not message.known:
            continue
        if message.status not in ENDED:
            seen = f"last seen {message.status}" if message.status else "never seen to end"
            yield Violation("lost", message.conversation, f"{message.name} was accepted and {seen}")
        elif not _stands(book, message):
            yield Violation(
                "lost", message.conversation, f"{message.name} ended {message.status} and is not listed"
            )
    for turn, messages in book.by_turn.items():
        for evidence in _lost_in_a_joined_turn(book, turn, messages):
            yield Violation("lost", messages[0].conversation, evidence)


def _stands(book: Book, message: Message) -> bool:
    listing = book.listings.get(message.conversation)
    return listing is None or any(text == message.text for _, text in listing)


def _lost_in_a_joined_turn(book: Book, turn: str, messages: Sequence[Message]) -> Iterator[str]:
    """Messages share a turn only when they asked to join, and then its agent reads all of them."""
    strangers = [message for message in messages if message.when_busy not in JOINING]
    if len(strangers) > 1 or len({message.conversation for message in messages}) > 1:
        yield f"messages {', '.join(message.key for message in messages)} share the turn {turn}"
    runs = book.runs_of_turn(turn)
    if len(messages) == 1 or not runs or messages[0].status not in ("completed", "incomplete"):
        return
    for message in messages:
        if message.text not in runs[-1].said:
            yield f"{message.name} joined a turn whose prompt at {runs[-1].started:.3f} does not have it"


def _doubled(book: Book) -> Iterator[Violation]:
    for message in book.messages.values():
        for evidence in _signs_of_doubling(book, message):
            yield Violation("doubled", message.conversation, f"{message.name} {evidence}")


def _signs_of_doubling(book: Book, message: Message) -> Iterator[str]:
    if len(message.turns) > 1:
        yield "is more than one turn"
    ends = {(answer.status, answer.text) for answer in message.answers if answer.status in ENDED}
    if len(ends) > 1:
        yield f"ended in {len(ends)} ways: {sorted(ends)}"
    listing = book.listings.get(message.conversation, ())
    if (times := sum(text == message.text for role, text in listing if role == "user")) > 1:
        yield f"is listed {times} times"
    for run in message.runs:
        if run.said.count(message.text) > 1:
            yield f"is in its prompt {run.said.count(message.text)} times, at {run.started:.3f}"
        if message.out_at is not None and run.started > message.out_at and not book.is_out_of_time(run):
            yield f"ran at {run.started:.3f}, after its answer was out at {message.out_at:.3f}"


# --- overlapped, reordered ---


def _overlapped(book: Book) -> Iterator[Violation]:
    for conversation in book.conversations:
        runs = list(book.judged(book.runs_of(conversation)))
        # Model calls and tool calls have witnesses of their own, and one may note an end a moment after the
        # other has seen what follows: each is judged by itself.
        calls = [(run, message) for run, message in runs if run.what != "act"]
        acts = [(run, message) for run, message in runs if run.what == "act"]
        for evidence in (*_at_once(calls), *_at_once(acts)):
            yield Violation("overlapped", conversation, evidence)


def _at_once(runs: Sequence[tuple[Ran, Message]]) -> Iterator[str]:
    furthest: tuple[float, Ran, Message] | None = None
    for run, message in runs:
        if furthest is not None and run.started < furthest[0] and not _one_attempt(run, furthest[1]):
            yield f"{message.name} ran from {run.started:.3f}, {furthest[2].name} until {furthest[0]:.3f}"
        end = _known_end(run, message)
        if furthest is None or end > furthest[0]:
            furthest = (end, run, message)


def _one_attempt(one: Ran, other: Ran) -> bool:
    """Whether one owner made both calls for one message: a call that it gave up, and the next."""
    return one.owner is not None and one.owner == other.owner and one.said == other.said and one.what != "act"


def _known_end(run: Ran, message: Message) -> float:
    if run.ended is None:
        return math.inf
    stopped = message.status in ("interrupted", "cancelled")
    return max(run.started, run.ended - NOTICED) if stopped or not run.answered else run.ended


def _reordered(book: Book) -> Iterator[Violation]:
    for conversation, lane in book.lanes.items():
        places = {message.key: place for place, message in enumerate(lane)}
        for evidence in (*_out_of_accepted_order(lane), *_out_of_lane_order(book, conversation, places)):
            yield Violation("reordered", conversation, evidence)


def _out_of_accepted_order(lane: Sequence[Message]) -> Iterator[str]:
    """A message that was sent after another was accepted must stand behind it."""
    latest: Message | None = None
    for message in lane:
        if latest is not None and message.accepted_at is not None and message.accepted_at < latest.sent_at:
            yield f"{latest.name} was sent after {message.name} was accepted, and stands before it"
        if latest is None or message.sent_at > latest.sent_at:
            latest = message


def _out_of_lane_order(book: Book, conversation: str, places: Mapping[str, int]) -> Iterator[str]:
    furthest = -1
    for run, message in book.judged(book.runs_of(conversation)):
        place = places.get(message.key, furthest)
        if place < furthest:
            yield f"{message.name} ran at {run.started:.3f}, after a turn that stands behind it"
        furthest = max(furthest, place)
        said = [places[m.key] for text in run.said if (m := book.by_text.get(text)) and m.key in places]
        if said != sorted(said):
            yield f"the prompt of {message.name} at {run.started:.3f} has its messages in another order"


# --- leaked ---


def _leaked(book: Book) -> Iterator[Violation]:
    for where, conversation, text in _texts(book):
        foreign = {
            word
            for word in _WORDS.findall(text)
            if (owner := book.canaries.get(word)) is not None and owner != conversation
        }
        for word in sorted(foreign):
            yield Violation("leaked", conversation, f"{where} has {word}, which belongs to {book.canaries[word]}")


def _texts(book: Book) -> Iterator[tuple[str, str, str]]:
    """Every text that belongs to one conversation: where it was seen, whose it is, the text."""
    for message in book.messages.values():
        for run in message.runs:
            yield f"the prompt of {message.name} at {run.started:.3f}", message.conversation, run.text
        for answer in message.answers:
            yield f"the answer of {message.name}", message.conversation, answer.text
    for conversation, items in book.listings.items():
        yield "the listing", conversation, _joined(items)
    for read in book.reads:
        yield f"the listing read at {read.asked:.3f}", read.conversation, _joined(read.items)
    for (reader, turn), events in book.readers.items():
        for message in book.by_turn.get(turn, ()):
            text = "\n".join(data for _, data in events)
            yield f"the stream of {message.name} to {reader}", message.conversation, text


def _joined(items: Items) -> str:
    return "\n".join(text for _, text in items)


# --- stale ---


def _stale(book: Book) -> Iterator[Violation]:
    for conversation, lane in book.lanes.items():
        kept: dict[str, Message] = {}
        gone: dict[str, Message] = {}
        for message in lane:
            for run in message.runs:
                if run.what == "act":
                    continue
                for evidence in _wrong_past(message, run, kept, gone):
                    where = f"the prompt of {message.name} at {run.started:.3f}"
                    yield Violation("stale", conversation, f"{where} {evidence}")
            if message.status in KEPT:
                kept[message.text] = message
            elif message.status in ENDED:
                gone[message.text] = message


def _wrong_past(
    message: Message, run: Ran, kept: Mapping[str, Message], gone: Mapping[str, Message]
) -> Iterator[str]:
    past = set(run.said[:-1])
    for text, earlier in kept.items():
        if earlier.turns == message.turns:
            continue  # they are one turn: what it must read is told by what is lost
        if text not in past:
            yield f"lacks {earlier.name}, which ended {earlier.status}"
        elif earlier.status == "interrupted" and earlier.answers[0].text not in run.text:
            yield f"lacks what {earlier.name} had answered when it was interrupted"
    for text, earlier in gone.items():
        if text in past and earlier.turns != message.turns:
            yield f"has {earlier.name}, which ended {earlier.status}"


# --- diverged ---


def _diverged(book: Book) -> Iterator[Violation]:
    for run in book.runs:
        unknown = [text for text in run.said if text not in book.by_text]
        if unknown or not run.said:
            evidence = f"a prompt at {run.started:.3f} has a message that nobody sent: {unknown[:1]}"
            yield Violation("diverged", "?", evidence)
    for conversation, items in book.listings.items():
        for evidence in _off_the_fold(book, conversation, items):
            yield Violation("diverged", conversation, evidence)


def _off_the_fold(book: Book, conversation: str, items: Items) -> Iterator[str]:
    exchanges = [(text, answer, book.by_text.get(text)) for text, answer in _exchanges(items)]
    for place, (text, answer, message) in enumerate(exchanges, 1):
        after = exchanges[place][2] if place < len(exchanges) else None
        if message is None or message.conversation != conversation:
            yield f"a message is listed that nobody sent to it: {text!r}"
        elif message.refused and not message.known:
            yield f"{message.name} was refused and is listed"
        elif message.status in KEPT and answer != (told := _told(message, after)):
            yield f"{message.name} is listed with {answer!r}, its client was told {told!r}"


def _told(message: Message, after: Message | None) -> str:
    """What stands behind it: of messages that share a turn, the answer stands behind the last."""
    shared = after is not None and after.known and after.turns == message.turns
    return "" if shared else message.answers[0].text


def _exchanges(items: Items) -> Iterator[tuple[str, str]]:
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


# --- missed ---


def _missed(book: Book) -> Iterator[Violation]:
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


# --- unseen: read your own writes ---


def _unseen(book: Book) -> Iterator[Violation]:
    for look in book.looks:
        for message in book.by_turn.get(look.turn, ()):
            if evidence := _looked_back(message, look.status, look.asked):
                yield Violation("unseen", message.conversation, f"{message.name} {evidence}")
                break
    for read in book.reads:
        texts = {text for role, text in read.items if role == "user"}
        for message in book.conversations.get(read.conversation, ()):
            if message.accepted_at is not None and message.accepted_at < read.asked and message.text not in texts:
                evidence = (
                    f"{message.name} was accepted at {message.accepted_at:.3f}, not listed at {read.asked:.3f}"
                )
                yield Violation("unseen", read.conversation, evidence)


def _looked_back(message: Message, status: str | None, asked: float) -> str | None:
    if status is None and message.accepted_at is not None and message.accepted_at < asked:
        return f"was accepted at {message.accepted_at:.3f} and not found at {asked:.3f}"
    if status not in ENDED and message.out_at is not None and message.out_at < asked:
        return f"had ended at {message.out_at:.3f} and was {status} at {asked:.3f}"
    return None


# --- unasked: nothing stops a turn but its users ---


def _unasked(book: Book) -> Iterator[Violation]:
    for message in book.messages.values():
        if message.status == "interrupted" and not _displaced(book, message, "interrupt"):
            yield Violation("unasked", message.conversation, f"{message.name} was interrupted by nobody")
        cancelled = message.known and message.turn in book.cancels
        if message.status == "cancelled" and not cancelled and not _displaced(book, message, "rollback"):
            yield Violation("unasked", message.conversation, f"{message.name} was cancelled by nobody")


def _displaced(book: Book, message: Message, by: str) -> bool:
    """Whether another message of the conversation asked to take its place before it ended."""
    return any(
        other.when_busy == by
        and other is not message
        and (message.out_at is None or other.sent_at <= message.out_at)
        for other in book.conversations[message.conversation]
    )


# --- repeated: what must happen once ---


def _repeated(book: Book) -> Iterator[Violation]:
    for message in book.messages.values():
        acts = [run for run in message.runs if run.what == "act" and run.once]
        if len(acts) > 1:
            times = ", ".join(f"{act.started:.3f}" for act in acts)
            yield Violation("repeated", message.conversation, f"{message.name} acted at {times}: once was allowed")
        if message.status == "needs_attention" and not book.befell(message.sent_at, message.out_at or math.inf):
            evidence = f"{message.name} needs attention, though no owner was lost while it ran"
            yield Violation("repeated", message.conversation, evidence)


_RULES: Final[Mapping[Kind, Callable[[Book], Iterator[Violation]]]] = {
    "lost": _lost,
    "doubled": _doubled,
    "overlapped": _overlapped,
    "reordered": _reordered,
    "leaked": _leaked,
    "stale": _stale,
    "diverged": _diverged,
    "missed": _missed,
    "unseen": _unseen,
    "unasked": _unasked,
    "repeated": _repeated,
}
