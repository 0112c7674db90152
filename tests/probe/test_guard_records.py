"""What the guard wrote, as the probe takes it."""

from __future__ import annotations

from typing import Any

import pytest

from turnlane.probe.clock import Clock
from turnlane.probe.guard_records import Window


@pytest.mark.parametrize(
    ("named", "requests"),
    [
        ({"request": "a", "requests": ["a", "b"]}, ("a", "b")),
        ({"request": None, "requests": ["a", "b"]}, ("a", "b")),
        ({"request": "a", "requests": []}, ("a",)),
        ({"request": None}, ()),
    ],
)
def test_a_hazard_names_its_requests(named: dict[str, Any], requests: tuple[str, ...]) -> None:
    (hazard,) = Window([{"kind": "hazard", "code": "TL201", **named}]).hazards(Clock())
    assert hazard.requests == requests
