"""Colours of a terminal."""

from __future__ import annotations

from typing import Final

_CODES: Final = {"bold": "1", "red": "1;31", "yellow": "1;33", "blue": "1;34", "cyan": "36", "green": "32"}

SEVERITY_COLORS: Final = {"error": "red", "warning": "yellow", "information": "blue"}


def printable(text: str) -> str:
    """Without what moves the cursor: a tab is one space, an escape is shown as a question mark."""
    return "".join(letter if letter.isprintable() else " " if letter == "\t" else "?" for letter in text)


class Style:
    """Puts colours around texts, or leaves them as they are."""

    def __init__(self, colored: bool) -> None:
        self._colored = colored

    def __call__(self, text: str, color: str) -> str:
        return f"\x1b[{_CODES[color]}m{text}\x1b[0m" if self._colored and text else text
