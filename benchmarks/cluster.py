"""One machine against a cluster: the same work on SQLite and on PostgreSQL, measured in one run.

    python benchmarks/cluster.py [--quick] [--json FILE] [--only NAME] [--store sqlite|postgresql] [--help]

No agents and no HTTP: turns are accepted, handed to workers that do nothing, and committed with a state and an
event. SQLite: one process accepts and works. PostgreSQL: a server is started for the run (fsync on), one process
accepts, and worker processes work (two, unless --workers says otherwise; 0: the process that accepts works too).
CPU is that of all processes, PostgreSQL's own included. Linux only (`/proc`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cluster_measures import QUICK, Figures, Measure, Size, measures
from cluster_worker import as_a_server
from stores import Stores
from turnlane.testing.postgres_server import NEWEST

STORES: Final = ("sqlite", "postgresql")
WORKERS: Final = 2
EACH_NUMBER: Final = (0, 1, 2, 3, 4)
"""Numbers of worker processes for the measurement of many clients."""


@dataclass(frozen=True)
class Row:
    """One measurement."""

    what: str
    store: str
    workers: int
    figures: Figures


def rows(size: Size, options: argparse.Namespace, stores: Stores) -> Iterator[Row]:
    """Every measurement that was asked for, store by store, so that the two of a pair are near in time."""
    for name, measure in measures(size).items():
        if options.only and not any(part in name for part in options.only):
            continue
        for store in options.store or STORES:
            for workers in _numbers(store, name == f"{size.clients} clients", options.workers):
                yield Row(name, store, workers, _run(measure, stores.empty(store), workers))


def _numbers(store: str, many: bool, asked: Sequence[int] | None) -> Sequence[int]:
    if store == "sqlite":
        return (0,)
    return asked or (EACH_NUMBER if many else (WORKERS,))


def _run(measure: Measure, empty: AbstractContextManager[Any], workers: int) -> Figures:
    import uvloop  # the server has it too

    with empty as store:
        figures: Figures = uvloop.run(measure(store, workers))
        return figures


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load": round(os.getloadavg()[0], 1),
        "commit": _commit(),
    }


def _commit() -> str | None:
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        asked = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return asked.stdout.strip()


def line_of(row: Row) -> str:
    figures = ", ".join(f"{name} {shown(value)}" for name, value in row.figures.items())
    return f"{row.what} | {column_of(row)}: {figures}"


def column_of(row: Row) -> str:
    if row.store == "sqlite":
        return "SQLite"
    return "PostgreSQL, in one process" if row.workers == 0 else f"PostgreSQL, {row.workers} workers"


def shown(value: float) -> str:
    """Three digits that count."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(measured: Sequence[Row]) -> str:
    """The rows side by side, in Markdown: a line a figure, a column a store."""
    columns = list(dict.fromkeys(map(column_of, measured)))
    lines = [f"| what | figure | {' | '.join(columns)} |", "|---|---|" + "--:|" * len(columns)]
    for what in dict.fromkeys(row.what for row in measured):
        of = {column_of(row): row.figures for row in measured if row.what == what}
        for figure in dict.fromkeys(name for figures in of.values() for name in figures):
            cells = [shown(of[name][figure]) if figure in of.get(name, {}) else "" for name in columns]
            lines.append(f"| {what} | {figure} | {' | '.join(cells)} |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    parser.add_argument("--quick", action="store_true", help="a smoke test: every row, no figure worth reading")
    parser.add_argument("--only", action="append", help="measurements whose name contains this (may be repeated)")
    parser.add_argument("--store", choices=STORES, action="append", help="measure this store only")
    parser.add_argument("--workers", type=int, action="append", help="this number of worker processes only")
    parser.add_argument("--postgresql", type=int, default=NEWEST, help="its version (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE: a setting of PostgreSQL's")
    parser.add_argument(
        "--folder", type=Path, help="where the data goes: the disk to measure (default: the system's)"
    )
    return parser.parse_args()


def main() -> int:
    options, measured = arguments(), []
    as_a_server()
    about = {**machine(), "postgresql": options.postgresql}
    print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="turnlane-bench-", dir=options.folder) as folder,
        Stores(Path(folder), options.postgresql, dict(one.split("=", 1) for one in options.set)) as stores,
    ):
        for row in rows(QUICK if options.quick else Size(), options, stores):
            measured.append(row)
            print(line_of(row), flush=True)
    print(f"\n{table(measured)}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        report = {"machine": about, "rows": [asdict(row) for row in measured]}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
