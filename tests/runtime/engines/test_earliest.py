from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnlane.runtime.engines.earliest import Earliest

STEPS = st.lists(st.tuples(st.sampled_from(["put", "drop"]), st.integers(0, 9), st.integers(0, 5)))


@given(STEPS)
def test_the_first_is_the_smallest_of_those_that_are_in(steps: list[tuple[str, int, int]]) -> None:
    earliest: Earliest[int] = Earliest()
    model: dict[int, int] = {}
    for step, key, order in steps:
        if step == "put":
            earliest.put(key, order)
            model[key] = order
        else:
            earliest.drop(key)
            model.pop(key, None)
        assert len(earliest) == len(model)
        assert earliest.first() == min(((order, key) for key, order in model.items()), default=None)


def test_keys_that_came_and_went_leave_nothing_behind_while_an_old_one_stays_first() -> None:
    earliest: Earliest[int] = Earliest()
    earliest.put(0, 0)
    for key in range(1, 10_000):
        earliest.put(key, key)
        earliest.drop(key)
    assert earliest.first() == (0, 0)
    assert len(earliest._heap) < 200
