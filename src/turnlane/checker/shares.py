"""How the files of a run are shared out: what hangs together is checked together, apart from everything else.

A tree is many programs: scripts, packages, services that never import each other. Each share holds whole programs,
so that nothing is lost when it is checked in a process of its own, and is small enough that memory does not grow
with the tree. A program too large for one share is divided by folders: there, what runs from one end of it to
the other may go unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

SHARE: Final = 700_000
"""Bytes of source that make one share worth a process."""
SPARED: Final = 2_000_000
"""Bytes of source from which on programs in which nothing matters are not even parsed. In less, a file that does
not parse is told of wherever it stands."""
LARGEST: Final = 6_000_000
"""Bytes of source that are checked together at most. Facts take nine times as much memory."""


class Look(NamedTuple):
    """What a file's bytes tell without parsing."""

    links: tuple[str, ...] = ()
    """What it imports, as the language writes it."""
    matters: bool = True
    """Whether any rule could care about it."""


class Sized(NamedTuple):
    """A file to share out."""

    path: str
    size: int
    look: Look


Resolve = Callable[[str, str], str | None]
"""The path that a link of a file leads to: `resolve(link, path)`; None when it leads out of the tree."""


def divide(files: Sequence[Sized], resolve: Resolve | None) -> list[list[str]]:
    """Groups of paths that can be checked apart; of a large tree without the programs in which no file matters.

    Args:
        files: all files of one language.
        resolve: follows links; None: the language's files have none, and folders stand for programs.
    """
    programs = _programs(files, resolve) if resolve is not None else [sorted(files)]
    large = sum(file.size for file in files) >= SPARED
    worth = [program for program in programs if not large or any(file.look.matters for file in program)]
    shares: list[list[str]] = []
    gathered: list[str] = []
    size = 0
    for program in worth:
        whole = sum(file.size for file in program)
        if whole > LARGEST:
            shares += _by_folder(program)
            continue
        if gathered and size + whole > SHARE:
            shares.append(gathered)
            gathered, size = [], 0
        gathered = [*gathered, *(file.path for file in program)]
        size += whole
    return [*shares, gathered] if gathered else shares


def _programs(files: Sequence[Sized], resolve: Resolve) -> list[list[Sized]]:
    """The files that links connect, in the order of their paths."""
    leader: dict[str, str] = {file.path: file.path for file in files}

    def first(path: str) -> str:
        while leader[path] != path:
            leader[path] = leader[leader[path]]
            path = leader[path]
        return path

    for file in files:
        for link in file.look.links:
            target = resolve(link, file.path)
            if target is not None and target in leader:
                one, other = first(file.path), first(target)
                if one != other:
                    leader[max(one, other)] = min(one, other)
    programs: dict[str, list[Sized]] = {}
    for file in sorted(files):
        programs.setdefault(first(file.path), []).append(file)
    return list(programs.values())


def _by_folder(program: Sequence[Sized]) -> Iterable[list[str]]:
    """Runs of neighbours: files of one folder stay together where they fit."""
    part: list[str] = []
    size = 0
    for file in sorted(program):
        if part and size + file.size > LARGEST // 2:
            yield part
            part, size = [], 0
        part.append(file.path)
        size += file.size
    if part:
        yield part
