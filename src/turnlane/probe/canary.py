"""Canaries: a unique word in each message of each simulated user, found again wherever it turns up.

A message holds `canary...`; the provider answers with `echo...` and the same letters. So a lost message shows
even where the answer to it was kept.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_LETTERS: Final = "bcdfghjkmnpqrstvwxz"
"""No vowels: no word of any language looks like a canary."""
_LENGTH: Final = 8
CANARY: Final = "canary"
ECHO: Final = "echo"
_WORD: Final = re.compile(rf"(?P<kind>{CANARY}|{ECHO})(?P<letters>[{_LETTERS}]{{{_LENGTH}}})")
_AROUND: Final = 60
STRANGER: Final = "a user of an earlier run"
"""Whose word it is that this run did not give out: the program kept it from an earlier probe."""


@dataclass(frozen=True, slots=True)
class User:
    """A simulated user with one conversation.

    Attributes:
        name: for people, and what the user says of itself: `user 12`.
        key: sent where a program asks for a user.
        conversation: sent where it asks for a conversation.
    """

    name: str
    key: str
    conversation: str


@dataclass(frozen=True, slots=True)
class Said:
    """A word that was given out: whose it is, and in which message of the conversation it was said."""

    word: str
    user: str
    request: str
    turn: int


@dataclass(frozen=True, slots=True)
class Found:
    """A word that was found at a place of `text`."""

    said: Said
    echo: bool
    at: int
    text: str

    @property
    def around(self) -> str:
        """The word with what stands beside it, on one line."""
        end = self.at + len(self.said.word) + _AROUND
        return " ".join(self.text[max(0, self.at - _AROUND) : end].split())


class Canaries:
    """Gives out users and words, and finds the words again.

    Args:
        seed: what words are drawn from; None draws anew in every run, so that a program that keeps its state
            between runs shows words of nobody.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        self._requests = itertools.count(1)
        self._run = self._letters(4)
        self._said: dict[str, Said] = {}

    def user(self) -> User:
        """A new user with a new conversation."""
        number = next(self._numbers)
        return User(f"user {number}", f"user-{number}-{self._run}", f"conversation-{number}-{self._run}")

    def request_id(self) -> str:
        """A new id for a request."""
        return f"probe-{self._run}-{next(self._requests)}"

    def word(self, user: User, request: str, turn: int) -> str:
        """A new word for a message of `user`."""
        letters = self._letters(_LENGTH)
        self._said[letters] = Said(f"{CANARY}{letters}", user.name, request, turn)
        return f"{CANARY}{letters}"

    def find(self, text: str) -> Iterator[Found]:
        """The words in `text`, in order, also those of an earlier run."""
        for match in _words(text):
            said = self._said.get(match["letters"]) or Said(match[0], STRANGER, "", 0)
            yield Found(said, match["kind"] == ECHO, match.start(), text)

    def _letters(self, count: int) -> str:
        return "".join(self._random.choices(_LETTERS, k=count))


def _words(text: str) -> Iterator[re.Match[str]]:
    # A hundred users fill megabytes of prompts: a pattern that ignores case is three times as slow. The one letter
    # that becomes two would move all places after it.
    return _WORD.finditer(text.replace("İ", "I").lower())


def echoes(text: str) -> tuple[str, ...]:
    """What the provider says for the canaries in `text`: one echo each, the newest last."""
    letters = dict.fromkeys(match["letters"] for match in _words(text) if match["kind"] == CANARY)
    return tuple(f"{ECHO}{word}" for word in letters)


def ordered_text(body: object) -> str:
    """All text that a request's body shows a model, in the order in which it is shown."""
    texts: list[str] = []
    messages = body.get("messages", body.get("input")) if isinstance(body, Mapping) else None
    pending: list[Any] = [messages]
    while pending:  # no recursion: a body may nest as deep as JSON can be read
        value = pending.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, Mapping):
            pending.extend(reversed(list(value.values())))
        elif isinstance(value, Sequence):
            pending.extend(reversed(value))
    return "\n".join(texts)
