"""A warning tells the program's line, as it does without the guard."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from turnlane.guard import patching


class Entries:
    """Entry points of each kind, that warn of the line that uses them."""

    async def awaited(self) -> int:
        warnings.warn("awaited", stacklevel=2)
        return 1

    async def iterated(self) -> AsyncIterator[int]:
        warnings.warn("iterated", stacklevel=2)
        yield 1

    def called(self) -> int:
        warnings.warn("called", stacklevel=2)
        return 1


class Made:
    def __new__(cls) -> Any:
        warnings.warn("made", stacklevel=2)
        return object.__new__(cls)


@pytest.fixture
def entries() -> Any:
    for name in ("awaited", "iterated", "called"):
        patching.watch_entry(Entries, name, patching.Plain())
    patching.watch_construction(Made, "agent")
    yield Entries()
    patching.undo_all()


@pytest.mark.anyio
async def test_a_warning_is_about_the_line_that_uses_an_entry_point(entries: Entries) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await entries.awaited()
        async for _ in entries.iterated():
            pass
        entries.called()
        Made()
    assert {str(one.message): one.filename for one in caught} == dict.fromkeys(
        ("awaited", "iterated", "called", "made"), __file__
    )


def test_to_watch_an_entry_point_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watched = [patching.watch_entry(Entries, name, patching.Plain()) for name in ("awaited", "iterated")]
    patching.undo_all()
    assert watched == [True, True]
