"""The table of moves is whole, and nothing leads out of an end."""

from __future__ import annotations

from typing import get_args

import pytest

from turnlane.runtime.conversation import Status
from turnlane.runtime.lifecycle import ENDED, ENDING_MOVE, MOVES, IllegalMove, Move, after

STATUSES: tuple[Status, ...] = get_args(Status)
ALL_MOVES: tuple[Move, ...] = get_args(Move)


def test_every_status_has_a_row_and_every_move_a_use() -> None:
    assert set(MOVES) == set(STATUSES)
    assert {move for moves in MOVES.values() for move in moves} == set(ALL_MOVES)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("move", ALL_MOVES)
def test_a_move_leads_where_the_table_says_or_is_refused_by_name(status: Status, move: Move) -> None:
    if move in MOVES[status]:
        assert after(status, move) == MOVES[status][move]
    else:
        with pytest.raises(IllegalMove, match=f"{status} cannot {move}"):
            after(status, move)


def test_a_refusal_names_what_is_allowed() -> None:
    with pytest.raises(IllegalMove, match="allowed: claim, cancel, interrupt, fail"):
        after("queued", "complete")
    with pytest.raises(IllegalMove, match="nothing: it has ended"):
        after("failed", "claim")


def test_the_ended_ones_are_those_with_an_ending_move() -> None:
    assert {"completed", "incomplete", "failed", "cancelled", "interrupted", "needs_attention"} == ENDED
    assert set(ENDING_MOVE) == ENDED
    for status, move in ENDING_MOVE.items():
        assert after("running", move) == status


def test_every_turn_can_end_from_wherever_it_is() -> None:
    reached: set[Status] = {"queued"}
    while more := {to for status in reached for to in MOVES[status].values()} - reached:
        reached |= more
    assert reached == set(STATUSES)
    for status in set(STATUSES) - ENDED:
        assert ENDED & set(MOVES[status].values())
