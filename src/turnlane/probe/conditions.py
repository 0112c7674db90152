"""Under which conditions a level runs: what an experiment changes, one thing at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from turnlane.practice import Budget, Fault, Script

DEFAULT_TURNS = 2
"""Messages of a user in one conversation: history shows from the second on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How one level is run. `dataclasses.replace` makes the conditions of an experiment from those of a level.

    Attributes:
        concurrency: users at once. Each is a new user with a new conversation.
        rounds: how often so many users come.
        turns: messages of each user, one after the other.
        overlap: messages of one conversation that are sent at once; 1 waits for each answer.
        script: the provider's script; None for the probe's own, or the one of `--script`.
        without_tools: tools that the probe's own script does not call; None for no tool at all.
        faults: faults that stand at the provider.
        budget: the provider's rate limit; None for none.
        latency: seconds that the provider takes for an answer, or a range of them; None for the script's own.
        timeout: seconds for one request; None for the probe's `--timeout`.
        disconnect_after: seconds after which the user goes away without an answer; None for never.
        seconds: no further round begins after so many; None for no such bound.
        settle: seconds to go on watching the provider after the last answer.
        fresh_process: start the program anew before (a target that was started by somebody else cannot be).
        experiment: the guard's setting of that name, such as `fresh-agents`; another one than the running
            program has starts it anew, as do the next two.
        command: the words of another start command; None for the target's own.
        environment: variables to set in the program beside the usual ones.
        fields: fields of the request's JSON to set, such as `stream: false`.
    """

    concurrency: int = 1
    rounds: int = 1
    turns: int = DEFAULT_TURNS
    overlap: int = 1
    script: Script | None = None
    without_tools: frozenset[str] | None = frozenset()
    faults: tuple[Fault, ...] = ()
    budget: Budget | None = None
    latency: float | tuple[float, float] | None = None
    timeout: float | None = None
    disconnect_after: float | None = None
    seconds: float | None = None
    settle: float = 0.0
    fresh_process: bool = False
    experiment: str | None = None
    command: Sequence[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, object] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many requests they make."""
        return self.concurrency * self.rounds * self.turns
