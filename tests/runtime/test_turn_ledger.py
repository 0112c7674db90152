"""The ledger by itself: which question gets which answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from turnlane.runtime.conversation import LedgerEntry, Usage
from turnlane.runtime.output_so_far import OutputSoFar
from turnlane.runtime.turn_ledger import TurnLedger, asked_by, digest

PAID = Usage(3, 4, 1)


class Kept:
    """Keeps entries in memory."""

    def __init__(self) -> None:
        self.entries: list[LedgerEntry] = []

    def add(self, entry: LedgerEntry) -> None:
        self.entries.append(LedgerEntry.from_json(entry.to_json()))

    async def durable(self) -> None:
        await asyncio.sleep(0)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def again(kept: Kept, turn: str = "resp_1") -> TurnLedger:
    return TurnLedger(turn, kept.entries, kept)


def answers(ledger: TurnLedger, model: str, asked: str, count: int) -> list[Any]:
    found = [ledger.model_answer(model, asked) for _ in range(count)]
    return [one and one.answer for one in found]


class TestModelCalls:
    def test_equal_questions_are_answered_in_their_order(self, kept):
        first = TurnLedger("resp_1", (), kept)
        for answer in ("x", "y"):
            assert first.model_answer("m", "q") is None
            first.model_answered("m", "q", answer, PAID)
        assert answers(again(kept), "m", "q", 3) == ["x", "y", None]

    def test_another_model_is_another_question(self, kept):
        TurnLedger("resp_1", (), kept).model_answered("m", "q", "x", PAID)
        assert again(kept).model_answer("n", "q") is None

    def test_a_third_attempt_has_the_answers_of_both(self, kept):
        TurnLedger("resp_1", (), kept).model_answered("m", "q", "x", PAID)
        second = again(kept)
        assert answers(second, "m", "q", 2) == ["x", None]
        second.model_answered("m", "q", "y", PAID)
        assert answers(again(kept), "m", "q", 3) == ["x", "y", None]
        assert len({entry.call for entry in kept.entries}) == 2

    def test_an_answer_that_is_null_is_an_answer(self, kept):
        TurnLedger("resp_1", (), kept).model_answered("m", "q", None, PAID)
        found = again(kept).model_answer("m", "q")
        assert found is not None
        assert (found.answer, found.usage) == (None, PAID)


@pytest.mark.anyio
class TestToolCalls:
    async def test_one_that_ended_is_answered_and_one_that_did_not_has_its_name_back(self, kept):
        first = TurnLedger("resp_1", (), kept)
        asks = [first.tool_ask("pay", "q") for _ in range(2)]
        for ask in asks:
            await first.tool_begins(ask, once=False)
        first.tool_ended(asks[1], "paid", once=False)
        second = again(kept)
        cut, ended = (second.tool_ask("pay", "q") for _ in range(2))
        assert (cut.call, ended.call) == (asks[0].call, asks[1].call)
        assert cut.answered is None
        assert ended.answered is not None
        assert ended.answered.answer == "paid"
        assert second.replayed == 1

    async def test_one_that_ended_in_a_later_attempt_has_ended(self, kept):
        first = TurnLedger("resp_1", (), kept)
        await first.tool_begins(first.tool_ask("pay", "q"), once=True)
        second = again(kept)
        ask = second.tool_ask("pay", "q")
        await second.tool_begins(ask, once=True)
        second.tool_ended(ask, "paid", once=True)
        third = again(kept)
        assert third.uncertain() == []
        assert third.tool_ask("pay", "q").answered is not None

    async def test_only_once_tools_without_an_end_are_uncertain(self, kept):
        first = TurnLedger("resp_1", (), kept)
        often, ended, cut = (first.tool_ask(name, name) for name in ("often", "ended", "cut"))
        await first.tool_begins(often, once=False)
        for ask in (ended, cut):
            await first.tool_begins(ask, once=True)
        first.tool_ended(ended, "x", once=True)
        assert [entry.name for entry in again(kept).uncertain()] == ["cut"]

    def test_names_differ_between_turns_tools_questions_and_repetitions(self):
        one, other = TurnLedger("resp_1"), TurnLedger("resp_2")
        asks = [one.tool_ask("a", "q"), one.tool_ask("a", "q"), one.tool_ask("b", "q"), one.tool_ask("a", "r")]
        names = {ask.call for ask in (*asks, other.tool_ask("a", "q"))}
        assert len(names) == 5
        assert all(len(name) == 32 and name.isalnum() for name in names)


class TestFromOneTurnToTheNext:
    def test_what_was_given_is_given_again_before_what_this_turn_got(self, kept):
        asked = TurnLedger("resp_1")
        asked.remember()
        asked.model_answered("m", "q", "x", PAID)
        first = TurnLedger("resp_2", (), kept)
        first.go_on_from(asked.given)
        assert answers(first, "m", "q", 2) == ["x", None]
        first.model_answered("m", "q", "y", PAID)
        second = again(kept, "resp_2")
        second.go_on_from(asked.given)
        assert [one and (one.answer, one.usage) for one in (second.model_answer("m", "q") for _ in range(3))] == [
            ("x", None),
            ("y", PAID),
            None,
        ]
        assert second.given == [("model", "q", "x"), ("model", "q", "y")]
        assert second.replayed == 1

    def test_what_version_0_1_wrote_is_found(self):
        words = digest(["hello"])
        ledger = TurnLedger("resp_2")
        ledger.go_on_from([["model", words, "x"], ["tool", words, "done"]])
        now = asked_by(words, ["ann"])
        assert ledger.model_answer("m", now).answer == "x"
        assert ledger.tool_ask("act", now).answered.answer == "done"
        assert ledger.model_answer("m", now) is None

    def test_a_run_without_humans_remembers_nothing(self):
        ledger = TurnLedger("resp_1")
        ledger.model_answered("m", "q", "x", PAID)
        assert ledger.given == []
        assert not ledger.keeps_models


class TestOutputSoFar:
    def test_items_stand_in_the_order_in_which_they_began(self):
        said = OutputSoFar()
        said.add("started", {"attempt": 1})
        said.add("text.delta", {"item": "1", "agent": "ann", "text": "on"})
        said.add("tool.call", {"item": "2", "agent": "bob", "call": "c", "name": "pay", "arguments": "{}"})
        said.add("text.delta", {"item": "1", "agent": "ann", "text": "e"})
        assert said.items() == [
            {
                "type": "message",
                "item": "1",
                "agent": "ann",
                "text": "one",
                "phase": "commentary",
                "incomplete": "interrupted",
                "structured": None,
            },
            {
                "type": "tool",
                "item": "2",
                "agent": "bob",
                "call": "c",
                "name": "pay",
                "arguments": "{}",
                "output": None,
                "error": None,
            },
        ]

    def test_a_message_that_is_whole_takes_the_place_of_its_pieces(self):
        said = OutputSoFar()
        said.add("reasoning.delta", {"item": "1", "agent": "ann", "text": "hm"})
        said.add("text.delta", {"item": "2", "agent": "ann", "text": "on"})
        whole = {"item": "2", "agent": "ann", "text": "one", "phase": None, "incomplete": None, "structured": None}
        said.add("message", whole)
        assert said.items() == [
            {"type": "reasoning", "item": "1", "agent": "ann", "text": "hm"},
            {"type": "message", **whole, "phase": "commentary"},
        ]

    def test_a_tool_that_came_back_has_its_output(self):
        said = OutputSoFar()
        said.add("tool.call", {"item": "1", "agent": "ann", "call": "c", "name": "pay", "arguments": "{}"})
        said.add(
            "tool.result", {"item": "1", "agent": "ann", "call": "c", "name": "pay", "output": "x", "error": None}
        )
        said.add(
            "tool.result", {"item": "9", "agent": "ann", "call": "d", "name": "pay", "output": "y", "error": None}
        )
        assert [(item["item"], item["output"]) for item in said.items()] == [("1", "x")]
