"""Which request each provider call belongs to, and what its prompt shows: leaks, lost messages, their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from turnlane.practice import RecordedRequest
from turnlane.probe.canary import Canaries, Found, ordered_text

TAG: Final = "x-turnlane-request"
"""Header in which the guard says which request of the program makes a provider call."""

_LATE: Final = 0.25
"""Seconds after an answer in which a call is still taken for its own: threads may be late by that much."""


@dataclass(slots=True)
class Sent:
    """A request of a simulated user, as far as calls are matched with it. Times of `time.monotonic()`."""

    id: str
    user: str
    conversation: str
    turn: int
    word: str
    started: float
    finished: float
    succeeded: bool
    earlier: tuple[str, ...] = ()
    """The user's earlier words that were answered, oldest first."""
    calls: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One provider call with the words that its prompt holds."""

    record: RecordedRequest
    found: tuple[Found, ...]

    @property
    def users(self) -> tuple[str, ...]:
        """Whose words it holds, in the order in which they are met."""
        return tuple(dict.fromkeys(found.said.user for found in self.found))

    @property
    def words(self) -> dict[str, int]:
        """Where each word that a user said is met first; answers do not count."""
        places: dict[str, int] = {}
        for found in self.found:
            if not found.echo:
                places.setdefault(found.said.word, found.at)
        return places


def prompt_of(record: RecordedRequest, canaries: Canaries) -> Prompt:
    """The call with its words."""
    return Prompt(record, tuple(canaries.find(ordered_text(record.body))))


def owners_of(prompts: Iterable[Prompt], sent: Mapping[str, Sent]) -> dict[int, str]:
    """The request that each call belongs to, by the call's number; notes the calls in `sent` too.

    The guard says it where it can. Else it is a request that ran when the call came and whose word the prompt
    holds; of several the one without a call so far, and the one that was said last.
    """
    owners: dict[int, str] = {}
    for prompt in prompts:
        owner = _tagged(prompt, sent) or _by_words(prompt, sent)
        if owner is not None:
            owners[prompt.record.number] = owner.id
            owner.calls.append(prompt.record.number)
    return owners


def _tagged(prompt: Prompt, sent: Mapping[str, Sent]) -> Sent | None:
    return sent.get(prompt.record.headers.get(TAG, ""))


def _by_words(prompt: Prompt, sent: Mapping[str, Sent]) -> Sent | None:
    said = [sent[found.said.request] for found in reversed(prompt.found) if found.said.request in sent]
    moment = prompt.record.started
    running = [one for one in said if one.started <= moment <= one.finished + _LATE]
    return min(running, key=lambda one: bool(one.calls)) if running else next(iter(said), None)


def foreign(found: Iterable[Found], user: str) -> list[Found]:
    """The words of others, one per other user."""
    others: dict[str, Found] = {}
    for one in found:
        if one.said.user != user:
            others.setdefault(one.said.user, one)
    return list(others.values())


def is_lost(request: Sent, prompts: Mapping[int, Prompt]) -> bool:
    """Whether a message of the user's own, this one or an earlier answered one, is in none of its prompts."""
    shown = {word for number in request.calls for word in prompts[number].words}
    return not {request.word, *request.earlier} <= shown


def is_reordered(request: Sent, prompts: Mapping[int, Prompt]) -> bool:
    """Whether the user's own messages come in another order than they were said, in some prompt."""
    return any(_out_of_order((*request.earlier, request.word), prompts[n].words) for n in request.calls)


def _out_of_order(words: Sequence[str], places: Mapping[str, int]) -> bool:
    met = [places[word] for word in words if word in places]
    return met != sorted(met)
