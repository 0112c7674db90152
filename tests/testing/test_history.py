"""The history checker: histories of a server that keeps its promises pass, each broken rule is found."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnlane.testing.history import (
    KINDS,
    Accepted,
    Answered,
    Blinded,
    CancelAsked,
    Died,
    Event,
    History,
    Listed,
    Looked,
    Parted,
    Ran,
    Read,
    Refused,
    Replayed,
    Sent,
    Stalled,
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
    answers: list[str] = field(default_factory=list)
    listing: list[tuple[str, str]] = field(default_factory=list)

    def run(self, turns: int) -> None:
        self.simulation.history.opened(self.name, self.canary)
        for number in range(turns):
            self.turn(f"{self.name}-k{number}", f"{self.canary} message {number}")
        self.simulation.history.listed(self.name, self.listing)

    def turn(self, key: str, text: str) -> None:
        history, chance, tick = self.simulation.history, self.simulation.chance, self.simulation.tick
        texts = self.said(key, text)
        if not texts:
            return
        turn = f"resp-{key}"
        history.looked(turn, "in_progress", tick())
        attempt = 1
        while chance.random() < 0.2:  # killed while it ran, and once more from the start
            self.attempt(texts, died=chance.choice([True, False]))
            attempt += 1
        if chance.random() < 0.2:
            self.frozen(texts)
            attempt += 1
        self.attempt(texts, died=False)
        status = chance.choice(["completed"] * 5 + ["incomplete", "failed", "cancelled", "interrupted"])
        answer = f"heard {text}" if status in ("completed", "incomplete", "interrupted") else ""
        if status == "interrupted":
            self.displaced_by("interrupt", key)
        elif status == "cancelled" and chance.random() < 0.5:
            self.displaced_by("rollback", key)
        elif status == "cancelled":
            history.cancel_asked(turn, tick())
        history.answered(turn, status, answer, attempt, tick())
        history.answered(turn, status, answer, attempt, tick())  # asked for once more
        history.looked(turn, status, tick())
        self.stream(turn, attempt, answer)
        self.listing += [("user", said) for said in texts]
        if answer:
            self.kept += texts
            self.answers.append(answer)
            self.listing += [("assistant", answer[:3]), ("assistant", answer[3:])]
        history.read(self.name, self.listing, tick())

    def said(self, key: str, text: str) -> list[str]:
        """The texts of the turn: one, or several that joined it; none when it was refused."""
        history, chance, tick = self.simulation.history, self.simulation.chance, self.simulation.tick
        history.sent(self.name, key, text, tick())
        if chance.random() < 0.1:
            history.refused(key, "LaneFull", tick())
            return []
        if chance.random() < 0.3:  # the answer to the request was lost: sent again with the same key
            history.sent(self.name, key, text, tick())
        history.accepted(key, f"resp-{key}", tick())
        if chance.random() < 0.8:
            return [text]
        history.sent(self.name, f"{key}-more", f"{text} and more", tick(), when_busy="merge")
        history.accepted(f"{key}-more", f"resp-{key}", tick())
        return [text, f"{text} and more"]

    def displaced_by(self, strategy: Any, key: str) -> None:
        """Another message stops this one, and is refused itself: so its own turn need not be told."""
        history, tick = self.simulation.history, self.simulation.tick
        history.sent(self.name, f"{key}-by", f"{self.canary} displaces {key}", tick(), when_busy=strategy)
        history.refused(f"{key}-by", "told elsewhere", tick())

    def frozen(self, texts: list[str]) -> None:
        """An owner is frozen and replaced; it wakes, asks once more, and is fenced."""
        history, tick = self.simulation.history, self.simulation.tick
        said = [*self.kept, *texts]
        began, froze = tick(), tick()
        self.attempt(texts, died=False)
        woke, asked = tick(), tick()
        history.stalled(froze, self.simulation.now, owner="frozen")
        history.ran(said, self.prompt(said), began, woke, owner="frozen")
        history.ran(said, self.prompt(said), asked, tick() + 9, owner="frozen", answered=False)

    def prompt(self, said: list[str]) -> str:
        return "\n".join([*said, *self.answers])

    def attempt(self, texts: list[str], *, died: bool) -> None:
        history, tick = self.simulation.history, self.simulation.tick
        said = [*self.kept, *texts]
        started = tick()
        if died:
            history.ran(said, self.prompt(said), started, None)
            history.died(tick())
            return
        history.ran(said, self.prompt(said), started, tick())
        history.acted(texts[-1], tick(), tick())
        history.ran(said, self.prompt(said), tick(), tick(), first=False)

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


@settings(deadline=None)
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
            history.ran(said, "\n".join(f"{word}\nheard {word}" for word in said), tick(), tick())
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


def joined_without_asking(events: list[Event]) -> None:
    change(events, of(events, Accepted, key="left-2"), turn="resp-left-1")
    change(events, of(events, Sent, key="left-2"), when_busy="interrupt")


def joined_and_not_read(events: list[Event]) -> None:
    """The third message joined the second's turn; no prompt of it has the third."""
    events[:] = [e for e in events if not (isinstance(e, Ran) and e.said[-1] == "canary-left says 2")]
    change(events, of(events, Accepted, key="left-2"), turn="resp-left-1")
    change(events, of(events, Sent, key="left-2"), when_busy="merge")


