"""What a human answered, for agents that ask one in the middle of a run.

A team that asks in the middle of its run can't be saved in the middle. So the turn ends with the state from
before it, and with all that it was answered (`TurnLedger.given`). When the human's answer arrives, the same input
runs again, is answered as before, arrives at the same place, gets the human's answer there, and goes on.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from turnlane.runtime.turn_ledger import TurnLedger


class HumanAsked(Exception):
    """Ends the run at the place where a human is asked."""


class HumanAnswers:
    """Stands for the humans of one run. Nothing new begins once one is asked."""

    def __init__(self, ledger: TurnLedger) -> None:
        self._ledger = ledger
        ledger.remember()
        ledger.before_new = self._check
        self._waiting: defaultdict[str, deque[str]] = defaultdict(deque)
        self._answers: list[tuple[str, str]] = []
        """Which agent stood for the human, and what the human said."""
        self.question: tuple[str, str] | None = None
        """Who asks the human, and what. Set once."""

    def go_on_from(self, data: Mapping[str, Any], answer: str) -> None:
        """Go on from a turn that asked (its `to_json`), with the human's answer to it."""
        self._ledger.go_on_from(data["kept"])
        self._answers = [(agent, text) for agent, text in data["answers"]]
        self._answers.append((data["asked_by"], answer))
        for agent, text in self._answers:
            self._waiting[agent].append(text)

    def to_json(self) -> dict[str, Any]:
        return {
            "kept": [list(row) for row in self._ledger.given],
            "answers": [list(row) for row in self._answers],
            "asked_by": self.question[0] if self.question else None,
        }

    def answer(self, agent: str, prompt: str) -> str:
        """The next answer of the human.

        Raises:
            HumanAsked: there is none yet; the turn ends with this question.
        """
        if self.question is None and self._waiting[agent]:
            return self._waiting[agent].popleft()
        self.question = self.question or (agent, prompt)
        raise HumanAsked

    def _check(self) -> None:
        """What another branch of the run would begin now, the next turn begins again."""
        if self.question is not None:
            raise HumanAsked
