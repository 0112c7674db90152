"""No request body, however wrong, gets a 500; every error has OpenAI's shape and names the place."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.types import Message

from turnlane.server import ApiKeys
from turnlane.server.call import _read
from turnlane.server.parameters import check_response_parameters
from turnlane.server.problem import Problem
from turnlane.server.request_shapes import ChatCreate, ConversationCreate, ResponseCreate
from turnlane.server.routes.responses import wish_of
from turnlane.server.validation import parse_body
from turnlane.telemetry.events import add_sink

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "echo", "input": "x", **fields}).encode()


def error_of(answer: Any) -> Any:
    error = answer.json()["error"]
    assert {"message", "type", "param", "code", "request_id"} <= set(error)
    assert error["request_id"] == answer.headers["x-request-id"]
    return error


WRONG: list[tuple[bytes, str | None]] = [
    (b"", None),
    (b"{", None),
    (b"[]", None),
    (b'"text"', None),
    (b"null", None),
    (b"\xff\xfe", None),
    (b'{"model": "echo", "input": "\xff"}', None),
    (b'{"model": "echo", "input": "\\ud800"}', None),
    (b'{"model": "echo", "input": "\\u0000"}', None),
    (b'{"model": "echo", "input": "x", "metadata": {"a\\u0000": "b"}}', None),
    (b'{"model": "echo", "input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
    (b'{"model": "echo", "input": "x", "text": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}", None),
    (b'{"model": "echo", "input": "x", "metadata": {"a": ' + b"9" * 10_000 + b"}}", None),
    (body(model=7), "model"),
    (body(model=""), "model"),
    (body(model="x" * 200), "model"),
    (body(input=None), "input"),
    (body(input=[]), "input"),
    (body(input=7), "input"),
    (body(input=[7]), "input[0]"),
    (body(input=[{"type": "item_reference", "id": "x"}]), "input[0]"),
    (body(input=[{"role": "user", "content": "a"}, {"role": "robot", "content": "a"}]), "input[1].role"),
    (body(input=[{"role": "user"}]), "input[0].content"),
    (body(input=[{"role": "user", "content": [{"type": "input_audio"}]}]), "input[0].content[0]"),
    (
        body(input=[{"role": "user", "content": [{"type": "input_image", "image_url": "http://10.0.0.1/"}]}]),
        "input[0].content[0].image_url",
    ),
    (body(input=[{"role": "assistant", "content": "x"}]), "input"),
    (body(input=[{"type": "function_call_output", "output": "x"}]), "input[0].call_id"),
    (body(conversation=7), "conversation"),
    (body(conversation={"no": "id"}), "conversation.id"),
    (body(metadata={str(n): "x" for n in range(17)}), "metadata"),
    (body(metadata={"k" * 65: "x"}), "metadata"),
    (body(metadata={"k": "x" * 513}), "metadata.k"),
    (body(metadata={"k": 7}), "metadata.k"),
    (body(metadata=[1]), "metadata"),
    (body(stream="perhaps"), "stream"),
    (body(conversatoin="conv_1"), "conversatoin"),
    (body(turnlane={"when_busy": "explode"}), "turnlane.when_busy"),
    (body(turnlane={"when": 1}), "turnlane.when"),
    (body(tools=[{"type": "web_search"}]), "tools"),
    (body(instructions="be a pirate"), "instructions"),
    (body(prompt={"id": "p"}), "prompt"),
    (body(text={"format": {"type": "json_object"}}), "text.format"),
]


@pytest.mark.parametrize(("raw", "param"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_body_is_a_400_that_names_the_place(raw: bytes, param: str | None) -> None:
    with pytest.raises(Problem) as caught:
        understood(raw)
    assert caught.value.status == 400
    assert len(caught.value.body("r")) < 2000
    if param is not None:
        assert (caught.value.param or "").startswith(param)


def understood(raw: bytes) -> None:
    request = parse_body(ResponseCreate, raw)
    check_response_parameters(request)
    wish_of(request)


async def test_the_same_over_http(served: Any) -> None:
    http = served.http()
    for raw, _ in WRONG:
        answer = await http.post("/v1/responses", content=raw, headers=JSON)
        assert answer.status_code == 400, raw[:100]
        error_of(answer)
        for path in ("/v1/chat/completions", "/v1/conversations"):
            answer = await http.post(path, content=raw, headers=JSON)
            assert answer.status_code < 500
    assert served.worker.claims == []


async def test_sampling_parameters_are_taken_and_ignored(served: Any) -> None:
    more = {"temperature": 1e308, "top_p": "x", "max_output_tokens": 10**300, "tool_choice": "none", "tools": []}
    answer = await served.http().post("/v1/responses", content=body(**more, store=False), headers=JSON)
    assert answer.status_code == 200


async def test_the_last_of_two_equal_keys_counts(served: Any) -> None:
    raw = b'{"model": "nobody", "model": "echo", "input": "x"}'
    answer = await served.http().post("/v1/responses", content=raw, headers=JSON)
    assert answer.status_code == 200


async def test_a_body_must_be_declared_as_json(served: Any) -> None:
    http = served.http()
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await http.post("/v1/responses", content=body(), headers={"content-type": kind})
        assert answer.status_code == 415
        assert "application/json" in error_of(answer)["message"]


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(serve: Any) -> None:
    served = await serve(max_body=1000)
    answer = await served.http().post("/v1/responses", content=b"x" * 1001, headers=JSON)
    assert answer.status_code == 413
    assert error_of(answer)["code"] == "body_too_large"


async def test_a_body_without_length_is_refused_while_it_is_read(serve: Any) -> None:
    served = await serve(max_body=1000)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rpartition(":")[2]))
    head = "POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    for _ in range(3):  # never ended: the answer must come all the same
        writer.write(b"190\r\n" + b"x" * 0x190 + b"\r\n")
    await writer.drain()
    async with asyncio.timeout(10):
        line = await reader.readline()
    assert b"413" in line
    writer.close()


async def test_unknown_paths_and_wrong_methods_have_the_same_shape(served: Any) -> None:
    http = served.http()
    for path in ("/", "/v1", "/v1/responses/", "/v2/responses", "/%00", "/v1/responses/x/y"):
        answer = await http.get(path)
        assert answer.status_code == 404
        error_of(answer)
    for method, path in [("PUT", "/v1/responses"), ("POST", "/v1/models"), ("DELETE", "/v1/responses/x")]:
        answer = await http.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"]
        error_of(answer)


@pytest.mark.parametrize("identifier", ["nope", "a b", "%00", "x" * 500, "%ff", "resp_1%0a"])
async def test_ids_that_can_not_be_are_not_found(served: Any, identifier: str) -> None:
    http = served.http()
    for path in ("/v1/responses/{}", "/v1/conversations/{}", "/turns/{}", "/v1/conversations/{}/items"):
        answer = await http.get(path.format(identifier))
        assert answer.status_code == 404
        error_of(answer)
    made = (await http.post("/v1/conversations")).json()["id"]
    assert (await http.get(f"/v1/conversations/{made}/items/{identifier}")).status_code == 404


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("after=", "after"),
    ],
)
async def test_wrong_queries_are_named(served: Any, query: str, param: str) -> None:
    http = served.http()
    made = (await http.post("/v1/conversations")).json()["id"]
    answer = await http.get(f"/v1/conversations/{made}/items?{query}")
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


async def test_an_idempotency_key_that_is_none_is_refused(served: Any) -> None:
    for key in ("", "x" * 256):
        answer = await served.http().post(
            "/v1/responses", content=body(), headers={**JSON, "Idempotency-Key": key}
        )
        assert answer.status_code == 400
        assert error_of(answer)["param"] == "Idempotency-Key"


async def test_a_bug_of_ours_is_never_the_users(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    served = await serve()

    async def broken(turn_id: str) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(served.engine, "turn", broken)
    told: list[tuple[str, Any]] = []
    remove = add_sink(lambda name, fields: told.append((name, dict(fields))))
    try:
        answer = await served.http().get("/v1/responses/resp_1")
    finally:
        remove()
    error = error_of(answer)
    assert answer.status_code == 500
    assert error["type"] == "turnlane_error"
    assert "bug in Turnlane" in error["message"]
    assert "secret" not in answer.text
    assert answer.headers["x-should-retry"] == "false"
    (fields,) = [fields for name, fields in told if name == "request.failed"]
    assert fields["request_id"] == error["request_id"]
    assert "ZeroDivisionError: secret detail" in fields["stack"]


async def test_a_store_that_is_gone_is_a_503(serve: Any) -> None:
    served = await serve()
    await served.engine.close()
    answer = await served.http().get("/v1/responses/resp_1")
    assert answer.status_code == 503
    assert error_of(answer)["code"] == "engine_unavailable"
    assert answer.headers["retry-after"]


async def test_what_is_wrong_with_the_store_is_for_operators(serve: Any) -> None:
    user, operator = "user-key-0123456789", "ops-key-0123456789ab"
    served = await serve(keys=ApiKeys([f"user {user}", f"ops {operator} admin"]))
    await served.engine.close()
    answers = [await served.http(key).get("/v1/responses/resp_1") for key in (user, operator)]
    mine, operators = (error_of(answer)["message"] for answer in answers)
    assert mine.startswith("the store can't be used at the moment; try again")
    assert operators.startswith(f"{mine} (")


async def test_an_unknown_previous_response_is_named_as_the_parameter(served: Any) -> None:
    for wrong, param in (("previous_response_id", "previous_response_id"), ("conversation", "conversation")):
        for unknown in ("resp_unknown", "no such id"):
            answer = await served.http().post("/v1/responses", content=body(**{wrong: unknown}), headers=JSON)
            assert (answer.status_code, error_of(answer)["param"]) == (404, param)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (body(input=7), "input: a string or a list of items"),
        (body(input={"role": "user"}), "input: a string or a list of items"),
        (
            body(input=[{"role": "user", "content": 7}]),
            "input[0].content: a string or a list of parts",
        ),
        (
            body(input=[{"role": "user", "content": [{"type": "input_image", "image_url": "http://10.0.0.1/"}]}]),
            "input[0].content[0].image_url: "
            "images must be data: URLs with base64; this server fetches no addresses",
        ),
    ],
)
def test_the_text_says_what_to_send_instead(raw: bytes, says: str) -> None:
    with pytest.raises(Problem) as caught:
        understood(raw)
    assert caught.value.message == says


async def test_a_base_url_without_v1_is_told(served: Any) -> None:
    http = served.http()
    for path in ("/responses", "/chat/completions", "/models", "/conversations", "/responses/resp_1/cancel"):
        message = error_of(await http.post(path, content=body(), headers=JSON))["message"]
        assert message.endswith(f"; did you mean /v1{path}? The client's base_url ends in /v1"), message
    for path in ("/", "/nothing", "/v1/nothing", "/responsesx", "/v1"):
        assert "did you mean" not in error_of(await http.get(path))["message"]


# --- whatever comes ---

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*ResponseCreate.model_fields, *ChatCreate.model_fields, "items"])


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(FIELDS, JSON_VALUES, max_size=5) | JSON_VALUES)
def test_any_json_is_understood_or_refused_but_never_a_crash(value: Any) -> None:
    raw = json.dumps(value).encode()
    for shape in (ResponseCreate, ChatCreate, ConversationCreate):
        assert status_of(shape, raw) in (200, 400)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_understood_or_refused_but_never_a_crash(raw: bytes) -> None:
    assert status_of(ResponseCreate, raw) in (200, 400)


def status_of(shape: type[BaseModel], raw: bytes) -> int:
    try:
        parse_body(shape, raw)
    except Problem as problem:
        return problem.status
    return 200


def test_a_disconnect_in_the_middle_of_a_body_is_no_bug() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    with pytest.raises(Problem, match="ended before"):
        asyncio.run(_read(receive, None, 100))
