"""The text of answers in the shapes that programs have, and what says that they failed."""

from __future__ import annotations

import json

import pytest

from turnlane.probe.answer_text import answer_text, error_in, html_text, is_html, refusal_text

JSON = "application/json"
EVENTS = "text/event-stream"


@pytest.mark.parametrize(
    "value",
    [
        {"answer": "Hello"},
        {"reply": "Hello", "conversation_id": "7"},
        {"data": {"message": {"content": "Hello"}}},
        {"choices": [{"message": {"content": "Hello"}}]},
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
        "Hello",
    ],
)
def test_the_spoken_part_of_json(value: object) -> None:
    assert answer_text(json.dumps(value), JSON) == "Hello"


def test_a_path_that_is_given_is_taken() -> None:
    body = json.dumps({"answer": "no", "parts": [{"t": "yes"}]})
    assert answer_text(body, JSON, "parts.0.t") == "yes"
    assert answer_text(body, JSON, "parts.4.t") == "null"


@pytest.mark.parametrize(
    "events",
    [
        [
            'data: {"choices": [{"delta": {"content": "Hel"}}]}',
            'data: {"choices": [{"delta": {"content": "lo"}}]}',
        ],
        ['data: {"type": "text-delta", "id": "1", "delta": "Hel"}', 'data: {"type": "text-delta", "delta": "lo"}'],
        ["data: Hel", "data: lo"],
        ['0:"Hel"', '0:"lo"'],
        ['data: {"content": "Hel"}', 'data: {"content": "lo"}'],
    ],
)
def test_the_text_of_streams(events: list[str]) -> None:
    assert answer_text("\n\n".join([*events, "data: [DONE]", ""]), EVENTS) == "Hello"


def test_errors_inside_answers_that_claim_success() -> None:
    assert error_in('{"error": {"message": "quota"}}', JSON) == "quota"
    assert error_in('data: {"type": "error", "errorText": "broke"}\n\n', EVENTS) == "error: broke"
    assert error_in('{"answer": "fine", "error": null}', JSON) is None
    assert error_in('{"answer": "no such order", "error": "not_found"}', JSON) is None
    assert error_in("plain text about an error", "text/plain") is None


def test_what_a_refusal_says() -> None:
    unprocessable = {"detail": [{"loc": ["body", "message"], "msg": "Field required", "type": "missing"}]}
    assert refusal_text(json.dumps(unprocessable), JSON) == "missing: body.message: Field required"
    assert refusal_text('{"detail": "no key"}', JSON) == "no key"
    assert refusal_text("Internal Server Error", "text/plain") == "Internal Server Error"
    page = "<!doctype html><html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>"
    assert refusal_text(page, "text/html") == "502 Bad Gateway: nginx"


def test_pages_are_told_from_texts() -> None:
    assert is_html("  <!DOCTYPE html><html>")
    assert not is_html('{"html": "<html>"}')
    assert html_text("<html><body><script>var x</script><p>Sign in</p></body></html>") == "Sign in"


@pytest.mark.parametrize("depth", [900, 200_000])
def test_a_body_that_nests_too_deep_is_taken_as_it_is(depth: int) -> None:
    for opening, closing in (("[", "]"), ('{"answer":', "}"), ('{"error":', "}")):
        body = opening * depth + "1" + closing * depth
        for text in (body, f"data: {body}"):
            assert answer_text(text, "application/json").startswith(("data", opening, "1"))
            assert error_in(text, "application/json") is None or depth == 900
            assert refusal_text(text, "application/json")
