"""Reads files into facts."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Final, NamedTuple

from turnlane.checker.languages import language
from turnlane.checker.texts import Texts

SILENCER: Final = b"turnlane:"
"""In every file that has a comment of ours."""


class Task(NamedTuple):
    """One file to read with one language."""

    language: str
    path: str

    @property
    def key(self) -> str:
        """Names the task in the store of facts."""
        return f"{self.language}\0{self.path}"


class Read(NamedTuple):
    """What came of a task."""

    digest: bytes
    marked: bool
    facts: Any
    """None when there are none."""
    problem: str = ""
    """Why there are none, in one sentence without the path."""


def digest_of(data: bytes) -> bytes:
    """Stands for the content of a file."""
    return hashlib.blake2b(data, digest_size=16).digest()


def marked(data: bytes) -> bool:
    """Whether the file may have a comment of ours."""
    return SILENCER in data


def read(task: Task, texts: Texts) -> Read:
    """Read one file. Never raises for what is in it."""
    try:
        data = texts.data(task.path)
    except OSError as error:
        return Read(b"", False, None, f"not read: {(error.strerror or str(error)).lower()}")
    try:
        facts = language(task.language).extract(task.path, data)
    except Exception as error:
        if os.environ.get("TURNLANE_DEBUG"):
            raise
        problem = (
            f"not checked: reading it failed inside of turnlane with {type(error).__name__}; please report it"
        )
        return Read(digest_of(data), False, None, problem)
    return Read(digest_of(data), marked(data), facts)
