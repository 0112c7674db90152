"""`turnlane explain CODE`: the page of a hazard."""

from __future__ import annotations

import sys
from typing import TextIO

from turnlane import hazards
from turnlane.cli.complaint import Complaint


def explain(hazard: str | None = None, /) -> int:
    """Show the page of a hazard, or all hazards without an argument.

    Parameters
    ----------
    hazard
        Its code or name: TL201, shared-agent.
    """
    if hazard is None:
        _show(_all_hazards(), sys.stdout)
        return 0
    try:
        asked = hazards.get(hazard)
    except hazards.UnknownHazard as error:
        raise Complaint(str(error)) from None
    from turnlane.checker.reference import section

    _show(asked.page() + section(asked.code), sys.stdout)
    return 0


def _all_hazards() -> str:
    """Every hazard with its summary, by family, as markdown."""
    lines: list[str] = []
    family = ""
    for hazard in hazards.all():
        if hazard.family != family:
            family = hazard.family
            lines += ["", f"## {family}", ""]
        lines.append(f"- **{hazard.code}** {hazard.name}: {hazard.summary}")
    return "\n".join(["# Hazards", *lines, "", "`turnlane explain CODE` shows the page of one."])


def _show(markdown: str, out: TextIO) -> None:
    """Set for a terminal; as it is for a pipe, where it can be read by `grep` and other tools."""
    if not out.isatty():
        out.write(f"{markdown.rstrip()}\n")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console(file=out).print(Markdown(markdown))
