"""A function under a certain call: whose `self`, which arguments, which variables it closes over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turnlane.checker.python.facts import Scope
    from turnlane.checker.python.program import ModuleView
    from turnlane.checker.python.values import Ref


class Frame:
    """One way in which a scope runs. Frames are made by `Evaluator` only, each once, and compared by identity."""

    __slots__ = ("arguments", "calls", "closure", "depth", "free", "names", "receiver", "scope", "view")

    def __init__(
        self,
        view: ModuleView,
        scope: Scope,
        receiver: Ref | None,
        arguments: Mapping[str, tuple[Ref, ...]],
        closure: Frame | None,
        *,
        free: bool,
        depth: int,
    ) -> None:
        self.view = view
        self.scope = scope
        self.receiver = receiver
        self.arguments = arguments
        self.closure = closure
        self.free = free
        """True when the callers are not known: parameters are what annotations and defaults say."""
        self.depth = depth
        self.calls: dict[int, tuple[Ref, ...] | None] = {}
        """What is known of each call's value; None while it is being worked out."""
        self.names: dict[str, tuple[Ref, ...] | None] = {}

    @property
    def path(self) -> str:
        return self.view.path

    @property
    def place(self) -> tuple[str, int]:
        """Path and scope: what all frames of one function share."""
        return self.view.path, self.scope.number

    def __repr__(self) -> str:
        return f"Frame({self.view.path}:{self.scope.qualname})"
