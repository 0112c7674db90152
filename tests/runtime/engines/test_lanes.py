"""Who runs next, without a store."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from turnlane.runtime.engines.lanes import LONGEST_RETRY, SHORTEST_RETRY, Lanes, Running, Seat, Waiting


def seat(capacity: int = 10, **limits: int | None) -> Seat:
    return Seat(capacity, limits or {"a": None})


class Queue:
    """Lanes with turns that are numbered as they come."""

    def __init__(self, *seats: Seat) -> None:
        self.lanes = Lanes(seats)
        self.number = 0

    def add(self, conversation: str, agent: str = "a", *, at: float = 0.0) -> str:
        self.number += 1
        turn = f"t{self.number}"
        self.lanes.wait(conversation, agent, "key", Waiting(self.number, turn, 0, at))
        return turn

    def take_all(self) -> list[str]:
        taken = []
        while (running := self.lanes.take(0.0)) is not None:
            taken.append(running.turn)
        return taken


def test_one_turn_of_a_lane_at_a_time_in_order() -> None:
    queue = Queue(seat())
    turns = [queue.add("c") for _ in range(3)]
    for turn in turns:
        assert queue.take_all() == [turn]
        queue.lanes.end("c", 0.0)
    assert len(queue.lanes) == 0


def test_the_lane_whose_first_turn_waits_longest_comes_first() -> None:
    queue = Queue(seat(capacity=1))
    first, second, third = queue.add("c1"), queue.add("c2"), queue.add("c1")
    order = []
    for _ in range(3):
        order += queue.take_all()
        queue.lanes.end("c2" if order[-1] == second else "c1", 0.0)
    assert order == [first, second, third]


def test_a_turn_that_was_put_back_is_the_first_again_with_its_next_attempt() -> None:
    queue = Queue(seat(capacity=1))
    first, second = queue.add("c1"), queue.add("c1")
    assert queue.take_all() == [first]
    queue.lanes.put_back("c1")
    running = queue.lanes.take(5.0)
    assert running is not None
    assert (running.turn, running.attempt, running.started_at) == (first, 2, 5.0)
    assert queue.lanes.owner("c1", first, 1) is None
    assert queue.lanes.owner("c1", first, 2) is running
    assert queue.lanes.owner("c1", second, 1) is None
    assert queue.lanes.owner("c2", first, 2) is None


def test_bounds_of_workers_and_agents_hold_and_an_agent_at_its_bound_holds_up_no_other() -> None:
    queue = Queue(seat(2, a=1, b=None))
    one, _, three, _ = queue.add("c1", "a"), queue.add("c2", "a"), queue.add("c3", "b"), queue.add("c4", "b")
    assert queue.take_all() == [one, three]
    assert queue.lanes.seat_for_new("c5", "b") is None


def test_workers_are_filled_evenly_and_an_agent_nobody_has_waits() -> None:
    small, large = seat(1), seat(3)
    queue = Queue(small, large)
    for i in range(4):
        queue.add(f"c{i}")
    queue.add("other", "unknown")
    assert queue.take_all() == ["t1", "t2", "t3", "t4"]
    assert (small.running, large.running) == (1, 3)
    assert queue.lanes.queued == 1


def test_a_new_turn_starts_at_once_only_in_an_idle_lane_with_a_place() -> None:
    place = seat(1)
    lanes = Lanes([place])
    assert lanes.seat_for_new("c1", "a") is place
    lanes.run_at_once("c1", "a", "key", Running(1, "t1", 1, 0.0, 0.0, place))
    assert lanes.seat_for_new("c1", "a") is None
    assert lanes.seat_for_new("c2", "a") is None
    lanes.end("c1", 0.0)
    assert lanes.seat_for_new("c2", "a") is place


def test_dropping_a_waiting_turn_leaves_the_others_in_order() -> None:
    queue = Queue()
    first, second, third = (queue.add("c") for _ in range(3))
    queue.lanes.drop("c", first)
    queue.lanes.seats.append(seat())
    assert queue.take_all() == [second]
    queue.lanes.drop("c", third)
    queue.lanes.end("c", 0.0)
    assert len(queue.lanes) == 0


def test_a_removed_lane_frees_its_place_and_is_shown_as_it_was() -> None:
    place = seat(1)
    queue = Queue(place)
    first, second = queue.add("c1"), queue.add("c1")
    queue.take_all()
    lane = queue.lanes.remove("c1")
    assert lane is not None
    assert lane.running is not None
    assert (lane.running.turn, [waiting.turn for waiting in lane.waiting]) == (first, [second])
    assert (place.running, queue.lanes.running, queue.lanes.queued) == (0, 0, 0)
    assert queue.lanes.remove("c1") is None


def test_the_time_to_come_back_grows_with_the_queue_and_the_turns_and_stays_in_bounds() -> None:
    queue = Queue(seat(1))
    assert queue.lanes.retry_after(0, 1) == SHORTEST_RETRY
    for _ in range(50):
        queue.add("c")
        queue.lanes.take(0.0)
        queue.lanes.end("c", 10.0)
    assert 9 < queue.lanes.mean_seconds <= 10
    assert 9 < queue.lanes.retry_after(1, 1) <= 10
    assert queue.lanes.retry_after(10, 5) == 2 * queue.lanes.retry_after(1, 1)
    assert queue.lanes.retry_after(1_000, 1) == LONGEST_RETRY


def test_a_clock_that_goes_back_does_not_make_durations_negative() -> None:
    queue = Queue(seat(1))
    queue.add("c")
    queue.lanes.take(100.0)
    queue.lanes.end("c", 0.0)
    assert queue.lanes.mean_seconds >= 0


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "end", "put_back", "drop", "remove"]), st.integers(0, 3)), max_size=60
)


@given(STEPS, st.integers(1, 3))
def test_counts_and_places_are_right_after_any_steps(steps: list[tuple[str, int]], capacity: int) -> None:
    place = seat(capacity)
    queue = Queue(place)
    waiting: dict[str, deque[str]] = {f"c{i}": deque() for i in range(4)}
    running: dict[str, str] = {}
    for step, i in steps:
        conversation = f"c{i}"
        if step == "add":
            waiting[conversation].append(queue.add(conversation, at=float(queue.number + 1)))
        elif step == "end" and conversation in running:
            queue.lanes.end(conversation, 0.0)
            del running[conversation]
        elif step == "put_back" and conversation in running:
            queue.lanes.put_back(conversation)
            waiting[conversation].appendleft(running.pop(conversation))
        elif step == "drop" and waiting[conversation]:
            queue.lanes.drop(conversation, waiting[conversation].pop())
        elif step == "remove":
            queue.lanes.remove(conversation)
            waiting[conversation].clear()
            running.pop(conversation, None)
        for turn in queue.take_all():
            owner = next(name for name, turns in waiting.items() if turns and turns[0] == turn)
            assert owner not in running
            running[owner] = waiting[owner].popleft()
        ready = [name for name, turns in waiting.items() if turns and name not in running]
        assert not ready or len(running) == capacity, "something waits that could run"
        numbers = [int(turn[1:]) for turns in waiting.values() for turn in turns]
        assert queue.lanes.queued == len(numbers)
        assert queue.lanes.running == place.running == len(running)
        assert queue.lanes.oldest_queued_at() == min(numbers, default=None)
        assert len(queue.lanes) == len({*running, *(name for name, turns in waiting.items() if turns)})


# --- turns that gather messages ---


def gathering(lanes: Lanes, conversation: str, number: int, *, not_before: float, delay: float) -> None:
    lanes.wait(conversation, "a", "key", Waiting(number, f"t{number}", 0, 0.0, not_before, delay))


def test_a_turn_that_gathers_messages_starts_when_its_time_has_come() -> None:
    lanes = Lanes([seat()])
    gathering(lanes, "c1", 1, not_before=1_010.0, delay=10.0)
    gathering(lanes, "c2", 2, not_before=1_005.0, delay=5.0)
    assert lanes.next_due() == 1_005.0
    assert lanes.take(1_004.9) is None
    started = lanes.take(1_005.0)
    assert started is not None
    assert started.turn == "t2"
    assert lanes.next_due() == 1_010.0
    started = lanes.take(1_010.0)
    assert started is not None
    assert started.turn == "t1"
    assert lanes.next_due() is None


def test_a_turn_whose_time_has_come_and_that_has_no_place_is_due_no_more() -> None:
    lanes = Lanes()
    gathering(lanes, "c", 1, not_before=1_010.0, delay=10.0)
    assert lanes.take(1_010.0) is None
    assert lanes.next_due() is None
    lanes.seats.append(seat())
    assert lanes.take(1_000.0) is not None  # also when the clock was set back meanwhile


def test_a_turn_gathers_behind_one_that_runs_and_only_then_counts_its_time() -> None:
    lanes = Lanes([seat()])
    lanes.wait("c", "a", "key", Waiting(1, "t1", 0, 0.0))
    assert lanes.take(1_000.0) is not None
    gathering(lanes, "c", 2, not_before=1_010.0, delay=10.0)
    assert lanes.next_due() is None
    lanes.end("c", 1_001.0)
    assert (lanes.next_due(), lanes.take(1_001.0)) == (1_010.0, None)


def test_a_message_that_joins_moves_the_time_and_one_without_a_delay_leaves_it() -> None:
    lanes = Lanes([seat()])
    gathering(lanes, "c", 1, not_before=1_010.0, delay=10.0)
    lanes.join("c", 1_015.0, 10.0)
    assert (lanes.next_due(), lanes.take(1_010.0)) == (1_015.0, None)
    lanes.join("c", None, 0.0)
    assert lanes.next_due() == 1_015.0
    lane = lanes.lane("c")
    assert lane is not None
    assert lane.waiting[0].joined == 2


def test_a_lane_that_is_emptied_or_removed_gathers_no_more() -> None:
    lanes = Lanes([seat()])
    for number, conversation in enumerate(["c1", "c2", "c3"]):
        gathering(lanes, conversation, number, not_before=1_010.0, delay=10.0)
    assert [waiting.turn for waiting in lanes.empty("c1")] == ["t0"]
    lanes.remove("c2")
    lanes.drop("c3", "t2")
    assert (lanes.next_due(), len(lanes), lanes.queued) == (None, 0, 0)


def test_nobody_waits_until_a_clock_that_was_set_back_has_caught_up() -> None:
    lanes = Lanes([seat()])
    gathering(lanes, "c", 1, not_before=1_010.0, delay=10.0)
    assert lanes.take(999.5) is None  # a small correction
    assert lanes.take(500.0) is not None
