"""Secrets are masked by shape, by name and by value, and nothing else is touched."""

from __future__ import annotations

import json
import re
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from turnlane.telemetry import redact as module
from turnlane.telemetry.redact import MASK, redactor, secret_values

clean = redactor()
SECRET_TEXT = st.text(string.ascii_letters + string.digits, min_size=20, max_size=40)
AROUND = st.text(string.ascii_lowercase + " .,\n'\"", max_size=20)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key sk-proj-abcDEF123456 used", "key sk-*** used"),
        ("Authorization: Bearer abc.def-ghi123", "Authorization: Bearer ***"),
        ("AKIAIOSFODNN7EXAMPLE in us-east-1", "AKIA*** in us-east-1"),
        ("token ghp_0123456789abcdefghij", "token ghp_***"),
        ("secret dsn=postgres://u:p@h/db", "secret dsn=postgres://u:***@h/db"),
        ("redis://:hunter2@cache:6379/0", "redis://:***@cache:6379/0"),
        ("amqp://u:p@ss@h/v", "amqp://u:***@h/v"),
        ("password=hunter2 next", "password=*** next"),
        ("api_key: 'a b c', x", "api_key: '***', x"),
        ('{"client_secret": "s3cr3t", "n": 1}', '{"client_secret": "***", "n": 1}'),
        (r"{\"password\": \"a b\", \"n\": 1}", r"{\"password\": \"***\", \"n\": 1}"),
        ("AWS_SECRET_ACCESS_KEY=abc/def", "AWS_SECRET_ACCESS_KEY=***"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end", "eyJ*** end"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n", "-----BEGIN RSA PRIVATE KEY-----***"),
    ],
)
def test_secret_is_masked(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "max_tokens=100 input_tokens: 5",
        "KeyError: 'P-404'",
        "http://127.0.0.1:8080/v1/responses",
        "https://example.com/a@b:c",
        "resp_0123456789abcdef0123456789abcdef0123",
        "the keyboard has 104 keys: all work",
        "a risk-free task-list",
        "basic facts: none",
    ],
)
def test_ordinary_text_is_returned_as_the_same_object(text: str) -> None:
    assert clean(text) is text


@given(before=AROUND, secret=SECRET_TEXT, after=AROUND)
def test_key_is_masked_in_any_surroundings(before: str, secret: str, after: str) -> None:
    assume(secret not in before + after)
    cleaned = clean(f"{before} sk-{secret} {after}")
    assert secret not in cleaned
    assert MASK in cleaned


@given(value=st.text(min_size=8, max_size=40), before=st.text(max_size=20), after=st.text(max_size=20))
def test_value_of_a_secret_variable_is_masked_anywhere(value: str, before: str, after: str) -> None:
    # With "*" in the value, the mask itself could complete it again.
    if "*" in value:
        return
    assert value not in redactor([value])(before + value + after).replace(MASK, "\0\0\0")


@given(password=st.text(string.ascii_letters + string.digits + "!$%*+-_.@", min_size=1, max_size=20))
def test_password_in_an_address_is_masked_and_the_host_stays(password: str) -> None:
    assert clean(f"postgres://app:{password}@db.internal:5432/x") == "postgres://app:***@db.internal:5432/x"


@given(st.dictionaries(st.sampled_from(["password", "token", "api_key", "n"]), st.text(max_size=20)))
def test_json_text_stays_readable(data: dict[str, str]) -> None:
    assert set(json.loads(clean(json.dumps(data)))) == set(data)


@given(st.text(max_size=200))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = clean(text)
    assert clean(once) == once


PIECES = [
    "sk-",
    "password",
    "token",
    "=",
    ":",
    " ",
    "'",
    "://",
    "u",
    "@",
    "Bearer ",
    "AKIA",
    "eyJ",
    ".",
    "a" * 20,
    "B" * 16,
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_the_quick_look_never_misses_what_the_patterns_would_find(text: str) -> None:
    full = re.compile("|".join([*module._SHAPES, module._PAIR]), re.DOTALL)
    if full.search(text):
        assert module._may_hold_a_secret(text)


def test_secret_variables_are_known_by_their_names() -> None:
    environ = {
        "OPENAI_API_KEY": "value-of-openai",
        "PGPASSWORD": "value-of-pg",
        "GITHUB_TOKEN": "value-of-github",
        "KEYBOARD": "us-international",
        "TOKENIZERS_PARALLELISM": "disabled-by-me",
        "TURNLANE_API_KEY_FILE": "/etc/turnlane/keys",
        "SHORT_SECRET": "abc",
        "HOME": "/home/someone",
    }
    assert set(secret_values(environ)) == {"value-of-openai", "value-of-pg", "value-of-github"}


def test_secrets_that_share_a_variable_are_masked_one_by_one() -> None:
    keys = {"TURNLANE_API_KEYS": "ann 0123456789abcdef-a admin, bob 0123456789abcdef-b"}
    masked = redactor(secret_values(keys))("wrong key 0123456789abcdef-b of ann")
    assert masked == "wrong key *** of ann"


def test_longer_value_is_masked_whole_when_a_shorter_is_a_part_of_it() -> None:
    assert redactor(["abcdefgh", "abcdefghijkl"])("x abcdefghijkl y") == "x *** y"


def test_secrets_are_taken_again_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_redact", None)
    assert module.redact("value: quite-a-word") == "value: quite-a-word"
    module.remember_secrets({"SOME_TOKEN": "quite-a-word"})
    assert module.redact("value: quite-a-word") == "value: ***"
