"""Runs of a page belong to its session."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from tests.guard.conftest import Watched

from turnlane.guard import requests

PAGE = """
import streamlit as st
st.write("hello")
"""


@pytest.fixture
def ended(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> list[requests.Request]:
    """The runs of pages, as they end."""
    seen: list[requests.Request] = []

    def note(request: Any) -> None:
        if request.host == "streamlit":
            seen.append(request)

    monkeypatch.setattr(requests, "ending", [*requests.ending, note])
    return seen


def test_users_of_a_tested_page_are_two(ended: list[requests.Request]) -> None:
    """Though all have one id there."""
    ann, bob = AppTest.from_string(PAGE), AppTest.from_string(PAGE)
    for user in (ann, ann, bob):
        user.run()
    first, again, other = ended
    assert first.same_conversation(again) is True
    assert first.same_conversation(other) is False
