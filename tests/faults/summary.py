"""Adds up what several long schedules wrote with --json, as tables in Markdown.

python -m tests.faults.summary embedded-*.json
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.faults.outcome import percentiles

from turnlane.testing.history import KINDS

COUNTS = (
    "conversations",
    "messages",
    "turns",
    "completed",
    "failed",
    "cancelled",
    "interrupted",
    "joined",
    "needs attention",
    "faults",
    "broken requests",
    "re-runs",
    "calls answered",
    "calls answered again",
    "acts",
    "acts again",
    "zombie calls",
    "streams",
    "streams resumed elsewhere",
    "looks",
)


def main(files: Sequence[str]) -> None:
    outcomes = [json.loads(Path(file).read_text()) for file in files]
    sys.stdout.write("\n".join(summary(outcomes)) + "\n")


def summary(outcomes: Sequence[dict[str, Any]]) -> list[str]:
    """The lines of two tables: what there was, and how each kind of fault was mended."""
    counted = total(outcomes)
    lines = ["| | |", "|---|---|", f"| schedules, seconds | {len(outcomes)}, {counted['seconds']:,.0f} |"]
    lines += [f"| {name} | {counted[name]:,} |" for name in COUNTS]
    verdict = ", ".join(str(counted[kind]) for kind in KINDS)
    problems = sum(len(outcome["problems"]) for outcome in outcomes)
    lines += [f"| **{', '.join(KINDS)}** | **{verdict}** |", f"| other problems | {problems} |", ""]
    lines += ["| fault | times | p50 | p99 |", "|---|---|---|---|"]
    lines += [row(kind, times) for kind, times in sorted(merged(outcomes, "recovered").items())]
    lines += [row(f"turns whose owner {what}", times) for what, times in merged(outcomes, "waits").items()]
    missing = {f"{kind}: {why}" for outcome in outcomes for kind, why in outcome["missing"].items()}
    return [*lines, *sorted(missing)]


def total(outcomes: Iterable[dict[str, Any]]) -> Counter[str]:
    """Everything that can be added."""
    found: Counter[str] = Counter()
    for outcome in outcomes:
        found.update({name: value for name, value in outcome.items() if isinstance(value, int | float)})
    return found


def merged(outcomes: Iterable[dict[str, Any]], table: str) -> dict[str, list[float]]:
    """All times of all schedules, by kind."""
    found: dict[str, list[float]] = defaultdict(list)
    for outcome in outcomes:
        for kind, times in outcome[table].items():
            found[kind] += times
    return found


def row(name: str, times: Sequence[float]) -> str:
    found = percentiles(times)
    return f"| {name} | {len(times):,} | {found['p50']} s | {found['p99']} s |"


if __name__ == "__main__":
    main(sys.argv[1:])
