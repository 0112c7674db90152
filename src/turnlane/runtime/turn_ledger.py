"""What a turn has already asked and been answered: asked again, the same question gets the same answer.

A run can't be saved in its middle, but it can be run again. Then the questions come again in the same order, and
each that was answered is answered from here instead of by the provider or the tool; so the run arrives at the
place where it stopped, and goes on. It works for every agent and team, however nested, because it relies on
nothing of a framework's inside. A question that does not come again (a prompt with the time of day in it) is asked
anew.

Two things make a run begin again, and their answers live differently long:

- The owner of a turn died or gave it back. Its entries were kept by the engine (`Recorder`), arrive with the claim
  of the next attempt and are forgotten when the turn ends.
- The turn ended with a question to a human. Its answers are part of the conversation's saved state
  (`TurnLedger.given`), until the turn with the human's answer has gone on from them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from turnlane.runtime.conversation import LedgerEntry, Usage

Kind: TypeAlias = Literal["model", "tool"]

Given: TypeAlias = tuple[Kind, str, Any]
"""A kind of question, its digest, and its answer."""


class Recorder(Protocol):
    """Keeps entries for further attempts, in order."""

    def add(self, entry: LedgerEntry) -> None:
        """Keep an entry soon."""
        ...

    async def durable(self) -> None:
        """Return when everything added before is kept; never when the attempt no longer owns its turn."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of before."""

    answer: Any
    usage: Usage | None
    """What it cost this turn; None: an earlier turn asked and paid."""


@dataclass(frozen=True, slots=True)
class ToolAsk:
    """One call of a tool. `call` names it, in every attempt of the turn alike."""

    name: str
    asked: str
    call: str
    answered: Answered | None


class TurnLedger:
    """The questions and answers of one attempt.

    Args:
        turn: the turn's id; names of calls are made with it.
        entries: what earlier attempts recorded, in order.
        recorder: keeps what this attempt does; None: nothing is kept.
        only_once: keep only calls of tools that must not run a second time.
    """

    def __init__(
        self,
        turn: str = "",
        entries: Sequence[LedgerEntry] = (),
        recorder: Recorder | None = None,
        *,
        only_once: bool = False,
    ) -> None:
        self._turn = turn
        self._recorder = recorder
        self._only_once = only_once
        self._models: defaultdict[tuple[str, str], deque[LedgerEntry]] = defaultdict(deque)
        self._tools: dict[str, LedgerEntry] = {}
        self._before: defaultdict[tuple[str, str], deque[Any]] = defaultdict(deque)
        self._asked: Counter[tuple[str, str]] = Counter()
        self._given: list[Given] | None = None
        self.replayed = 0
        """How many questions were answered as in an earlier attempt of this turn."""
        self.before_new: Callable[[], None] = _nothing
        """Called before a question goes to the provider or a tool; what it raises keeps it from there."""
        for entry in entries:
            self._enter(entry)

    def _enter(self, entry: LedgerEntry) -> None:
        if entry.kind == "model":
            self._models[entry.name, entry.asked].append(entry)
        elif entry.phase == "ended" or entry.call not in self._tools:
            self._tools[entry.call] = entry

    @property
    def keeps_models(self) -> bool:
        """Whether model calls have to be told apart at all."""
        recorded = self._recorder is not None and not self._only_once
        return recorded or self._given is not None or bool(self._models)

    def uncertain(self) -> list[LedgerEntry]:
        """Calls of tools that must not run a second time, and of which nobody knows whether they ran."""
        return [entry for entry in self._tools.values() if entry.once and entry.phase == "begun"]

    # --- model calls ---

    def model_answer(self, model: str, asked: str) -> Answered | None:
        """The next answer that this question got before; None: ask the provider."""
        if (before := self._from_before("model", asked)) is not None:
            return before
        waiting = self._models.get((model, asked))
        if not waiting:
            return None
        entry = waiting.popleft()
        self._name_next(model, asked)
        return self._again("model", asked, Answered(entry.answer, entry.usage))

    def model_answered(self, model: str, asked: str, answer: Any, usage: Usage) -> None:
        """The provider answered."""
        self._give("model", asked, answer)
        call = self._name_next(model, asked)
        self._record(LedgerEntry("model", "ended", asked, call, model, answer=answer, usage=usage))

    # --- tool calls ---

    def tool_ask(self, name: str, asked: str) -> ToolAsk:
        """A tool is to be called: under which name, and with what result if it was called before."""
        if (before := self._from_before("tool", asked)) is not None:
            return ToolAsk(name, asked, "", before)
        call = self._name_next(name, asked)
        entry = self._tools.get(call)
        if entry is None or entry.phase == "begun":
            return ToolAsk(name, asked, call, None)
        return ToolAsk(name, asked, call, self._again("tool", asked, Answered(entry.answer, entry.usage)))

    async def tool_begins(self, ask: ToolAsk, *, once: bool) -> None:
        """To be awaited before the tool starts: from here on another attempt knows that it may have run."""
        self._record(LedgerEntry("tool", "begun", ask.asked, ask.call, ask.name, once))
        if self._recorder is not None and (once or not self._only_once):
            await self._recorder.durable()

    def tool_ended(self, ask: ToolAsk, answer: Any, *, once: bool) -> None:
        """The tool came back, or was given up for its time-out."""
        self._give("tool", ask.asked, answer)
        self._record(LedgerEntry("tool", "ended", ask.asked, ask.call, ask.name, once, answer))

    # --- from one turn to the next ---

    def remember(self) -> None:
        """Keep `given` from now on: this run may end with a question to a human."""
        self._given = self._given or []

    @property
    def given(self) -> list[Given]:
        """Every answer this run was given, for the turn that goes on from it."""
        return list(self._given or ())

    def go_on_from(self, given: Iterable[Sequence[Any]]) -> None:
        """Answer as an earlier turn was answered (its `given`)."""
        self.remember()
        for kind, asked, answer in given:
            self._before[kind, asked].append(answer)
            self._give(kind, asked, answer)

    def _from_before(self, kind: Kind, asked: str) -> Answered | None:
        # Version 0.1 wrote the first half of the digest only.
        waiting = self._before.get((kind, asked)) or self._before.get((kind, asked.partition(".")[0]))
        return Answered(waiting.popleft(), None) if waiting else None

    # --- inside ---

    def _name_next(self, name: str, asked: str) -> str:
        """The name of the next call with this question: the same in every attempt of the turn."""
        self._asked[name, asked] += 1
        return digest([self._turn, name, asked, self._asked[name, asked]])[:32]

    def _again(self, kind: Kind, asked: str, answered: Answered) -> Answered:
        self.replayed += 1
        self._give(kind, asked, answered.answer)
        return answered

    def _give(self, kind: Kind, asked: str, answer: Any) -> None:
        if self._given is not None:
            self._given.append((kind, asked, answer))

    def _record(self, entry: LedgerEntry) -> None:
        if self._recorder is not None and (entry.once or not self._only_once):
            self._recorder.add(entry)


def digest(what: object) -> str:
    """A digest of JSON, the same in every process."""
    text = json.dumps(what, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def asked_by(words: str, who: object) -> str:
    """The digest of a question: of its words, and of who asks whom in which way."""
    return f"{words}.{digest(who)[:16]}"


def _nothing() -> None:
    pass
