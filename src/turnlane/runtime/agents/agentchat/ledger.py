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
from typing import Any, Self


class Ledger:
    """Answers in the order in which they were given, by digest of the question."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, str, Any]] = []
        self._replay: dict[tuple[str, str], deque[Any]] = defaultdict(deque)
        self.human_answers: deque[str] = deque()
        self._answers_given: list[str] = []

    @classmethod
    def from_json(cls, data: Mapping[str, Any], answer: str) -> Self:
        """The ledger of a turn that asked, with the human's answer to it."""
        ledger = cls()
        for kind, asked, answered in data["kept"]:
            ledger._replay[kind, asked].append(answered)
            ledger._kept.append((kind, asked, answered))
        ledger.human_answers.extend([*data["answers"], answer])
        return ledger

    def to_json(self) -> dict[str, Any]:
        return {"kept": [list(row) for row in self._kept], "answers": list(self._answers_given)}

    @property
    def replaying(self) -> bool:
        """Whether the run has yet to arrive at the place where the human was asked."""
        return bool(self.human_answers)

    def human_answer(self) -> str | None:
        """The next answer of the human, or None: ask, and end the turn."""
        if not self.human_answers:
            return None
        answer = self.human_answers.popleft()
        self._answers_given.append(answer)
        return answer

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
