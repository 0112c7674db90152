"""Requests that OpenAI refuses are refused with its words, and nothing ever gives a 500."""

from __future__ import annotations

import asyncio
import json
from typing import get_type_hints

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import completion_create_params

from turnlane.practice import PracticeProvider, Rule
from turnlane.practice.shape import PARAMETERS

USER = {"role": "user", "content": "hello"}
TWO_CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for call_id in ("c1", "c2")
    ],
}


def result(call_id):
    return {"role": "tool", "tool_call_id": call_id, "content": "ok"}


NOT_ANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
    "The following tool_call_ids did not have response messages: "
)
NOT_ASKED = (
    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
)


@pytest.fixture(scope="module")
def provider():
    with PracticeProvider.in_thread(
        [Rule(when="hello", say="ok"), Rule(say="else")], keep_requests=100
    ) as provider:
        yield provider


@pytest.fixture(scope="module")
def post(provider):
    with httpx2.Client(timeout=10) as client:
        yield lambda **options: client.post(f"{provider.base_url}/chat/completions", **options)


@pytest.mark.parametrize(
    ("messages", "text", "param"),
    [
        ([USER, TWO_CALLS], NOT_ANSWERED + "c1, c2", "messages"),
        ([USER, TWO_CALLS, result("c1")], NOT_ANSWERED + "c2", "messages"),
        ([USER, TWO_CALLS, result("c1"), USER, result("c2")], NOT_ANSWERED + "c2", "messages"),
        ([USER, TWO_CALLS, USER, result("c1"), result("c2")], NOT_ANSWERED + "c1, c2", "messages"),
        ([USER, result("c1")], NOT_ASKED, "messages.[1].role"),
        ([result("c1")], NOT_ASKED, "messages.[0].role"),
        ([USER, TWO_CALLS, result("c2"), result("c1"), USER, result("c1")], NOT_ASKED, "messages.[5].role"),
        (
            [USER, TWO_CALLS, result("c3")],
            "Invalid parameter: 'tool_call_id' of 'c3' not found in 'tool_calls' of previous message.",
            "messages.[2].tool_call_id",
        ),
    ],
)
def test_tool_calls_and_results_must_pair(post, messages, text, param):
    answer = post(json={"model": "m", "messages": messages})
    assert answer.status_code == 400
    error = {"message": text, "type": "invalid_request_error", "param": param, "code": None}
    assert answer.json() == {"error": error}


def test_results_in_any_order_are_fine(post):
    messages = [USER, TWO_CALLS, result("c2"), result("c1")]
    assert post(json={"model": "m", "messages": messages}).status_code == 200


