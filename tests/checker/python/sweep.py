"""Reads every Python file of whole folders and says where the facts are wrong.

Usage: `python -m tests.checker.python.sweep FOLDER ...`; without folders, the standard library of the running
Python with its own tests. Exit 1: a file raised, or its facts do not conform to its syntax tree.
"""

from __future__ import annotations

import sys
import sysconfig
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.checker.python.conformity import faults

from turnlane.checker.python.extract import extract
from turnlane.checker.source import Unreadable, decode

SUFFIXES = (".py", ".pyi", ".ipynb")


def files(folders: Iterable[Path]) -> Iterator[Path]:
    """The Python files in `folders`, in order."""
    for folder in folders:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
            installed = "site-packages" in path.relative_to(folder).parts
            if path.suffix in SUFFIXES and path.is_file() and not installed:
                yield path


def faults_of(path: Path) -> tuple[str, list[str]]:
    """How the file was read ("parsed", "recovered", "not checked"), and what is wrong with its facts."""
    data = path.read_bytes()
    module = extract(str(path), data)
    try:
        text = "" if path.suffix == ".ipynb" else decode(data)
    except Unreadable:
        text = ""
    found = faults(module, text) if text else []
    if module.recovered:
        return "recovered", found
    unread = any(problem.endswith("not checked") or "not checked:" in problem for _, problem in module.problems)
    return "not checked" if unread else "parsed", found


def main(folders: list[str]) -> int:
    """Read all; print what is wrong and a summary."""
    start = time.perf_counter()
    outcomes: Counter[str] = Counter()
    slowest = (0.0, Path())
    for path in files(map(Path, folders or [sysconfig.get_path("stdlib")])):
        before = time.perf_counter()
        try:
            outcome, found = faults_of(path)
        except Exception:
            outcome, found = "raised", [traceback.format_exc()]
        slowest = max(slowest, (time.perf_counter() - before, path))
        outcomes[outcome] += 1
        outcomes["wrong"] += bool(found)
        for fault in found[:3]:
            sys.stdout.write(f"{path}: {fault}\n")
    seconds = time.perf_counter() - start
    sys.stdout.write(f"{dict(outcomes)} in {seconds:.0f} s; slowest {slowest[1]}: {slowest[0]:.2f} s\n")
    return 1 if outcomes["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
