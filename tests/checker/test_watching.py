"""A check for each change, and none without."""

from __future__ import annotations

from collections.abc import Iterator

from turnlane.checker.watching import watch


def test_it_checks_once_for_each_change() -> None:
    looks: Iterator[dict[str, tuple[int, int, int]]] = iter(
        [{"a": (1, 1, 1)}, {"a": (1, 1, 1)}, {"a": (2, 2, 1)}, {"a": (2, 2, 1)}, {}]
    )
    waits = iter([True, True, True, True, False])
    checks: list[int] = []
    watch(lambda: checks.append(1), lambda: next(looks), lambda: next(waits))
    assert len(checks) == 3
    assert next(waits, None) is None