@pytest.mark.parametrize(
    ("body", "text", "param", "code"),
    [
        ({"messages": [USER]}, "you must provide a model parameter", None, None),
        ({"model": "m"}, "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"),
        ({"model": "m", "messages": []}, "Invalid 'messages': empty array.", "messages", "empty_array"),
        ({"model": "m", "messages": "hi"}, "Invalid type for 'messages': expected", "messages", "invalid_type"),
        ({"model": 7, "messages": [USER]}, "Invalid type for 'model'", "model", "invalid_type"),
        (
            {"model": "m", "messages": [{"role": "robot", "content": "x"}]},
            "Invalid value: 'robot'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and "
            "'developer'.",
            "messages[0].role",
            "invalid_value",
        ),
        (
            {"model": "m", "messages": [{"content": "x"}]},
            "Missing required parameter: 'messages[0].role'.",
            "messages[0].role",
            "missing_required_parameter",
        ),
        (
            {"model": "m", "messages": [{"role": "user", "content": None}]},
            "Invalid value for 'content': expected a string, got null.",
            "messages[0].content",
            None,
        ),
        ({"model": "m", "messages": [USER], "mesages": []}, "Unknown parameter: 'mesages'.", "mesages", None),
        (
            {"model": "m", "messages": [USER], "stream": "yes"},
            "Invalid type for 'stream'",
            "stream",
            "invalid_type",
        ),
        (
            {"model": "m", "messages": [USER], "stream_options": {}},
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
            None,
        ),
        ({"model": "m", "messages": [USER], "max_tokens": 0}, "Invalid 'max_tokens': integer below", None, None),
        ({"model": "m", "messages": [USER], "n": 2}, "The practice provider gives one choice", "n", None),
        ({"model": "m", "messages": [USER], "tool_choice": "auto"}, "Invalid value for 'tool_choice'", None, None),
        (
            {"model": "m", "messages": [USER], "tools": [{"type": "function", "function": {"name": "no good"}}]},
            "Invalid 'tools[0].function.name': string does not match pattern.",
            "tools[0].function.name",
            "invalid_value",
        ),
        ([1], "Invalid type for 'body': expected an object, but got an array instead.", "body", "invalid_type"),
    ],
)
def test_malformed_requests(post, body, text, param, code):
    answer = post(json=body)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["message"].startswith(text)
    assert error["type"] == "invalid_request_error"
    if param:
        assert error["param"] == param
    if code:
        assert error["code"] == code


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff\xfe", b'{"a": "\xe4"}', b"[" * 100_000, b"9" * 10_000, b"NaN", b"null"],
    ids=["empty", "cut", "bytes", "latin-1", "deep", "long number", "nan", "null"],
)
def test_bodies_that_are_no_json_object(post, raw):
    answer = post(content=raw)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_lone_surrogates_and_deep_values_pass_through(post, provider):
    text = '"hello \\ud800"'
    answer = post(content=f'{{"model": "\\udfff", "messages": [{{"role": "user", "content": {text}}}]}}'.encode())
    assert answer.status_code == 200
    deep = "[" * 400 + "]" * 400
    body = f'{{"model": "m", "messages": [{{"role": "user", "content": "hello", "x": {deep}}}]}}'
    assert post(content=body.encode()).status_code == 200
    assert provider.requests[-1].text


def test_too_large_a_body_is_refused(post):
    answer = post(content=b" " * (33 * 1024 * 1024))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("POST", "/practice/requests", 405),
        ("GET", "/v1/embeddings", 404),
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/models/%F0%9F%99%82", 200),
        ("GET", "/practice/x", 404),
        ("PUT", "/practice/script", 400),
    ],
)
def test_other_paths_and_methods(provider, method, path, status):
    answer = httpx2.request(method, f"{provider.origin}{path}")
    assert answer.status_code == status
    assert ("error" in answer.json()) == (status >= 400)


def test_every_parameter_of_the_openai_package_is_known():
    hints = get_type_hints(completion_create_params.CompletionCreateParamsStreaming)
    assert hints.keys() <= PARAMETERS


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["user", "tool"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
calls = st.lists(
    st.fixed_dictionaries(
        {"id": st.sampled_from(["a", "b"]) | values, "function": values},
        optional={"type": values},
    ),
    max_size=2,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool", "system", "function"]) | values},
        optional={
            "content": values
            | st.lists(st.fixed_dictionaries({"type": st.just("text")}, optional={"text": values})),
            "tool_calls": calls | values,
            "tool_call_id": st.sampled_from(["a", "b"]) | values,
        },
    )
    | values,
    max_size=4,
)
tools = st.lists(st.fixed_dictionaries({"type": st.just("function")}, optional={"function": values}), max_size=2)
bodies = st.fixed_dictionaries(
    {"model": st.just("m") | values, "messages": messages | values},
    optional={
        "tools": tools | values,
        "tool_choice": values,
        "stream": st.booleans() | values,
        "stream_options": st.fixed_dictionaries({"include_usage": values}) | values,
        "max_tokens": values,
        "max_completion_tokens": values,
        "n": values,
    },
)


@given(bodies)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_request_gives_a_server_error(post, body):
    answer = post(content=json.dumps(body))
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        error = answer.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert error["code"] != "practice_script_error"


def test_garbage_instead_of_http(provider):
    async def send(data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        return answer

    assert asyncio.run(send(b"\x16\x03\x01 hello\r\n\r\n")).startswith(b"HTTP/1.1 400")
    assert asyncio.run(send(b"GET /\xff HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 400")
