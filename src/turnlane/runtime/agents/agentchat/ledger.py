"""What models and tools answered in a turn that stopped to ask a human.

A team that asks in the middle of its run can't be saved in the middle. So the turn ends with the state from
before it, and with this ledger. When the human's answer arrives, the same input runs again, and every
question that was already answered gets its answer from the ledger, not from the provider or the tool; the
run arrives at the same place, gets the human's answer there, and goes on. It works for every team, however
nested, and after a restart, because it relies on nothing of the framework's inside.

A question that does not come again (a prompt with the time of day in it) is asked anew.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any


class HumanAsked(Exception):
    """Ends the run at the place where a human is asked."""


class Ledger:
    """Answers in the order in which they were given, by digest of the question."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, str, Any]] = []
        self._replay: dict[tuple[str, str], deque[Any]] = defaultdict(deque)
        self._human_answers: dict[str, deque[str]] = defaultdict(deque)
        self._answers: list[tuple[str, str]] = []
        """Which agent stood for the human, and what the human said."""
        self.question: tuple[str, str] | None = None
        """Who asks the human, and what. Set once; nothing new begins after it."""

    def replay(self, data: Mapping[str, Any], answer: str) -> None:
        """Go on from the ledger of a turn that asked (its `to_json`), with the human's answer to it."""
        for kind, asked, answered in data["kept"]:
            self._replay[kind, asked].append(answered)
            self._kept.append((kind, asked, answered))
        self._answers = [(agent, text) for agent, text in data["answers"]]
        self._answers.append((data["asked_by"], answer))
        for agent, text in self._answers:
            self._human_answers[agent].append(text)

    def to_json(self) -> dict[str, Any]:
        return {
            "kept": [list(row) for row in self._kept],
            "answers": [list(row) for row in self._answers],
            "asked_by": self.question[0] if self.question else None,
        }

    def human_answer(self, agent: str, prompt: str) -> str:
        """The next answer of the human.

        Raises:
            HumanAsked: there is none yet; the turn ends with this question.
        """
        if self.question is None and self._human_answers[agent]:
            return self._human_answers[agent].popleft()
        self.question = self.question or (agent, prompt)
        raise HumanAsked

    def check(self) -> None:
        """Raises HumanAsked once a human is asked: what another branch of the run would begin now, the next
        turn begins again."""
        if self.question is not None:
            raise HumanAsked

    def model_answer(self, asked: str) -> Any | None:
        return self._next("model", asked)

    def keep_model_answer(self, asked: str, answered: Any) -> None:
        self._kept.append(("model", asked, answered))

    def tool_answer(self, asked: str) -> Any | None:
        return self._next("tool", asked)

    def keep_tool_answer(self, asked: str, answered: Any) -> None:
        self._kept.append(("tool", asked, answered))

    def _next(self, kind: str, asked: str) -> Any | None:
        waiting = self._replay.get((kind, asked))
        return waiting.popleft() if waiting else None
