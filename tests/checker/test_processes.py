"""Work in several processes."""

from __future__ import annotations

import os
import signal

import pytest

from turnlane.checker import processes
from turnlane.checker.processes import Piece

pytestmark = pytest.mark.skipif(not processes.POSSIBLE, reason="one process only here: there is no fork")


def joined(piece: Piece) -> bytes:
    return " ".join(piece).encode()


def test_every_piece_is_done_in_a_process_of_its_own() -> None:
    pieces = [("a", "b"), ("c",), ("d", "e", "f")]

    done = dict(processes.run(pieces, lambda piece: f"{os.getpid()} {len(piece)}".encode(), 2))

    answers = {piece: (answer or b"").split() for piece, answer in done.items()}
    assert {piece: int(count) for piece, (_, count) in answers.items()} == {piece: len(piece) for piece in pieces}
    assert len({process for process, _ in answers.values()} | {str(os.getpid()).encode()}) == 4


def test_answers_larger_than_a_pipe_arrive_whole() -> None:
    done = dict(processes.run([("a",), ("b",)], lambda piece: joined(piece) * 3_000_000, 2))

    assert done == {("a",): b"a" * 3_000_000, ("b",): b"b" * 3_000_000}


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_a_death_costs_the_one_thing_that_did_it(jobs: int) -> None:
    def work(piece: Piece) -> bytes:
        if "bad" in piece:
            os.kill(os.getpid(), signal.SIGKILL)
        return joined(piece)

    done = dict(processes.run([("a", "b", "bad", "c"), ("d",)], work, jobs))

    assert done.pop(("bad",)) is None
    assert sorted(name for piece in done for name in piece) == ["a", "b", "c", "d"]
    assert all(answer == joined(piece) for piece, answer in done.items())


def test_what_the_work_raises_is_a_death_too(capfd: pytest.CaptureFixture[str]) -> None:
    def work(piece: Piece) -> bytes:
        raise ValueError(piece)

    assert list(processes.run([("a",)], work, 1)) == [(("a",), None)]
