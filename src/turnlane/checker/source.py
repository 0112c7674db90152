"""The text of one checked file: its lines, and the columns that people and editors count."""

from __future__ import annotations

import bisect
import codecs
import re
from functools import cached_property

_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
"""PEP 263."""


class Unreadable(ValueError):
    """The bytes are not text in the encoding the file declares. The message is one clear sentence."""


def declared_encoding(data: bytes) -> str:
    """The encoding that the first two lines of a Python file declare; UTF-8 when they do not."""
    for line in data.removeprefix(codecs.BOM_UTF8).split(b"\n", 2)[:2]:
        if match := _CODING.match(line):
            return match[1].decode("ascii", "replace")
    return "utf-8"


def encode(text: str, like: bytes) -> bytes:
    """The bytes of `text` in the encoding of `like`, a file that `decode` could read, with its byte order mark.

    Raises:
        UnicodeEncodeError: the encoding lacks a character.
    """
    mark = codecs.BOM_UTF8 if like.startswith(codecs.BOM_UTF8) else b""
    return mark + text.encode(declared_encoding(like))


def decode(data: bytes) -> str:
    """The text of `data`: UTF-8, with or without a byte order mark, or the encoding that a Python file declares.

    Raises:
        Unreadable: it is neither.
    """
    encoding = declared_encoding(data)
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode(encoding)
    except LookupError:
        raise Unreadable(f"it declares the encoding {encoding!r}, which Python does not know") from None
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not {encoding}: byte {error.start} can't be decoded") from None
    except UnicodeError:  # of codecs that are no encoding of a text, such as `undefined`
        raise Unreadable(f"it is not {encoding}") from None


class Source:
    """One file as it was checked. Lines from 1; columns of `Place` are UTF-8 bytes from 0."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their ends, split where Python and editors split: at LF, CRLF and CR only."""
        return re.split(r"\r\n|\r|\n", self.text)

    @cached_property
    def starts(self) -> list[int]:
        """The offset in `text`, in characters, at which each line starts."""
        return [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", self.text))]

    def line(self, number: int) -> str:
        """Line `number` without its end; empty past the end of the file."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def characters(self, line: int, column: int) -> int:
        """The column in characters from 0 for a `column` in UTF-8 bytes."""
        text = self.line(line)
        return column if text.isascii() else len(text.encode()[:column].decode(errors="ignore"))

    def offset(self, line: int, column: int) -> int:
        """The offset in `text`, in characters, of a place."""
        if line > len(self.starts):
            return len(self.text)
        return min(self.starts[line - 1] + self.characters(line, column), len(self.text))

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column (bytes) of an offset in characters."""
        line = bisect.bisect_right(self.starts, offset)
        start = self.starts[line - 1]
        return line, len(self.text[start:offset].encode())
