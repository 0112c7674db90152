"""What `chat` shows: pieces of text, asides, colours on a terminal only, and no control characters of others."""

from __future__ import annotations

import io

import pytest

from turnlane.cli.screen import Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_pieces_stay_on_a_line_and_asides_have_their_own() -> None:
    out = io.StringIO()
    screen = Screen(out)
    screen.speaker("ann")
    screen.text("one ")
    screen.text("two")
    screen.aside("[tool]")
    screen.error("failed")
    screen.question("who?")
    screen.text("line\n")
    screen.end_line()
    assert out.getvalue() == "ann: one two\n  [tool]\nfailed\nwho?\nline\n"


def test_terminal_gets_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    Screen(out).aside("quiet")
    assert out.getvalue() == "\x1b[2m  quiet\x1b[0m\n"


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    Screen(out).error("loud")
    assert out.getvalue() == "loud\n"


@pytest.mark.parametrize("method", ["text", "speaker", "aside", "error", "question"])
def test_others_cannot_move_the_cursor(method: str) -> None:
    out = Terminal()
    getattr(Screen(out), method)("a\x1b[2J\rb")
    assert "\x1b[2J" not in out.getvalue()
    assert "\r" not in out.getvalue()
    assert "a\\x1b[2J\\x0db" in out.getvalue()
