"""Not written yet."""

from __future__ import annotations


def install() -> None:
    """Nothing yet."""
