"""How findings are written: for people, editors, CI. One module for each format, imported when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from turnlane.checker.finding import Finding, Note
from turnlane.checker.texts import Texts


class Report(NamedTuple):
    """What there is to tell."""

    findings: tuple[Finding, ...]
    notes: tuple[Note, ...]
    texts: Texts
    files: int
    """How many files were checked."""
    colored: bool = False


def render(output_format: str, report: Report) -> str:
    """The report in one of `options.OUTPUT_FORMATS`; ends in a line end unless it is empty."""
    text: str = import_module(f"{__name__}.{output_format}").render(report)
    return text
