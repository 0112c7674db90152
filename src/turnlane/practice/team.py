"""What AutoGen's teams ask a model for beside answers: who speaks next, and to whom to hand over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from .prompt import PracticeRequest, content_text

HANDOFF: Final = "transfer_to_"
"""What AutoGen's handoff tools begin with."""

_SELECTOR = re.compile(r"\bselect\b[^\[\n]{0,80}?\bfrom:?\s*\[(['\"][^\]]*)\]", re.IGNORECASE)
_ORCHESTRATOR = re.compile(r"\(select from: ([^)\n]+)\)", re.IGNORECASE)
_HANDS_OVER = re.compile(
    r"\bhand(?:s|ing)?[ -]?(?:off|over)\b|\btransfer|\bdelegat|\bin charge of\b", re.IGNORECASE
)
_HUMANS = ("user", "human")
_SAYS_NOTHING = frozenset({"agent", "assistant", "team", "user", "human"})
"""Parts of agents' names that are no reason to hand over to them."""

_STEM = 5


def participant(request: PracticeRequest) -> str | None:
    """Of the names that a selector's or orchestrator's prompt offers, the one that has spoken least.

    Never the last speaker, unless there is no other; None when the request asks for no name.
    """
    prompt = f"{request.system}\n{request.user_message}"
    names = _offered_names(prompt)
    if not names:
        return None
    spoken = re.findall(rf"^({'|'.join(map(re.escape, names))}) ?: ", prompt, re.MULTILINE)
    spoken += [message["name"] for message in request.messages if message.get("name") in names]
    last = spoken[-1] if spoken else None
    return min(names, key=lambda name: (name == last, spoken.count(name)))


def handoff(request: PracticeRequest) -> str | None:
    """The offered `transfer_to_...` tool to call now; None when there is none or it is not the time.

    It is the one whose target the user's words name, else the one that the system prompt says to hand over to.
    An agent that spoke last itself, and so waits for somebody, hands over to the user. Each agent hands over at
    most once for a message of the user, so that no two agents hand over to each other for ever.
    """
    targets = [tool.removeprefix(HANDOFF) for tool in request.tools if tool.startswith(HANDOFF)]
    if not targets or request.tool_results or _handed_over(request.messages):
        return None
    target = (
        _named_by_user(targets, _last_human_text(request.messages))
        or _named_by_system(targets, request.system)
        or _left_alone(targets, request)
    )
    return HANDOFF + target if target else None


def _offered_names(prompt: str) -> Sequence[str]:
    if lists := _SELECTOR.findall(prompt):
        return re.findall(r"['\"]([^'\"]+)['\"]", lists[-1])
    if lists := _ORCHESTRATOR.findall(prompt):
        return [name.strip() for name in lists[-1].split(",")]
    return ()


def _is_human(message: Mapping[str, Any]) -> bool:
    return message["role"] == "user" and (message.get("name") or "user") in _HUMANS


def _last_human_text(messages: Sequence[Mapping[str, Any]]) -> str:
    return next((content_text(message) for message in reversed(messages) if _is_human(message)), "")


def _handed_over(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether this agent has handed over since the last message of a human."""
    for message in reversed(messages):
        if _is_human(message):
            break
        if any(call["function"]["name"].startswith(HANDOFF) for call in message.get("tool_calls") or ()):
            return True
    return False


def _named_by_user(targets: Sequence[str], text: str) -> str | None:
    said = {word[:_STEM] for word in re.findall(r"[^\W_]{4,}", text.lower())}
    for target in targets:
        parts = set(target.lower().split("_")) - _SAYS_NOTHING
        if any(part[:_STEM] in said for part in parts):
            return target
    return None


def _named_by_system(targets: Sequence[str], system: str) -> str | None:
    if not _HANDS_OVER.search(system):
        return None
    named = {}
    for target in targets:
        name = r"[\s_-]".join(map(re.escape, target.split("_")))
        found = re.search(rf"\b{name}\b", system, re.IGNORECASE)
        if found and target.lower() not in _HUMANS:
            named[target] = found.start()
    return min(named, key=named.__getitem__, default=None)


def _left_alone(targets: Sequence[str], request: PracticeRequest) -> str | None:
    """The user, when the agent is asked again after its own words: nobody else will ever say anything."""
    if request.messages[-1]["role"] != "assistant":
        return None
    return next((target for target in targets if target.lower() in _HUMANS), None)
