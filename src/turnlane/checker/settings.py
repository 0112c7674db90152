"""What the user chose, from `pyproject.toml [tool.turnlane]` and the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run's choices."""

    select: tuple[str, ...] = ("TL",)
    """Codes and prefixes of codes that are reported."""
    ignore: tuple[str, ...] = ()
    agent_classes: tuple[str, ...] = ()
    """TypeScript: further class and function names that make an agent, beside those of the known packages."""
    agent_packages: tuple[str, ...] = ()
    """TypeScript: further npm packages whose objects are agents."""
