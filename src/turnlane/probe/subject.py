"""What is known of the program before its failures are looked into, apart from what the ramp showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from turnlane.practice import Script
from turnlane.probe.inject import Injection
from turnlane.probe.verdict import StaticFinding

_JAVASCRIPT: Final = ("node", "nodejs", "npm", "npx", "pnpm", "yarn", "bun", "deno", "tsx", "ts-node", "next")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The program, as far as it decides what can be asked of it.

    Attributes:
        starts: whether the probe starts the program, and may start it anew.
        command: the words that start it.
        environment: variables of its start command.
        watched: whether the guard runs inside it.
        keeps_history: whether earlier messages of a conversation come back in its later prompts.
        carries_history: whether each request brings the whole conversation along.
        json_fields: names of the fields of a request's JSON object.
        static: what `check` found in its source.
        injection: what `--inject` asks for.
        script: the script of `--script`.
        waits_for_ever: whether the program has told OpenAI's SDK to wait without an end.
        practice: whether the practice provider answers; faults can be made then, and latencies chosen.
    """

    starts: bool = False
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    watched: bool = False
    keeps_history: bool = False
    carries_history: bool = False
    json_fields: frozenset[str] = frozenset()
    static: Sequence[StaticFinding] = ()
    injection: Injection | None = None
    script: Script | None = None
    waits_for_ever: bool = False
    practice: bool = True

    @property
    def needs_deadline(self) -> bool:
        """Whether it is a mistake, and no quick start's default, that nothing ends a turn."""
        return self.asked_for("hang") or self.found_by_check("TL306") or self.waits_for_ever

    def asked_for(self, *faults: str) -> bool:
        """Whether the user asked for one of these kinds of faults."""
        return self.injection is not None and self.injection.asks_for(*faults)

    def found_by_check(self, code: str) -> bool:
        """Whether `check` finds this hazard."""
        return any(finding.code == code for finding in self.static)

    @property
    def one_loop(self) -> bool:
        """Whether the program is known to serve everybody from one event loop that the guard does not watch."""
        words = {word.rpartition("/")[2] for word in self.command}
        return not self.watched and bool(words & {*_JAVASCRIPT})
