"""Is this body a chat completion request? Checked as OpenAI does, with OpenAI's texts."""

from __future__ import annotations

import json
import re
from typing import Any, TypeGuard

from .refusal import Refusal

# fmt: off
PARAMETERS = frozenset(
    {
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
        "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model",
        "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
        "prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "response_format",
        "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options",
        "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
        "web_search_options",
    }
)
# fmt: on
"""The top-level parameters that OpenAI knows; any other is refused, as there."""

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_JSON_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    type(None): "null",
}


def parse_body(raw: bytes) -> Any:
    """The JSON value in `raw`.

    Raises:
        Refusal: 400 for anything that is not JSON in UTF-8, or nests too deep to be read.
    """
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Refusal(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
            "HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
        ) from None


def check_shape(body: object) -> TypeGuard[dict[str, Any]]:
    """Refuse a body that is not a well-formed chat completion request; true otherwise.

    Raises:
        Refusal: 400 that names the first parameter that is wrong.
    """
    if not isinstance(body, dict):
        raise _wrong_type("body", "an object", body)
    for name in body:
        if name not in PARAMETERS:
            raise Refusal(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    _check_model(body)
    _check_messages(body)
    _check_options(body)
    _check_tools(body)
    return True


def _check_model(body: dict[str, Any]) -> None:
    if not body.get("model"):
        raise Refusal("you must provide a model parameter")
    if not isinstance(body["model"], str):
        raise _wrong_type("model", "a string", body["model"])


def _check_messages(body: dict[str, Any]) -> None:
    if "messages" not in body:
        raise Refusal(
            "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter"
        )
    messages = body["messages"]
    if not isinstance(messages, list):
        raise _wrong_type("messages", "an array of objects", messages)
    if not messages:
        raise Refusal(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array "
            "instead.",
            param="messages",
            code="empty_array",
        )
    for place, message in enumerate(messages):
        _check_message(message, f"messages[{place}]")


def _check_message(message: object, where: str) -> None:
    if not isinstance(message, dict):
        raise _wrong_type(where, "an object", message)
    role = message.get("role")
    if role is None:
        raise _missing(f"{where}.role")
    if role not in _ROLES:
        supported = ", ".join(f"'{r}'" for r in _ROLES[:-1]) + f", and '{_ROLES[-1]}'"
        raise Refusal(
            f"Invalid value: {_shown(role)}. Supported values are: {supported}.",
            param=f"{where}.role",
            code="invalid_value",
        )
    if role == "assistant":
        _check_tool_calls(message, where)
    if role == "tool":
        _check_string(message, "tool_call_id", where)
    _check_content(message, where)


def _check_content(message: dict[str, Any], where: str) -> None:
    content = message.get("content")
    if isinstance(content, str):
        return
    if content is None:
        _check_content_may_be_missing(message, where)
        return
    if not isinstance(content, list):
        raise _wrong_type(f"{where}.content", "one of a string or array of objects", content)
    for place, part in enumerate(content):
        _check_part(part, f"{where}.content[{place}]")


def _check_content_may_be_missing(message: dict[str, Any], where: str) -> None:
    spoken_otherwise = message.get("tool_calls") or message.get("function_call") or message.get("refusal")
    if message["role"] == "assistant" and spoken_otherwise:
        return
    if message["role"] == "function":
        return
    raise Refusal("Invalid value for 'content': expected a string, got null.", param=f"{where}.content")


def _check_part(part: object, where: str) -> None:
    if not isinstance(part, dict):
        raise _wrong_type(where, "an object", part)
    _check_string(part, "type", where)
    if part["type"] == "text":
        _check_string(part, "text", where)


def _check_tool_calls(message: dict[str, Any], where: str) -> None:
    calls = message.get("tool_calls")
    if calls is None:
        return
    if not isinstance(calls, list):
        raise _wrong_type(f"{where}.tool_calls", "an array of objects", calls)
    if not calls:
        raise Refusal(
            f"Invalid '{where}.tool_calls': empty array. Expected an array with minimum length 1, but got an "
            "empty array instead.",
            param=f"{where}.tool_calls",
            code="empty_array",
        )
    for place, call in enumerate(calls):
        _check_tool_call(call, f"{where}.tool_calls[{place}]")


def _check_tool_call(call: object, where: str) -> None:
    if not isinstance(call, dict):
        raise _wrong_type(where, "an object", call)
    _check_string(call, "id", where)
    function = call.get("function")
    if function is None:
        raise _missing(f"{where}.function")
    if not isinstance(function, dict):
        raise _wrong_type(f"{where}.function", "an object", function)
    _check_string(function, "name", f"{where}.function")
    _check_string(function, "arguments", f"{where}.function")


def _check_options(body: dict[str, Any]) -> None:
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise _wrong_type("stream", "a boolean", stream)
    options = body.get("stream_options")
    if options is not None:
        if not isinstance(options, dict):
            raise _wrong_type("stream_options", "an object", options)
        if not stream:
            raise Refusal(
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                param="stream_options",
            )
    for name in ("max_tokens", "max_completion_tokens"):
        _check_count(body, name)
    _check_count(body, "n")
    if (body.get("n") or 1) != 1:
        raise Refusal("The practice provider gives one choice: 'n' must be 1.", param="n")


def _check_count(body: dict[str, Any], name: str) -> None:
    value = body.get(name)
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(name, "an integer", value)
    if value < 1:
        raise Refusal(
            f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value} instead.",
            param=name,
            code="integer_below_min_value",
        )


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        if body.get("tool_choice") is not None:
            raise Refusal(
                "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
                param="tool_choice",
            )
        return
    if not isinstance(tools, list):
        raise _wrong_type("tools", "an array of objects", tools)
    for place, tool in enumerate(tools):
        _check_tool(tool, f"tools[{place}]")


def _check_tool(tool: object, where: str) -> None:
    if not isinstance(tool, dict):
        raise _wrong_type(where, "an object", tool)
    _check_string(tool, "type", where)
    if tool["type"] != "function":
        return
    function = tool.get("function")
    if function is None:
        raise _missing(f"{where}.function")
    if not isinstance(function, dict):
        raise _wrong_type(f"{where}.function", "an object", function)
    _check_string(function, "name", f"{where}.function")
    if not _TOOL_NAME.fullmatch(function["name"]):
        raise Refusal(
            f"Invalid '{where}.function.name': string does not match pattern. Expected a string that matches the "
            "pattern '^[a-zA-Z0-9_-]{1,64}$'.",
            param=f"{where}.function.name",
            code="invalid_value",
        )


def _check_string(holder: dict[str, Any], name: str, where: str) -> None:
    if name not in holder:
        raise _missing(f"{where}.{name}")
    if not isinstance(holder[name], str):
        raise _wrong_type(f"{where}.{name}", "a string", holder[name])


def _missing(param: str) -> Refusal:
    return Refusal(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def _wrong_type(param: str, expected: str, value: object) -> Refusal:
    got = _JSON_NAMES.get(type(value), "something else")
    return Refusal(
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.",
        param=param,
        code="invalid_type",
    )


def _shown(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)[:100]
