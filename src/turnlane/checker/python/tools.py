"""Which functions a model may call inside a run, and with whom they are registered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.python.entries import Entry
from turnlane.checker.python.project import Project

AUTOGEN: Final = "AutoGen tool"
HOSTS: Final = frozenset({AUTOGEN, "AG2 tool", "Agent Framework tool"})
"""Hosts of the tables whose functions are tools of an agent; an MCP server's functions serve any program."""


def tools(project: Project, hosts: frozenset[str] = HOSTS) -> Iterator[Entry]:
    """The tools of the program's agents, each once."""
    seen: set[tuple[str, int]] = set()
    for entry in project.exploration.entries:
        if entry.situation.kind == "tool" and entry.situation.host in hosts and entry.frame.place not in seen:
            seen.add(entry.frame.place)
            yield entry
