"""What `chat` writes to a terminal or a pipe."""

from __future__ import annotations

import os
from typing import TextIO

from turnlane.telemetry.logs import visible

_BOLD, _DIM, _RED, _OFF = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"


class Screen:
    """Text in pieces, each style on its own line; colours on a terminal only (and not with NO_COLOR).

    What agents and tools say is shown with its control characters written out: it must not move the cursor.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colours = out.isatty() and not os.environ.get("NO_COLOR")
        self._at_start = True

    def text(self, piece: str) -> None:
        """Go on with the line."""
        self._write(visible(piece), "")

    def speaker(self, name: str) -> None:
        """Begin a message."""
        self._line_start()
        self._write(f"{visible(name)}: ", _BOLD)

    def aside(self, text: str) -> None:
        """A line of its own, dimmed: tools, progress."""
        self._own_line(f"  {text}", _DIM)

    def error(self, text: str) -> None:
        """A line of its own, in red."""
        self._own_line(text, _RED)

    def question(self, text: str) -> None:
        """A line of its own, bold: somebody asks the user."""
        self._own_line(text, _BOLD)

    def end_line(self) -> None:
        """End the line that was begun, if one was."""
        self._line_start()

    def _own_line(self, text: str, style: str) -> None:
        self._line_start()
        self._write(visible(text), style)
        self._line_start()

    def _line_start(self) -> None:
        if not self._at_start:
            self._write("\n", "")

    def _write(self, text: str, style: str) -> None:
        if not text:
            return
        self._at_start = text.endswith("\n")
        self._out.write(f"{style}{text}{_OFF}" if style and self._colours else text)
        self._out.flush()
