"""Which of OpenAI's parameters do something here, which are taken and ignored, and which are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from turnlane.server.problem import Problem, invalid
from turnlane.server.request_shapes import ChatCreate, ResponseCreate

SUPPORTED: Final = "supported"
IGNORED: Final = "ignored"
REFUSED: Final = "refused"

_THE_AGENT_DECIDES: Final = "the agent decides about it: change the agent's code, or serve another agent for it"

RESPONSE_PARAMETERS: Final[Mapping[str, tuple[str, str]]] = {
    "model": (SUPPORTED, "the agent's name"),
    "input": (SUPPORTED, "a string, or a list of messages and answers to `request_user_input`"),
    "conversation": (SUPPORTED, "its id, or `{id}`; without it and `previous_response_id` a new one is made"),
    "previous_response_id": (
        SUPPORTED,
        "goes on with that response's conversation; it must be the latest response there, or 409",
    ),
    "stream": (SUPPORTED, "server-sent events"),
    "background": (SUPPORTED, "answers at once; retrieve, stream or cancel the response later"),
    "metadata": (SUPPORTED, "up to 16 pairs, 64 and 512 characters"),
    "turnlane": (SUPPORTED, "ours: `when_busy`, `debounce` and `notes`"),
    "tools": (REFUSED, "unless empty: tools run on the server, inside the agent"),
    "instructions": (REFUSED, "the agent has its own"),
    "prompt": (REFUSED, "the agent has its own"),
    "text": (REFUSED, "unless its `format` is `text`: the agent decides about structured answers"),
    "access_programs": (IGNORED, ""),
    "background_options": (IGNORED, "a background turn starts as soon as its lane and a worker are free"),
    "context_management": (IGNORED, "the agent keeps its own context"),
    "image": (IGNORED, ""),
    "include": (IGNORED, "everything there is, is included"),
    "max_output_tokens": (IGNORED, "set it on the agent's model client"),
    "max_tool_calls": (IGNORED, "see the agent's setting `max_model_calls`"),
    "moderation": (IGNORED, ""),
    "parallel_tool_calls": (IGNORED, "set it on the agent's model client"),
    "prompt_cache_key": (IGNORED, ""),
    "prompt_cache_options": (IGNORED, ""),
    "prompt_cache_retention": (IGNORED, ""),
    "reasoning": (IGNORED, "set it on the agent's model client"),
    "safety_identifier": (IGNORED, ""),
    "service_tier": (IGNORED, ""),
    "store": (IGNORED, "turns are always kept; delete the conversation to remove them"),
    "stream_options": (IGNORED, "the stream has no obfuscation"),
    "temperature": (IGNORED, "set it on the agent's model client"),
    "tool_choice": (IGNORED, "the agent decides"),
    "top_logprobs": (IGNORED, ""),
    "top_p": (IGNORED, "set it on the agent's model client"),
    "truncation": (IGNORED, "the agent keeps its own context"),
    "user": (IGNORED, ""),
}
"""Every parameter of `responses.create` with what becomes of it; others get 400. A test compares this with
the installed openai package."""

CHAT_PARAMETERS: Final[Mapping[str, tuple[str, str]]] = {
    "model": (SUPPORTED, "the agent's name"),
    "messages": (
        SUPPORTED,
        "with a conversation only the last one is the input; without, the earlier ones are the history "
        "of a new conversation. The last one must be the user's",
    ),
    "stream": (SUPPORTED, "server-sent events, ended by `[DONE]`"),
    "stream_options": (SUPPORTED, "`include_usage`"),
    "metadata": (SUPPORTED, "`metadata.conversation` is the id of the conversation to go on with"),
    "turnlane": (SUPPORTED, "ours: `when_busy` and `debounce`"),
    "n": (REFUSED, "unless 1"),
    "tools": (REFUSED, "unless empty: tools run on the server, inside the agent"),
    "functions": (REFUSED, "unless empty"),
    "response_format": (REFUSED, "unless `text`"),
}
"""The parameters of `chat.completions.create` that are looked at; all others are ignored."""


def check_response_parameters(request: ResponseCreate) -> None:
    """Refuse what we can't do rather than answer as if we had done it.

    Raises:
        Problem: 400.
    """
    if request.tools:
        raise _refused("tools", "tools run on the server, inside the agent")
    if request.instructions is not None:
        raise _refused("instructions", _THE_AGENT_DECIDES)
    if request.prompt is not None:
        raise _refused("prompt", _THE_AGENT_DECIDES)
    if not _is_text((request.text or {}).get("format")):
        raise _refused("text.format", _THE_AGENT_DECIDES)
    if request.conversation is not None and request.previous_response_id is not None:
        raise invalid(
            "give conversation or previous_response_id, not both: a response belongs to one conversation",
            param="previous_response_id",
            code="mutually_exclusive_parameters",
        )


def check_chat_parameters(request: ChatCreate) -> None:
    """The same for chat completions.

    Raises:
        Problem: 400.
    """
    if request.tools:
        raise _refused("tools", "tools run on the server, inside the agent")
    if request.functions:
        raise _refused("functions", "tools run on the server, inside the agent")
    if request.n not in (None, 1):
        raise _refused("n", "a turn has one answer")
    if not _is_text(request.response_format):
        raise _refused("response_format", _THE_AGENT_DECIDES)


def _is_text(format: Any) -> bool:
    return format is None or (isinstance(format, dict) and format.get("type", "text") == "text")


def _refused(param: str, why: str) -> Problem:
    return invalid(f"{param} is not supported: {why}", param=param, code="unsupported_parameter")
