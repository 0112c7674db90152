"""Keys in order of a number, the smallest first."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

K = TypeVar("K", int, str)

_SLACK = 64
"""Entries that may be out of date before the heap is made anew, besides as many as there are keys."""


class Earliest(Generic[K]):
    """A set of keys, each with an order; the first key is found in O(1), changes cost O(log n).

    A key that is dropped stays in the heap until it surfaces (removing it there would cost O(n)); the heap
    is made anew when most of it is out of date, so that it can't grow with keys that came and went.
    """

    def __init__(self) -> None:
        self._order: dict[K, float] = {}
        self._heap: list[tuple[float, K]] = []

    def __len__(self) -> int:
        return len(self._order)

    def put(self, key: K, order: float) -> None:
        """Add `key`, or move it to another place."""
        self._order[key] = order
        heapq.heappush(self._heap, (order, key))
        if len(self._heap) > 2 * len(self._order) + _SLACK:
            self._heap = [(order, key) for key, order in self._order.items()]
            heapq.heapify(self._heap)

    def drop(self, key: K) -> None:
        """Take `key` out; nothing happens when it is not in."""
        self._order.pop(key, None)

    def first(self) -> tuple[float, K] | None:
        """The smallest order with its key, or None."""
        while self._heap:
            order, key = self._heap[0]
            if self._order.get(key) == order:
                return order, key
            heapq.heappop(self._heap)
        return None
