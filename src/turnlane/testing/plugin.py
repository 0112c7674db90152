"""The pytest plugin: fixtures for tests of your own agents. It imports no framework until a fixture is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from turnlane.practice import PracticeProvider


@pytest.fixture
def practice_provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[PracticeProvider]:
    """A practice provider in a thread of its own; `OPENAI_BASE_URL` and `OPENAI_API_KEY` point at it.

    `practice_provider.requests` holds what your agents sent; give it rules of your own with
    `practice_provider.script = Script([...])`.
    """
    from turnlane.practice import PracticeProvider

    with PracticeProvider.in_thread() as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "practice")
        yield provider
