"""The seam to what all workers share about model providers: limits that hold for all of them together.

An engine that serves several processes offers a `SharedLimits` (`Engine.shared_limits`). To the runtime it is a
few small texts that change atomically, one for each provider, and a way to tell the others of a change. What a
text says, and who gets which share, is decided by the runtime and not by the store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class SharedLimits(Protocol):
    """What a store must do for limits that workers share. All methods run on the event loop and never block it."""

    async def update(self, provider: str, change: Callable[[str | None, float], tuple[str, T]]) -> T:
        """Change what is kept of a provider, as if nobody else did so at the same time.

        Args:
            change: is given the text kept (None: none) and the store's clock in seconds, and returns the new text
                and what `update` returns. It may be called several times and must do nothing else.

        Raises:
            EngineUnavailable: the store can't be used, or too many others change the text; nothing was changed.
        """
        ...

    async def announce(self, provider: str, news: str) -> None:
        """Tell all other processes, soon and at least most of the time. `news` is short (under 1,000 characters).

        Raises:
            EngineUnavailable: nobody was told.
        """
        ...

    def listen(self, hear: Callable[[str, str], None]) -> Callable[[], None]:
        """Call `hear(provider, news)` on the event loop for what others announce (and perhaps what oneself did).

        Returns a function that ends it. News may be lost while the store can't be reached.
        """
        ...
