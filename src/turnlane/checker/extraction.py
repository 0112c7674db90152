"""Reads files into facts, in several processes when there are many."""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from turnlane.checker import cache
from turnlane.checker.languages import language
from turnlane.checker.texts import Texts

ENOUGH_FILES: Final = 60
"""Below this, starting processes costs more than it saves."""

SILENCER: Final = b"turnlane:"
"""In every file that has a comment of ours."""


class Task(NamedTuple):
    """One file to read with one language."""

    language: str
    path: str

    @property
    def key(self) -> str:
        """Names the task in the store of facts."""
        return f"{self.language}\0{self.path}"


class Read(NamedTuple):
    """What came of a task."""

    task: Task
    digest: bytes
    marked: bool
    blob: bytes
    """The facts; empty when there are none."""
    problem: str = ""
    """Why there are none, in one sentence without the path."""


def digest_of(data: bytes) -> bytes:
    """Stands for the content of a file."""
    return hashlib.blake2b(data, digest_size=16).digest()


def marked(data: bytes) -> bool:
    """Whether the file may have a comment of ours."""
    return SILENCER in data


def extract(tasks: Sequence[Task], texts: Texts, jobs: int) -> Iterator[Read]:
    """Read every file. Never raises for what is in it.

    Args:
        tasks: what to read.
        texts: where the bytes are.
        jobs: how many processes at most.
    """
    if jobs > 1 and len(tasks) >= ENOUGH_FILES and hasattr(os, "fork"):
        yield from _in_processes(tasks, texts, jobs)
    else:
        yield from (read(task, texts) for task in tasks)


def read(task: Task, texts: Texts) -> Read:
    """Read one file."""
    try:
        data = texts.data(task.path)
    except OSError as error:
        return Read(task, b"", False, b"", f"not read: {(error.strerror or str(error)).lower()}")
    try:
        blob = cache.dumps(language(task.language).extract(task.path, data))
    except Exception as error:
        if os.environ.get("TURNLANE_DEBUG"):
            raise
        problem = (
            f"not checked: reading it failed inside of turnlane with {type(error).__name__}; please report it"
        )
        return Read(task, digest_of(data), False, b"", problem)
    return Read(task, digest_of(data), marked(data), blob)


def _in_processes(tasks: Sequence[Task], texts: Texts, jobs: int) -> Iterator[Read]:
    for name in {task.language for task in tasks}:
        language(name)  # imported once, before the processes part
    sys.stdout.flush()
    sys.stderr.flush()
    waiting = {task.key: task for task in tasks}
    for done in _answers([_start(part, texts) for part in _parts(tasks, jobs)]):
        del waiting[done.task.key]
        yield done
    # A process died, of memory or of a parser's crash: one file after the other finds the one that did it.
    for task in waiting.values():
        answers = list(_answers([_start([task], texts)]))
        problem = "not checked: its parser crashed; please report it"
        yield answers[0] if answers else Read(task, b"", False, b"", problem)


def _parts(tasks: Sequence[Task], jobs: int) -> Iterable[Sequence[Task]]:
    """One part for each process, in turns, so that a folder of large files is shared."""
    return [part for part in (tasks[start::jobs] for start in range(jobs)) if part]


def _start(tasks: Sequence[Task], texts: Texts) -> tuple[int, int]:
    """Start a process that reads these files. Returns its id and the end of the pipe that it answers into."""
    out, into = os.pipe()
    process = os.fork()
    if process:
        os.close(into)
        return process, out
    status = 1
    try:
        os.close(out)
        with open(into, "wb") as answers:
            for task in tasks:
                marshal.dump(_as_data(read(task, texts)), answers)
        status = 0
    finally:
        os._exit(status)


def _as_data(done: Read) -> tuple[str | bytes | bool, ...]:
    return (*done.task, *done[1:])


def _answers(processes: Sequence[tuple[int, int]]) -> Iterator[Read]:
    """What the processes answer, one process after the other: each has its own share of the work."""
    import selectors

    chunks: dict[int, list[bytes]] = {out: [] for _, out in processes}
    with selectors.DefaultSelector() as ready:
        for _, out in processes:
            ready.register(out, selectors.EVENT_READ)
        while ready.get_map():
            for key, _ in ready.select():
                data = os.read(key.fd, 1 << 20)
                if data:
                    chunks[key.fd].append(data)
                    continue
                ready.unregister(key.fd)
                os.close(key.fd)
                yield from _decoded(b"".join(chunks.pop(key.fd)))
    for process, _ in processes:
        os.waitpid(process, 0)


def _decoded(data: bytes) -> Iterator[Read]:
    import io

    stream = io.BytesIO(data)
    while stream.tell() < len(data):
        try:
            name, path, *rest = marshal.load(stream)  # noqa: S302 - from our own process
        except (EOFError, ValueError, TypeError):
            return  # the process died while it wrote
        yield Read(Task(name, path), *rest)
