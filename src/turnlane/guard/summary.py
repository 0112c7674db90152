"""What the guard says at the end, for people: each hazard with its place, both stacks and what to do.

Made from the records alone, so that it is the same for one process and for all processes of a program.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from turnlane.guard import stacks
from turnlane.guard.journal import Journal

WIDTH: Final = 100
MAX_FRAMES: Final = 4

Record = Mapping[str, Any]


def text(records: Sequence[Record], *, directory: str | None = None) -> str:
    """The summary of a program's records.

    Args:
        records: of all its processes, in any order.
        directory: paths below it are shown relative to it; by default the current one.
    """
    base = os.path.join(directory or os.getcwd(), "")
    found = merged(records)
    lines = [headline(found, records), ""]
    for hazard, count, processes in found:
        lines += [*_hazard(hazard, count, processes, base), ""]
    lines += [f"  {sentence}" for sentence in _troubles(records)]
    codes = sorted({hazard["code"] for hazard, _, _ in found})
    if codes:
        more = ", ".join(f"turnlane explain {code}" for code in codes[:3])
        lines.append(f"More about a code: {more}" + (", ..." if len(codes) > 3 else ""))
    return "\n".join(lines).rstrip() + "\n"


def one(record: Record) -> str:
    """One hazard, as it is shown when it is seen."""
    return "\n".join(_hazard(record, 1, 1, os.path.join(os.getcwd(), ""))) + "\n"


def headline(found: Sequence[tuple[Record, int, int]], records: Sequence[Record]) -> str:
    """One line: how many hazards, in how many processes."""
    # A process that was made by a fork has no start of its own.
    processes = len({record["pid"] for record in records if record["kind"] in ("start", "hazard", "end")}) or 1
    where = "1 process" if processes == 1 else f"{processes} processes"
    if not found:
        return f"turnlane guard: no hazard seen in {where}."
    number = "1 hazard" if len(found) == 1 else f"{len(found)} hazards"
    return f"turnlane guard: {number} seen in {where}."


def merged(records: Iterable[Record]) -> list[tuple[Record, int, int]]:
    """Each hazard once, with how often and in how many processes it was seen; in the order first seen."""
    counts: Counter[str] = Counter()
    first: dict[str, Record] = {}
    seen: dict[str, set[int]] = {}
    written: Counter[str] = Counter()
    for record in records:
        if record["kind"] == "hazard":
            key = _key(record)
            first.setdefault(key, record)
            seen.setdefault(key, set()).add(record["pid"])
            written[key] += 1
        elif record["kind"] == "end":
            counts.update(record["counts"])
    # A process that was killed has written its hazards, and no counts.
    return [(record, max(counts[key], written[key]), len(seen[key])) for key, record in first.items()]


def _key(record: Record) -> str:
    place = record["place"]
    known = place["line"] > 0
    return f"{record['code']} {place['file']}:{place['line']}" if known else f"{record['code']} {record['object']}"


def _hazard(record: Record, count: int, processes: int, base: str) -> list[str]:
    times = "once" if count == 1 else f"{count} times"
    several = f" in {processes} processes" if processes > 1 else ""
    where = f" at {_place(record['place'], base)}" if record["place"]["line"] else ""
    lines = [f"{record['code']} {record['name']}{where}, {times}{several}", *_wrapped(record["message"])]
    for stack in record["stacks"]:
        lines += _stack(stack, base)
    return [*lines, *_wrapped(f"Do this: {record['fix']}")]


def _stack(stack: Mapping[str, Any], base: str) -> list[str]:
    frames = stack["frames"]
    own = [number for number, frame in enumerate(frames, 1) if stacks.is_users(frame["file"])]
    if own:
        frames = frames[: own[-1] + 1]  # and what the program's own line calls
    frames = frames[-MAX_FRAMES:]
    if not frames:
        return []
    rows = []
    for frame in frames:
        code = f"    {frame['text']}" if frame["text"] else ""
        rows.append(f"      {_place(frame, base)} {frame['function']}{code}"[:160])
    return [f"    {stack['title']}:", *rows]


def _place(place: Mapping[str, Any], base: str) -> str:
    return f"{place['file'].removeprefix(base)}:{place['line']}"


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, WIDTH, initial_indent="  ", subsequent_indent="  ", break_long_words=False)


def _troubles(records: Iterable[Record]) -> list[str]:
    """What the guard could not watch: nobody should take silence there for good news."""
    told = {record["where"]: record["error"] for record in records if record["kind"] == "trouble"}
    return [f"the guard itself failed in {where} and did not watch it: {error}" for where, error in told.items()]


def print_own(journal: Journal) -> None:
    """Write this process's summary to stderr: for `guard.install()` without `turnlane guard`."""
    if sys.stderr is not None:
        sys.stderr.write("\n" + text(journal.kept))
