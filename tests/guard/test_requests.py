"""Whose conversation a request belongs to, as far as its fields say so."""

from __future__ import annotations

import pytest

from turnlane.guard.requests import Request


def request(**fields: object) -> Request:
    made = Request("test", "POST /chat")
    made.learn(fields)
    return made


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"conversation_id": "a"}, {"conversation_id": "a"}, True),
        ({"conversation_id": "a"}, {"conversation_id": "b"}, False),
        ({"conversation_id": "a", "user": "x"}, {"conversation_id": "b", "user": "x"}, False),
        ({"user_id": 7}, {"user_id": 7}, True),
        ({"patient_no": 7}, {"patient_no": 8}, False),
        ({"phone_number": "+49"}, {"phone_number": "+49"}, True),
        ({"guest": "ann"}, {"guest": "ann"}, True),
        ({"product_id": 7}, {"product_id": 8}, None),
        ({"message": "hi"}, {"message": "hi"}, None),
        ({"conversation_id": "a"}, {"user_id": "a"}, None),
        # One key of an API, one tenant: many users.
        ({"authorization": "Bearer x"}, {"authorization": "Bearer x"}, None),
        ({"tenant": "acme"}, {"tenant": "acme"}, None),
        ({"authorization": "Bearer x"}, {"authorization": "Bearer y"}, False),
    ],
)
def test_same_conversation(one: dict[str, object], other: dict[str, object], same: bool | None) -> None:
    assert request(**one).same_conversation(request(**other)) is same


def test_names_are_compared_without_case_and_dashes() -> None:
    assert request(**{"X-Session-Id": "a"}).same_conversation(request(x_session_id="a")) is True


def test_a_body_is_read_one_level_deep() -> None:
    made = Request("test", "POST /chat")
    made.learn_json(b'{"text": "hi", "user": {"id": 5, "name": "Ann"}, "meta": {"thread_id": "t"}}')
    assert made.conversation == "thread_id=t, user_id=5"


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b"\xff", b'{"user": null}'])
def test_other_bodies_say_nothing(body: bytes) -> None:
    made = Request("test", "POST /chat")
    made.learn_json(body)
    assert made.conversation is None


def test_a_value_of_any_field_is_known_again() -> None:
    made = Request("asgi", "POST /players/zoe/chat")
    made.learn({"authorization": "Bearer secret-1"})
    made.notes["brought"] = {"who": "max", "message": "I am tim"}
    assert [value for value in ("zoe", "max", "tim", "secret-1", "secret", "") if made.brought(value)] == [
        "zoe", "max", "secret-1"
    ]  # fmt: skip


def test_credentials_are_told_apart_and_not_kept() -> None:
    one, other = request(authorization="Bearer secret-1"), request(authorization="Bearer secret-2")
    assert one.keys["authorization"] != other.keys["authorization"]
    assert "secret" not in f"{one.conversation}{request(sessionid='secret')}{request(user_token='secret').keys}"
