"""`turnlane explain`: the page as it is for a pipe, set for a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from turnlane import hazards
from turnlane.cli.main import main


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("asked", ["TL201", "tl201", "shared-agent"])
def test_page_by_code_or_name(asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", asked]) == 0
    assert capsys.readouterr().out.startswith(hazards.get("TL201").page())


def test_without_argument_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    said = capsys.readouterr().out
    for hazard in hazards.all():
        assert f"**{hazard.code}** {hazard.name}: {hazard.summary}" in said
        assert f"## {hazard.family}\n" in said


def test_terminal_gets_it_set(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["explain", "TL201"]) == 0
    assert "TL201 shared-agent" in terminal.getvalue()
    assert "# TL201" not in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
