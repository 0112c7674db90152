"""The history checker: histories of a server that keeps its promises pass, each broken rule is found."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlane.testing.history import (
    KINDS,
    Accepted,
    Answered,
    Event,
    History,
    Listed,
    Ran,
    Refused,
    Replayed,
    Sent,
    Streamed,
    check,
)


@dataclass
class Simulation:
    """A server that keeps its promises, and clients that write down what they see."""

    chance: random.Random
    now: float = 0.0
    history: History = field(default_factory=History)

    def tick(self) -> float:
        self.now += self.chance.uniform(0.001, 0.1)
        return self.now

    def run(self, conversations: int, turns: int) -> History:
        for number in range(conversations):
            Lane(self, f"conv-{number}", f"canary-{number}x").run(turns)
        return self.history


@dataclass
class Lane:
    simulation: Simulation
    name: str
    canary: str
    kept: list[str] = field(default_factory=list)
    listing: list[tuple[str, str]] = field(default_factory=list)

    def run(self, turns: int) -> None:
        self.simulation.history.opened(self.name, self.canary)
        for number in range(turns):
            self.turn(f"{self.name}-k{number}", f"{self.canary} message {number}")
        self.simulation.history.listed(self.name, self.listing)

    def turn(self, key: str, text: str) -> None:
        history, chance, tick = self.simulation.history, self.simulation.chance, self.simulation.tick
        history.sent(self.name, key, text, tick())
        if chance.random() < 0.1:
            history.refused(key, "LaneFull", tick())
            return
        if chance.random() < 0.3:  # the answer to the request was lost: sent again with the same key
            history.sent(self.name, key, text, tick())
        turn = f"resp-{key}"
        history.accepted(key, turn, tick())
        attempt = 1
        while chance.random() < 0.2:  # killed while it ran, and once more from the start
            self.attempt(text, died=chance.choice([True, False]))
            attempt += 1
        self.attempt(text, died=False)
        status = chance.choice(["completed"] * 5 + ["incomplete", "failed", "cancelled"])
        answer = f"heard {text}" if status in ("completed", "incomplete") else ""
        history.answered(turn, status, answer, attempt, tick())
        history.answered(turn, status, answer, attempt, tick())  # asked for once more
        self.stream(turn, attempt, answer)
        self.listing.append(("user", text))
        if answer:
            self.kept.append(text)
            self.listing += [("assistant", answer[:3]), ("assistant", answer[3:])]

    def attempt(self, text: str, *, died: bool) -> None:
        history, tick = self.simulation.history, self.simulation.tick
        said = [*self.kept, text]
        started = tick()
        if died:
            history.ran(said, "\n".join(said), started, None)
            history.died(tick())
            return
        history.ran(said, "\n".join(said), started, tick())
        history.acted(text, tick(), tick())
        history.ran(said, "\n".join(said), tick(), tick(), first=False)

    def stream(self, turn: str, attempt: int, answer: str) -> None:
        history = self.simulation.history
        first = (attempt - 1) * 1_000_000
        events = [(first + place, f"delta {word}") for place, word in enumerate((answer or "nothing").split())]
        if attempt > 1:
            history.streamed("ann", turn, 0, "delta of an attempt that died")
        for number, data in events:
            history.streamed("ann", turn, number, data)
        history.stream_ended("ann", turn)
        history.streamed("bob", turn, *events[0])  # went away
        history.replayed(turn, events)


def simulated(seed: int, conversations: int = 3, turns: int = 6) -> History:
    return Simulation(random.Random(seed)).run(conversations, turns)


seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 4), st.integers(1, 10))
def test_a_server_that_keeps_its_promises_passes(seed: int, conversations: int, turns: int) -> None:
    report = check(simulated(seed, conversations, turns))
    assert report.ok, report
    assert set(report.counts.values()) == {0}


# --- one violation of each kind, put into a correct history ---


def settled() -> list[Event]:
    """Two conversations of three completed turns each, without re-runs."""
    history = History()
    now = 0.0

    def tick() -> float:
        nonlocal now
        now += 1.0
        return now

    for name in ("left", "right"):
        history.opened(name, f"canary-{name}")
        said: list[str] = []
        listing: list[tuple[str, str]] = []
        for number in range(3):
            key, text = f"{name}-{number}", f"canary-{name} says {number}"
            history.sent(name, key, text, tick())
            history.accepted(key, f"resp-{key}", tick())
            said.append(text)
            history.ran(said, "\n".join(said), tick(), tick())
            history.answered(f"resp-{key}", "completed", f"heard {text}", 1, tick())
            for place in range(4):
                history.streamed("ann", f"resp-{key}", place, f"event {place}")
            history.stream_ended("ann", f"resp-{key}")
            history.replayed(f"resp-{key}", [(place, f"event {place}") for place in range(4)])
            listing += [("user", text), ("assistant", f"heard {text}")]
        history.listed(name, listing)
    return history.events


def of(events: list[Event], kind: type[Event], **wanted: Any) -> int:
    """The index of the first event of a kind with these values."""
    return next(
        index
        for index, event in enumerate(events)
        if type(event) is kind and all(getattr(event, name) == value for name, value in wanted.items())
    )


def change(history: list[Event], index: int, **changes: Any) -> None:
    history[index] = replace(history[index], **changes)


def run_of(events: list[Event], text: str) -> int:
    return next(i for i, event in enumerate(events) if isinstance(event, Ran) and event.said[-1] == text)


Fault = Callable[[list[Event]], None]


def never_answered(events: list[Event]) -> None:
    del events[of(events, Answered, turn="resp-left-1")]


def still_running_at_the_end(events: list[Event]) -> None:
    change(events, of(events, Answered, turn="resp-left-1"), status="in_progress")


def gone_from_the_listing(events: list[Event]) -> None:
    index = of(events, Listed, conversation="left")
    change(events, index, items=events[index].items[:-2])  # type: ignore[union-attr]


def two_messages_one_turn(events: list[Event]) -> None:
    change(events, of(events, Accepted, key="left-2"), turn="resp-left-1")


def two_turns_for_one_key(events: list[Event]) -> None:
    events.append(Accepted("left-1", "resp-other", 99.0))


def two_ends(events: list[Event]) -> None:
    events.append(Answered("resp-left-1", "completed", "canary-left again, in other words", 2, 99.0))


def listed_twice(events: list[Event]) -> None:
    index = of(events, Listed, conversation="left")
    items = events[index].items  # type: ignore[union-attr]
    change(events, index, items=(*items, *items[-2:]))


def twice_in_its_prompt(events: list[Event]) -> None:
    index = run_of(events, "canary-left says 1")
    change(events, index, said=("canary-left says 0", "canary-left says 1", "canary-left says 1"))


def run_again_after_the_answer(events: list[Event]) -> None:
    text = "canary-left says 2"
    run = events[run_of(events, text)]
    assert isinstance(run, Ran)
    events.append(replace(run, started=90.0, ended=91.0))


def two_runs_at_once(events: list[Event]) -> None:
    index = run_of(events, "canary-left says 1")
    change(events, index, ended=events[run_of(events, "canary-left says 2")].started + 0.5)  # type: ignore[union-attr]


def long_run_over_a_later_one(events: list[Event]) -> None:
    change(events, run_of(events, "canary-left says 0"), ended=80.0)


def run_without_an_end(events: list[Event]) -> None:
    change(events, run_of(events, "canary-left says 1"), ended=None)


def listed_in_another_order(events: list[Event]) -> None:
    index = of(events, Listed, conversation="left")
    items = events[index].items  # type: ignore[union-attr]
    change(events, index, items=(*items[2:4], *items[:2], *items[4:]))


def ran_in_another_order(events: list[Event]) -> None:
    first, second = run_of(events, "canary-left says 0"), run_of(events, "canary-left says 1")
    one, two = events[first], events[second]
    assert isinstance(one, Ran)
    assert isinstance(two, Ran)
    change(events, first, started=two.started, ended=two.ended)
    change(events, second, started=one.started, ended=one.ended)


def prompt_in_another_order(events: list[Event]) -> None:
    said = ("canary-left says 1", "canary-left says 0", "canary-left says 2")
    change(events, run_of(events, "canary-left says 2"), said=said)


def foreign_word_in_a_prompt(events: list[Event]) -> None:
    change(events, run_of(events, "canary-left says 1"), text="the notes of canary-right: ...")


def foreign_word_in_an_answer(events: list[Event]) -> None:
    change(events, of(events, Answered, turn="resp-left-1"), text="as canary-right said")


def foreign_word_in_a_listing(events: list[Event]) -> None:
    index = of(events, Listed, conversation="left")
    change(events, index, items=(*events[index].items, ("assistant", "canary-right")))  # type: ignore[union-attr]


def foreign_word_in_a_stream(events: list[Event]) -> None:
    change(events, of(events, Streamed, turn="resp-left-1", number=2), data="canary-right")


def forgets_an_earlier_message(events: list[Event]) -> None:
    change(events, run_of(events, "canary-left says 2"), said=("canary-left says 1", "canary-left says 2"))


def remembers_a_failed_turn(events: list[Event]) -> None:
    change(events, of(events, Answered, turn="resp-left-1"), status="failed")


def prompt_that_nobody_sent(events: list[Event]) -> None:
    events.append(Ran(("who wrote this?",), "who wrote this?", 90.0, 91.0))


def listed_and_never_sent(events: list[Event]) -> None:
    index = of(events, Listed, conversation="left")
    change(events, index, items=(*events[index].items, ("user", "who wrote this?")))  # type: ignore[union-attr]


def listed_with_another_answer(events: list[Event]) -> None:
    index = of(events, Listed, conversation="left")
    items = events[index].items  # type: ignore[union-attr]
    change(events, index, items=(*items[:-1], ("assistant", "something else")))


def listed_without_its_answer(events: list[Event]) -> None:
    index = of(events, Listed, conversation="left")
    change(events, index, items=events[index].items[:-1])  # type: ignore[union-attr]


def refused_and_listed(events: list[Event]) -> None:
    events.append(Sent("left", "left-9", "canary-left says 9", 90.0))
    events.append(Refused("left-9", "LaneFull", 91.0))
    index = of(events, Listed, conversation="left")
    change(events, index, items=(*events[index].items, ("user", "canary-left says 9")))  # type: ignore[union-attr]


def event_left_out(events: list[Event]) -> None:
    del events[of(events, Streamed, turn="resp-left-1", number=2)]


def numbers_go_back(events: list[Event]) -> None:
    events.insert(
        of(events, Streamed, turn="resp-left-1", number=3) + 1, Streamed("ann", "resp-left-1", 1, "event 1")
    )


def one_number_two_events(events: list[Event]) -> None:
    index = of(events, Replayed, turn="resp-left-1")
    change(events, index, events=((0, "event 0"), (1, "event 1"), (2, "another"), (3, "event 3")))


def number_beyond_the_end(events: list[Event]) -> None:
    events.append(Streamed("ann", "resp-left-1", 9, "event 9"))


FAULTS: dict[str, list[Fault]] = {
    "lost": [never_answered, still_running_at_the_end, gone_from_the_listing, two_messages_one_turn],
    "doubled": [two_turns_for_one_key, two_ends, listed_twice, twice_in_its_prompt, run_again_after_the_answer],
    "overlapped": [two_runs_at_once, long_run_over_a_later_one, run_without_an_end],
    "reordered": [listed_in_another_order, ran_in_another_order, prompt_in_another_order],
    "leaked": [
        foreign_word_in_a_prompt,
        foreign_word_in_an_answer,
        foreign_word_in_a_listing,
        foreign_word_in_a_stream,
    ],
    "stale": [forgets_an_earlier_message, remembers_a_failed_turn],
    "diverged": [
        prompt_that_nobody_sent,
        listed_and_never_sent,
        listed_with_another_answer,
        listed_without_its_answer,
        refused_and_listed,
    ],
    "missed": [event_left_out, numbers_go_back, one_number_two_events, number_beyond_the_end],
}


def test_every_rule_has_a_history_that_breaks_it() -> None:
    assert FAULTS.keys() == KINDS.keys()


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        pytest.param(kind, fault, id=f"{kind}-{fault.__name__}")
        for kind, faults in FAULTS.items()
        for fault in faults
    ],
)
def test_a_broken_rule_is_found(kind: str, fault: Fault) -> None:
    events = settled()
    assert check(History(events)).ok
    fault(events)
    report = check(History(events))
    assert kind in {violation.kind for violation in report.violations}, report
    assert all(violation.evidence for violation in report.violations)


# --- the same, at a random place of a random history ---


def completed(history: History, chance: random.Random) -> tuple[Sent, Answered] | None:
    """A completed turn and its message, if there is one with an earlier completed one in its conversation."""
    events = history.events
    sent = {e.key: e for e in events if isinstance(e, Sent)}
    turns = {e.turn: sent[e.key] for e in events if isinstance(e, Accepted)}
    answers = {e.turn: e for e in events if isinstance(e, Answered) and e.status == "completed"}
    later = [
        (turns[turn], answer)
        for turn, answer in answers.items()
        if any(
            turns[other].conversation == turns[turn].conversation and before.at < answer.at
            for other, before in answers.items()
        )
    ]
    return chance.choice(later) if later else None


def break_one(history: History, kind: str, message: Sent, answer: Answered) -> History:
    """One violation of `kind`, at this turn."""
    runs = [e for e in history.events if isinstance(e, Ran) and e.said[-1] == message.text]
    out: list[Event] = []
    for event in history.events:
        mine = isinstance(event, Answered) and event.turn == answer.turn
        listing = isinstance(event, Listed) and event.conversation == message.conversation
        if kind == "lost" and mine:
            continue
        if kind == "leaked" and mine:
            event = replace(event, text="canary-of-another")  # type: ignore[type-var]
        elif kind == "stale" and event is runs[-1]:
            event = replace(event, said=event.said[1:])  # type: ignore[union-attr]
        elif kind == "reordered" and listing:
            event = Listed(event.conversation, _turned(event.items))  # type: ignore[union-attr]
        elif kind == "diverged" and listing:
            event = Listed(event.conversation, (*event.items, ("user", "nobody sent this")))  # type: ignore[union-attr]
        elif kind == "missed" and isinstance(event, Replayed) and event.turn == answer.turn:
            event = Replayed(event.turn, (*event.events, (event.events[-1][0] + 1, "one more")))
        out.append(event)
        if kind == "overlapped" and event is runs[-1]:
            out.append(replace(runs[-1], what="later call"))
        if kind == "doubled" and isinstance(event, Accepted) and event.turn == answer.turn:
            out.append(replace(event, turn="resp-twin"))
    broken = History(out)
    broken.opened("elsewhere", "canary-of-another")
    return broken


def _turned(items: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The listing with its last exchange first."""
    last = max(i for i, (role, _) in enumerate(items) if role == "user")
    return (*items[last:], *items[:last])


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds)
def test_one_violation_is_found_anywhere(kind: str, seed: int) -> None:
    chance = random.Random(seed)
    history = simulated(seed)
    chosen = completed(history, chance)
    if chosen is None:
        return
    report = check(break_one(history, kind, *chosen))
    assert report.counts[kind], report  # type: ignore[index]


