"""The texts in a TOML file with their places, which `tomllib` does not give.

Reads what it can of a broken file: whether the file is valid is `tomllib`'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"(?P<space>[ \t\r]+|\#[^\n]*)"
    r'|(?P<long>"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\')'
    r'|(?P<text>"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')'
    r"|(?P<line>\n)"
    r"|(?P<mark>[\[\]{}=,.])"
    r"|(?P<bare>[^\s\[\]{}=,.\"'\#]+)"
    r"|(?P<other>.)",
    re.DOTALL,
)


class Value(NamedTuple):
    """One scalar: a text, a number, a date or a truth value."""

    path: tuple[str, ...]
    """Keys from the top; items of arrays and of arrays of tables have their array's path."""
    text: str
    """A text without its quotes; anything else as written."""
    start: int
    end: int
    """Offsets in characters, without the quotes."""
    table: int
    """Number of the `[table]` or `[[table]]` header above, from 1; 0: none."""


def values(text: str) -> Iterator[Value]:
    """Every scalar of the file, in its order."""
    reader = _Reader(text)
    while reader.at < len(reader.tokens):
        yield from reader.line()


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens = [
            _Token(match.lastgroup or "", match[0], match.start(), match.end())
            for match in _TOKEN.finditer(text)
            if match.lastgroup != "space"
        ]
        self.at = 0
        self.table: tuple[str, ...] = ()
        self.number = 0

    def peek(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def line(self) -> Iterator[Value]:
        """One header or one `key = value` with everything in it."""
        if self.peek() == "\n":
            self.at += 1
        elif self.peek() == "[":
            self.header()
        else:
            keys = self.keys("=")
            if self.peek() == "=":
                self.at += 1
                yield from self.value((*self.table, *keys))
            self.rest()

    def header(self) -> None:
        while self.peek() == "[":
            self.at += 1
        self.table = self.keys("]")
        self.number += 1
        self.rest()

    def keys(self, end: str) -> tuple[str, ...]:
        """A dotted key, up to `end` or the end of the line."""
        found = []
        while self.at < len(self.tokens) and self.peek() not in (end, "\n"):
            token = self.tokens[self.at]
            if token.kind in ("bare", "text"):
                found.append(_unquoted(token)[0])
            self.at += 1
        return tuple(found)

    def rest(self) -> None:
        while self.at < len(self.tokens) and self.peek() != "\n":
            self.at += 1

    def value(self, path: tuple[str, ...]) -> Iterator[Value]:
        """A scalar, or an array or inline table with all that is in it; without recursion, for any depth."""
        open_at: list[tuple[str, tuple[str, ...]]] = []
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token.text in ("[", "{"):
                open_at.append((token.text, path))
                self.at += 1
            elif token.text in ("]", "}"):
                path = open_at.pop()[1] if open_at else path
                self.at += 1
            elif token.text == "\n" and not open_at:
                return
            elif token.kind in ("line", "mark", "other"):
                self.at += 1
            elif open_at and open_at[-1][0] == "{" and (keys := self.inline_key()):
                path = (*open_at[-1][1], *keys)
            else:
                yield self.scalar(path)
            if not open_at:
                return

    def inline_key(self) -> tuple[str, ...]:
        """The key before `=` in an inline table; empty, and nothing read, when a value stands here."""
        start = self.at
        keys = []
        while (self.at < len(self.tokens) and self.tokens[self.at].kind in ("bare", "text")) or self.peek() == ".":
            keys.append(_unquoted(self.tokens[self.at])[0])
            self.at += 1
        if self.peek() == "=":
            self.at += 1
            return tuple(key for key in keys if key != ".")
        self.at = start
        return ()

    def scalar(self, path: tuple[str, ...]) -> Value:
        token = self.tokens[self.at]
        self.at += 1
        if token.kind == "bare":
            # A number with a point is several tokens: 1.5
            while (
                self.peek() == "." and self.at + 1 < len(self.tokens) and self.tokens[self.at + 1].kind == "bare"
            ):
                last = self.tokens[self.at + 1]
                token = _Token("bare", f"{token.text}.{last.text}", token.start, last.end)
                self.at += 2
            return Value(path, token.text, token.start, token.end, self.number)
        content, quotes = _unquoted(token)
        return Value(path, content, token.start + quotes, token.end - quotes, self.number)


def _unquoted(token: _Token) -> tuple[str, int]:
    """The text without its quotes, escapes left as they are, and how long a quote is."""
    if token.kind == "long":
        return token.text[3:-3], 3
    if token.kind == "text":
        return token.text[1:-1], 1
    return token.text, 0