def failed_and_not_listed(events: list[Event]) -> None:
    change(events, of(events, Answered, turn="resp-left-2"), status="failed")
    index = of(events, Listed, conversation="left")
    change(events, index, items=events[index].items[:-2])  # type: ignore[union-attr]


def zombie_acts_beside_its_successor(events: list[Event]) -> None:
    run = events[run_of(events, "canary-left says 1")]
    assert isinstance(run, Ran)
    assert run.ended is not None
    act = replace(run, said=run.said[-1:], what="act", owner="new")
    events.append(act)
    events.append(Stalled(run.started - 0.5, run.ended, owner="old"))
    events.append(replace(act, started=run.started + 0.1, ended=run.ended - 0.1, owner="old"))


def forgets_an_interrupted_message(events: list[Event]) -> None:
    interrupt(events, "left-1", by="left-2")
    forgets_the_one_before(events, "canary-left says 2")


def remembers_what_was_rolled_back(events: list[Event]) -> None:
    change(events, of(events, Answered, turn="resp-left-1"), status="cancelled")
    change(events, of(events, Sent, key="left-2"), when_busy="rollback", at=0.0)


def forgets_what_an_interrupted_turn_said(events: list[Event]) -> None:
    interrupt(events, "left-1", by="left-2")
    index = run_of(events, "canary-left says 2")
    change(events, index, text=events[index].text.replace("heard canary-left says 1", ""))  # type: ignore[union-attr]


def interrupt(events: list[Event], key: str, by: str) -> None:
    """The message was interrupted by another."""
    change(events, of(events, Answered, turn=f"resp-{key}"), status="interrupted")
    change(events, of(events, Sent, key=by), when_busy="interrupt", at=0.0)


def forgets_the_one_before(events: list[Event], text: str) -> None:
    index = run_of(events, text)
    said = events[index].said  # type: ignore[union-attr]
    change(events, index, said=(*said[:-2], said[-1]))


def not_found_after_it_was_accepted(events: list[Event]) -> None:
    events.append(Looked("resp-left-1", None, 98.0))


def ended_and_running_again(events: list[Event]) -> None:
    events.append(Looked("resp-left-1", "in_progress", 98.0))


def accepted_and_not_listed_yet(events: list[Event]) -> None:
    events.append(Read("left", (("user", "canary-left says 0"),), 98.0))


def interrupted_by_nobody(events: list[Event]) -> None:
    change(events, of(events, Answered, turn="resp-left-1"), status="interrupted")


def cancelled_by_nobody(events: list[Event]) -> None:
    change(events, of(events, Answered, turn="resp-left-2"), status="cancelled")


def interrupted_by_a_later_message(events: list[Event]) -> None:
    """Sent when the turn had ended already."""
    change(events, of(events, Answered, turn="resp-left-1"), status="interrupted")
    change(events, of(events, Sent, key="left-2"), when_busy="interrupt")


def paid_twice(events: list[Event]) -> None:
    run = events[run_of(events, "canary-left says 1")]
    assert isinstance(run, Ran)
    assert run.ended is not None
    act = replace(run, said=run.said[-1:], what="act", once=True, ended=run.started + 0.1)
    events += [act, replace(act, started=run.ended - 0.1, ended=run.ended)]


def attention_for_nothing(events: list[Event]) -> None:
    change(events, of(events, Answered, turn="resp-left-2"), status="needs_attention")