# --- reports and files ---


def test_the_report_names_what_it_found_and_how_much_it_judged() -> None:
    events = settled()
    never_answered(events)
    report = check(History(events))
    assert not report.ok
    assert report.counts["lost"] == 1
    assert report.figures["messages"] == 6
    text = str(report)
    assert "1 lost" in text
    assert "lost: left: left-1 (resp-left-1) was accepted and never seen to end" in text


def test_re_runs_are_counted_and_no_violation() -> None:
    history = History(settled())
    run = history.events[run_of(history.events, "canary-left says 1")]
    assert isinstance(run, Ran)
    history.events.append(replace(run, started=run.started - 0.5, ended=None))
    history.died(run.started - 0.25)
    report = check(history)
    assert report.ok, report
    assert report.figures["re-runs"] == 1


def test_acts_are_counted_and_judged_among_themselves() -> None:
    history = History(settled())
    run = history.events[run_of(history.events, "canary-left says 2")]
    assert isinstance(run, Ran)
    assert run.ended is not None
    history.acted("canary-left says 2", run.ended, run.ended + 0.1)
    history.acted("canary-left says 2", run.ended + 0.2, run.ended + 0.3)
    report = check(history)
    assert report.ok, report
    assert (report.figures["acts"], report.figures["acts again"]) == (2, 1)
    history.acted("canary-left says 2", run.ended + 0.25, run.ended + 0.35)
    assert check(history).counts["overlapped"] == 1


def test_a_history_survives_its_file(tmp_path: Path) -> None:
    history = simulated(7)
    history.write(tmp_path / "history.jsonl")
    assert History.read(tmp_path / "history.jsonl").events == history.events


def test_a_message_needs_a_text_and_a_key_of_its_own() -> None:
    history = History()
    history.sent("a", "k1", "hello")
    history.sent("a", "k2", "hello")
    with pytest.raises(ValueError, match="same text"):
        check(history)
    twice = History()
    twice.sent("a", "k1", "hello")
    twice.sent("a", "k1", "good bye")
    with pytest.raises(ValueError, match="two texts"):
        check(twice)
