"""Model calls that go to the probe's provider, wherever the program sends them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from turnlane.guard.launch import environment
from turnlane.guard.redirect import TAG, redirected
from turnlane.guard.settings import GuardSettings
from turnlane.practice import PracticeProvider, Rule

HERE = "http://127.0.0.1:4000/v1"
RULES = {"*": HERE, "http://127.0.0.1:8000": ""}


@pytest.mark.parametrize(
    ("url", "goes_to"),
    [
        ("https://api.openai.com/v1/chat/completions", f"{HERE}/chat/completions"),
        ("https://api.openai.com/v1/responses", f"{HERE}/responses"),
        ("https://api.openai.com/v1/models?limit=3", f"{HERE}/models?limit=3"),
        ("http://localhost:11434/v1/chat/completions", f"{HERE}/chat/completions"),
        (
            "https://shop.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
            f"{HERE}/chat/completions",
        ),
        (f"{HERE}/chat/completions", f"{HERE}/chat/completions"),
        ("http://127.0.0.1:8000/v1/chat/completions", None),
        ("http://127.0.0.1:80001/v1/chat/completions", f"{HERE}/chat/completions"),
        ("https://example.org/orders/7", None),
    ],
)
def test_where_a_call_goes(url: str, goes_to: str | None) -> None:
    assert redirected(url, RULES) == goes_to


def test_the_longest_beginning_holds() -> None:
    rules = {"http://models:1": "http://a", "http://models:1/v1/special": "http://b/v2"}
    assert redirected("http://models:1/v1/chat/completions", rules) == "http://a/v1/chat/completions"
    assert redirected("http://models:1/v1/special/chat/completions", rules) == "http://b/v2/chat/completions"


PROGRAM = """
import asyncio, json, sys
import httpx2
from turnlane.guard import requests

body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
url = "https://models.invalid/v1/chat/completions"

async def main():
    with requests.within(requests.Request("test", "POST /chat", id="request-7")):
        async with httpx2.AsyncClient() as http:
            first = await http.post(url, json=body)
    with httpx2.Client() as http:
        second = http.post(url, json=body)
        try:
            http.get("https://other.invalid/")
        except httpx2.ConnectError:
            other = "not ours"
    print(json.dumps([first.json()["choices"][0]["message"]["content"], second.status_code, other]))

asyncio.run(main())
"""


def test_a_program_with_the_address_in_its_source() -> None:
    with PracticeProvider.in_thread([Rule(say="Hello")]) as provider:
        settings = GuardSettings(redirect={"*": provider.base_url}, summary=False, output=os.devnull)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment(settings), capture_output=True, text=True, timeout=60
        )
        assert json.loads(done.stdout) == ["Hello", 200, "not ours"], done.stderr
        tags = [request.headers.get(TAG) for request in provider.requests]
    assert tags == ["request-7", None]
