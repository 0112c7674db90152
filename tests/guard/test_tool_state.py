"""What a function does with the state outside it, read from its bytecode: alike in every version of Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from turnlane.guard.tool_state import plan_of

stock = {"tea": {"pieces": 1}}
total = 0


async def wait() -> None: ...


class Shop:
    def __init__(self) -> None:
        self.sold = 0
        self.left = {"tea": 1}

    async def set_later(self, count: int) -> None:
        before = self.sold
        await wait()
        after = before + count
        self.sold = after

    async def entry(self, item: str, count: int) -> None:
        left = self.left[item]
        await wait()
        self.left[item] = left - count


async def of_module(count: int) -> None:
    global total
    before, more = total, count
    await wait()
    total = before + more


async def entry_by_its_own_name(item: str, key: str, count: int) -> None:
    record = stock[item]
    before = record[key]
    await wait()
    after = before + count
    record[key] = after


@pytest.mark.parametrize(
    ("function", "name", "uses"),
    [
        (Shop().set_later, "Shop.sold", ["reads", "writes"]),
        (Shop().entry, "Shop.left", ["reads", "writes"]),
        (of_module, "total", ["reads", "writes"]),
        (entry_by_its_own_name, "stock", ["reads", "reads", "writes"]),
    ],
)
def test_what_is_read_and_changed(function: Callable[..., Any], name: str, uses: list[str]) -> None:
    plan = plan_of(function)
    assert plan is not None
    found = [use for code in plan.uses.values() for use in code if use.root is not None]
    assert [("reads" if use.reads else "writes") for use in found] == uses
    assert {use.root.name for use in found if use.root is not None} == {name}
