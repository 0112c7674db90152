"""Where the program runs. Not written yet."""

from __future__ import annotations

from typing import Any


def here() -> dict[str, Any]:
    """Facts about this process."""
    return {}
