"""Work in several processes: each piece in one of its own, so that its memory goes when it is done.

`fork` and pipes instead of `multiprocessing`, whose import alone costs 20 ms. A process that dies, of memory or in
a parser written in C, costs as little as can be: its piece is halved until the one thing is found that did it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final

Piece = tuple[str, ...]
"""What a process is given: names that only the work understands. Pieces of several names can be halved."""

POSSIBLE: Final = hasattr(os, "fork")
"""False on Windows: there, all work is done in this process."""


def run(
    pieces: Iterable[Piece], work: Callable[[Piece], bytes], jobs: int
) -> Iterator[tuple[Piece, bytes | None]]:
    """Do every piece of work, `jobs` at a time. Yields what each gave; None: this one thing kills its process.

    Args:
        pieces: in the order in which they are begun; the largest first keeps all processes busy to the end. The
            next one is asked for while the others run: working it out costs no time.
        work: done in a copy of this process; what it gives comes back through a pipe.
        jobs: processes at a time.
    """
    import selectors

    sys.stdout.flush()
    sys.stderr.flush()
    coming = iter(pieces)
    halves: list[Piece] = []
    running: dict[int, _Process] = {}
    with selectors.DefaultSelector() as ready:
        while True:
            while len(running) < jobs:
                piece = halves.pop() if halves else next(coming, None)
                if piece is None:
                    break
                process = _Process(piece, work)
                running[process.out] = process
                ready.register(process.out, selectors.EVENT_READ)
            if not running:
                return
            for key, _ in ready.select():
                process = running[key.fd]
                if process.reads_on():
                    continue
                ready.unregister(key.fd)
                del running[key.fd]
                answer = process.answer()
                if answer is None and len(process.piece) > 1:
                    middle = len(process.piece) // 2
                    halves += [process.piece[middle:], process.piece[:middle]]
                else:
                    yield process.piece, answer


class _Process:
    """One piece of work in a process of its own."""

    def __init__(self, piece: Piece, work: Callable[[Piece], bytes]) -> None:
        self.piece = piece
        self.out, into = os.pipe()
        self._chunks: list[bytes] = []
        self._process = os.fork()
        if self._process:
            os.close(into)
            return
        status = 1
        try:
            os.close(self.out)
            with open(into, "wb") as answer:
                answer.write(work(piece))
            status = 0
        finally:
            os._exit(status)

    def reads_on(self) -> bool:
        """Take what the process has written; False at its end."""
        data = os.read(self.out, 1 << 20)
        self._chunks.append(data)
        return bool(data)

    def answer(self) -> bytes | None:
        """What the work gave; None when the process died."""
        os.close(self.out)
        _, status = os.waitpid(self._process, 0)
        return b"".join(self._chunks) if status == 0 else None