FAULTS: dict[str, list[Fault]] = {
    "lost": [
        never_answered,
        still_running_at_the_end,
        gone_from_the_listing,
        two_messages_one_turn,
        joined_without_asking,
        joined_and_not_read,
        failed_and_not_listed,
    ],
    "doubled": [two_turns_for_one_key, two_ends, listed_twice, twice_in_its_prompt, run_again_after_the_answer],
    "overlapped": [
        two_runs_at_once,
        long_run_over_a_later_one,
        run_without_an_end,
        zombie_acts_beside_its_successor,
    ],
    "reordered": [listed_in_another_order, ran_in_another_order, prompt_in_another_order],
    "leaked": [
        foreign_word_in_a_prompt,
        foreign_word_in_an_answer,
        foreign_word_in_a_listing,
        foreign_word_in_a_stream,
    ],
    "stale": [
        forgets_an_earlier_message,
        remembers_a_failed_turn,
        forgets_an_interrupted_message,
        forgets_what_an_interrupted_turn_said,
        remembers_what_was_rolled_back,
    ],
    "diverged": [
        prompt_that_nobody_sent,
        listed_and_never_sent,
        listed_with_another_answer,
        listed_without_its_answer,
        refused_and_listed,
    ],
    "missed": [event_left_out, numbers_go_back, one_number_two_events, number_beyond_the_end],
    "unseen": [not_found_after_it_was_accepted, ended_and_running_again, accepted_and_not_listed_yet],
    "unasked": [interrupted_by_nobody, cancelled_by_nobody, interrupted_by_a_later_message],
    "repeated": [paid_twice, attention_for_nothing],
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


def test_the_page_about_reliability_names_every_rule() -> None:
    page = (Path(__file__).parents[2] / "docs/explanation/reliability.md").read_text()
    for kind in KINDS:
        assert f"\n| {kind} |" in page


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
        if kind == "unasked" and mine:
            event = replace(event, status="interrupted")  # type: ignore[type-var]
        if kind == "unasked" and isinstance(event, Sent) and event.conversation == message.conversation:
            event = replace(event, when_busy="enqueue")
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
            out.append(replace(runs[-1], what="later call", owner="another"))
        if kind == "unseen" and mine:
            out.append(Looked(answer.turn, "in_progress", answer.at + 0.0001))
        if kind == "repeated" and event is runs[-1]:
            act = replace(runs[-1], said=runs[-1].said[-1:], what="act", once=True)
            out += [act, replace(act, started=act.started + 0.0001)]
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
@settings(deadline=None)
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


def good(*more: Event) -> Any:
    """The verdict on a correct history with these events added."""
    return check(History([*settled(), *more]))


def test_a_message_that_joins_a_turn_is_no_second_turn() -> None:
    history = History(settled())
    history.opened("third", "canary-third")
    for number, text in enumerate(("canary-third asks", "canary-third asks more")):
        history.sent("third", f"third-{number}", text, 100.0 + number, when_busy="merge")
        history.accepted(f"third-{number}", "resp-third", 100.5 + number)
    both = ["canary-third asks", "canary-third asks more"]
    history.ran(both, " ".join(both), 103.0, 104.0)
    history.answered("resp-third", "completed", "heard both", 1, 105.0)
    history.listed("third", [("user", both[0]), ("user", both[1]), ("assistant", "heard both")])
    report = check(history)
    assert report.ok, report
    assert report.figures["joined"] == 1


def test_what_a_frozen_owner_does_when_it_wakes_is_counted_and_not_judged() -> None:
    events = settled()
    run = events[run_of(events, "canary-left says 1")]
    assert isinstance(run, Ran)
    assert run.ended is not None
    frozen = replace(run, started=run.started - 0.5, ended=run.ended + 0.5, owner="old")
    woken = replace(run, started=90.0, ended=91.0, owner="old")
    change(events, run_of(events, "canary-left says 1"), owner="new")
    report = check(History([*events, frozen, woken, Stalled(run.started - 0.25, 91.0, owner="old")]))
    assert report.ok, report
    assert report.figures["zombie calls"] == 1
    assert not check(History([*events, frozen, woken])).ok


def test_a_call_that_broke_off_while_the_witness_was_cut_off_counts_until_then() -> None:
    events = settled()
    run = events[run_of(events, "canary-left says 1")]
    assert isinstance(run, Ran)
    broken = replace(run, started=run.started - 0.5, ended=90.0, answered=False)
    assert check(History([*events, broken, Blinded(run.started - 0.25, 89.0)])).ok
    assert check(History([*events, broken])).counts["overlapped"]


def test_a_call_that_reached_the_witness_when_its_caller_had_gone_is_not_judged() -> None:
    events = settled()
    run = events[run_of(events, "canary-left says 2")]
    late = replace(run, started=90.0, ended=90.1, answered=False)
    assert check(History([*events, late, Blinded(89.0, 90.05)])).ok
    assert check(History([*events, late])).counts["doubled"]


def test_a_turn_that_died_inside_a_once_tool_may_need_attention() -> None:
    events = settled()
    index = of(events, Answered, turn="resp-left-2")
    at = events[index].at  # type: ignore[union-attr]
    change(events, index, status="needs_attention")
    for lost in (Died(at - 0.5), Stalled(at - 0.5, at, owner="one"), Parted(at - 0.5, at)):
        report = check(History([*events, lost]))
        assert report.ok, report
        assert report.figures["needs attention"] == 1


def test_a_user_may_cancel() -> None:
    events = settled()
    index = of(events, Answered, turn="resp-left-2")
    change(events, index, status="cancelled")
    assert check(History([*events, CancelAsked("resp-left-2", 1.0)])).ok


def test_calls_that_were_answered_before_are_counted() -> None:
    events = settled()
    run = events[run_of(events, "canary-left says 1")]
    assert isinstance(run, Ran)
    broken = replace(run, started=run.started - 0.2, ended=run.started - 0.15, answered=False)
    again = replace(run, started=run.started - 0.1, ended=run.started - 0.05)
    figures = good(broken, again).figures
    assert (figures["calls answered"], figures["calls answered again"]) == (7, 1)


def test_a_history_survives_its_file(tmp_path: Path) -> None:
    history = simulated(7)
    history.write(tmp_path / "history.jsonl")
    assert History.load(tmp_path / "history.jsonl").events == history.events


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
