"""The guard in this process, for one test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnlane import guard


class Watched:
    """What the guard has written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def records(self) -> list[dict[str, Any]]:
        text = self.path.read_text() if self.path.exists() else ""
        # Who reads while another thread writes may see a part of the last line.
        return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["kind"] == kind]

    @property
    def hazards(self) -> list[dict[str, Any]]:
        """The hazards; the guard's own trouble fails the test that looks at them."""
        assert self.of_kind("trouble") == []
        return self.of_kind("hazard")

    @property
    def codes(self) -> set[str]:
        return {record["code"] for record in self.hazards}

    def hazard(self, code: str) -> dict[str, Any]:
        """The only hazard with this code."""
        (found,) = [record for record in self.hazards if record["code"] == code]
        return found


@pytest.fixture
def guard_settings() -> dict[str, Any]:
    """What `watched` is told to do; for modules to override."""
    return {}


@pytest.fixture
def watched(tmp_path: Path, guard_settings: dict[str, Any]) -> Iterator[Watched]:
    """The guard, installed until the end of the test."""
    seen = Watched(tmp_path / "records.jsonl")
    guard.install(output=str(seen.path), summary=False, **guard_settings)
    yield seen
    guard.uninstall()
