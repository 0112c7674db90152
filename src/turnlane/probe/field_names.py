"""What a parameter or a field means, by its name: the message, the conversation, the user."""

from __future__ import annotations

import re
from typing import Final, Literal

Meaning = Literal["prompt", "conversation", "user", "messages"]

_PROMPTS: Final = (
    "prompt", "message", "text", "question", "query", "input", "content", "msg", "task", "q", "utterance", "ask",
    "request", "instruction", "chat", "body",
)  # fmt: skip
"""The likeliest first: of several such fields the first one is what the user says."""

_CONVERSATION: Final = re.compile(r"(?:conversation|convo|session|thread|chat|room|channel|dialog(?:ue)?|ticket)")
_USER: Final = re.compile(r"(?:user|customer|client|account|tenant|owner|sender|author|member|person|uid)")
_ID: Final = re.compile(r"(?:^|_)(?:id|key|uuid|name|no|number|token)$")


def meaning(name: str) -> Meaning | None:
    """What a field of this name most likely holds; None where the name says nothing."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").strip("_")
    if plain in ("messages", "history"):
        return "messages"
    place = rank(plain)
    if _CONVERSATION.search(plain) and (_ID.search(plain) or place is None):
        return "conversation"
    if place is not None:
        return "prompt"
    return "user" if _USER.search(plain) else None


def rank(name: str) -> int | None:
    """The place of a name among those of messages, 0 for the likeliest; None for no such name."""
    parts = [part for part in re.split(r"[_-]", name.lower()) if part]
    places = [_PROMPTS.index(part) for part in parts if part in _PROMPTS]
    is_id = bool(_ID.search(name.lower()))
    return min(places) if places and not is_id else None
