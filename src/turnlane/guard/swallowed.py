"""TL505: an answer of 500 whose cause neither the log nor the answer tells. Not written yet."""

from __future__ import annotations

from turnlane.guard.requests import Request


def judge(request: Request, answer: bytes, *, escaped: BaseException | None) -> None:
    """Nothing yet."""
