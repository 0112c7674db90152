"""How fast `turnlane check` is beside ruff: `python benchmarks/check.py TREE... [--rounds 5] [--json FILE]`.

Both check the same tree in turns, A B A B, in processes of their own; a machine's speed cancels out in the ratio.
Cold: without a cache of one's own. Warm: after a first run that filled it, nothing changed since. Medians of wall
time; CPU time and the largest resident memory are of the process with all its children, as the kernel counts them.
Exits with 1 when a budget does not hold. Linux and macOS.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

BUDGETS: Final = {"cold": 10.0, "warm": 3.0}
"""Times the wall time of ruff."""
MEMORY_BUDGET: Final = 500.0
"""MB of one run."""
START_BUDGET: Final = 0.3
"""Seconds of a run over one small file."""
UNIT: Final = 1024.0 if sys.platform == "linux" else 1024.0 * 1024.0
"""`ru_maxrss` in one MB."""


class Run(NamedTuple):
    """One run of a command."""

    wall: float
    cpu: float
    memory: float
    """MB, of the largest of its processes."""


class Pair(NamedTuple):
    """Both programs on one tree, cold or warm."""

    tree: str
    files: int
    state: str
    turnlane: list[Run]
    ruff: list[Run]

    @property
    def ratio(self) -> float:
        return wall(self.turnlane) / wall(self.ruff)

    @property
    def cpu_ratio(self) -> float:
        return median(run.cpu for run in self.turnlane) / median(run.cpu for run in self.ruff)

    @property
    def memory(self) -> float:
        return max(run.memory for run in self.turnlane)

    @property
    def holds(self) -> bool:
        return self.ratio <= BUDGETS[self.state] and self.memory <= MEMORY_BUDGET


def wall(runs: list[Run]) -> float:
    return median(run.wall for run in runs)


def main() -> int:
    options = _options()
    print(f"{'tree':28} {'files':>6} {'':5} {'turnlane':>10} {'ruff':>8} {'ratio':>7} {'CPU':>7} {'memory':>8}")
    pairs = []
    for tree in options.trees:
        for pair in compare(tree.resolve(), options.rounds):
            print(_line(pair), flush=True)
            pairs.append(pair)
    start = start_time(options.rounds)
    print(f"one small file: {start:.3f} s (budget {START_BUDGET} s)")
    if options.json:
        options.json.write_text(json.dumps(_report(pairs, start), indent=2) + "\n")
    return 0 if all(pair.holds for pair in pairs) and start <= START_BUDGET else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("trees", type=Path, nargs="+", metavar="TREE")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each program and state (default: 5)")
    parser.add_argument("--json", type=Path, help="write the figures into this file")
    return parser.parse_args()


def compare(tree: Path, rounds: int) -> Iterator[Pair]:
    """Cold runs in turns, then warm ones."""
    files = sum(1 for name in _names(tree) if name.endswith((".py", ".ipynb")))
    with tempfile.TemporaryDirectory() as folder:
        caches = {name: Path(folder) / name for name in ("turnlane", "ruff")}
        cold = {"turnlane": [*_turnlane(), "--no-cache"], "ruff": [*_ruff(), "--no-cache"]}
        yield _alternate(tree, files, "cold", cold, rounds)
        warm = {
            "turnlane": [*_turnlane(), "--cache-dir", str(caches["turnlane"])],
            "ruff": [*_ruff(), "--cache-dir", str(caches["ruff"])],
        }
        for command in warm.values():
            timed([*command, str(tree)])
        yield _alternate(tree, files, "warm", warm, rounds)


def _alternate(tree: Path, files: int, state: str, commands: dict[str, list[str]], rounds: int) -> Pair:
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(timed([*command, str(tree)]))
    return Pair(tree.name, files, state, runs["turnlane"], runs["ruff"])


def _turnlane() -> list[str]:
    return [_program("turnlane"), "check", "--isolated", "--output-format", "concise"]


def _ruff() -> list[str]:
    return [_program("ruff"), "check", "--isolated", "--select", "ASYNC", "--output-format", "concise"]


def _program(name: str) -> str:
    """The one of this environment, else of the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is not installed: run  uv pip install {name}")
    return found


def _names(tree: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if name not in (".git", "node_modules", ".venv")]
        yield from (os.path.join(folder, name) for name in names)


def timed(command: list[str]) -> Run:
    """Run a command to its end, in the fashion of `time`. Findings are no failure."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    # wait4 gives what this process and its waited children used; getrusage would mix all runs so far.
    _, status, used = os.wait4(process.pid, 0)
    ended = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}: {said.decode()[-2000:]}")
    return Run(ended - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / UNIT)


def start_time(rounds: int) -> float:
    """Seconds of a run over one small file, without a cache."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "main.py"
        file.write_text("import asyncio\n\n\nasync def main() -> None:\n    await asyncio.sleep(0)\n")
        return wall([timed([*_turnlane(), "--no-cache", str(file)]) for _ in range(rounds)])


def _line(pair: Pair) -> str:
    verdict = "" if pair.holds else f"  OVER: at most {BUDGETS[pair.state]:g} x and {MEMORY_BUDGET:g} MB"
    return (
        f"{pair.tree[:28]:28} {pair.files:6} {pair.state:5} {wall(pair.turnlane):8.3f} s {wall(pair.ruff):6.3f} s "
        f"{pair.ratio:5.1f} x {pair.cpu_ratio:5.1f} x {pair.memory:5.0f} MB{verdict}"
    )


def _report(pairs: list[Pair], start: float) -> dict[str, object]:
    rows = [
        {
            "tree": pair.tree,
            "files": pair.files,
            "state": pair.state,
            "ratio": round(pair.ratio, 2),
            "cpu_ratio": round(pair.cpu_ratio, 2),
            "memory_mb": round(pair.memory, 1),
            "turnlane_seconds": [round(run.wall, 4) for run in pair.turnlane],
            "ruff_seconds": [round(run.wall, 4) for run in pair.ruff],
        }
        for pair in pairs
    ]
    return {"rows": rows, "one_file_seconds": round(start, 4), "cores": os.cpu_count()}


if __name__ == "__main__":
    raise SystemExit(main())
