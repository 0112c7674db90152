"""What the practice provider's models say in several test files."""

from __future__ import annotations

import json
from typing import Any


def by_name(request: Any) -> str:
    """An agent whose system message is its name says that, and what it heard first and last."""
    return f"{request.system} saw {request.user_messages[0]} .. {request.user_message}"


def progress(*, done: bool, speaker: str) -> str:
    """A progress ledger as Magentic-One wants it."""
    entries = {
        "is_request_satisfied": done,
        "is_progress_being_made": True,
        "is_in_loop": False,
        "instruction_or_question": "work",
        "next_speaker": speaker,
    }
    return json.dumps({key: {"reason": "because", "answer": value} for key, value in entries.items()})


def magentic(request: Any, *, speaker: str = "worker") -> str:
    """Facts, a plan, a round of work by `speaker`, a final answer."""
    asked = request.user_message
    if "pre-survey" in asked:
        return "the facts"
    if "short bullet-point plan" in asked:
        return "the plan"
    if "pure JSON" in asked:
        worked = any("worked" in (message["content"] or "") for message in request.messages[:-1])
        return progress(done=worked, speaker=speaker)
    return "the final answer" if "final answer" in asked else "worked"
