"""How right `turnlane check` is: precision and recall for each rule over projects that a reader has labelled.

    python benchmarks/check_corpus.py labels.jsonl trees --list

`labels.jsonl` has one row a line: `repo` (owner/name), `path`, `line` (of a notebook: of the raw file), `code`,
`label` (`bad`: a true instance, `ok`: looks alike but is right, `unsure`) and `why`. `trees` holds one folder a
repository, `owner+name`. A finding is a hit when a `bad` row of its code and file is at most two lines away, a
false alarm when an `ok` row is; near both, the closer row counts. What no row speaks of is listed to be read.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One line of the labels."""

    repo: str
    path: str
    line: int
    code: str
    label: str
    why: str
    low: bool


class Found(NamedTuple):
    """One finding of the checker."""

    repo: str
    path: str
    line: int
    code: str
    severity: str
    message: str


class Outcome(NamedTuple):
    """What became of the rows and the findings of one rule."""

    bad: list[Row]
    hit: list[Row]
    right: list[Found]
    false: list[tuple[Found, Row]]
    unsure: list[Found]
    unlabelled: list[Found]

    @property
    def recall(self) -> float | None:
        return len(self.hit) / len(self.bad) if self.bad else None

    @property
    def precision(self) -> float | None:
        judged = len(self.right) + len(self.false)
        return len(self.right) / judged if judged else None


def main() -> int:
    options = _options()
    rows = [row for row in read_labels(options.labels) if row.code.startswith(options.select)]
    trees = {repo: options.trees / repo.replace("/", "+") for repo in sorted({row.repo for row in rows})}
    missing = [repo for repo, tree in trees.items() if not tree.is_dir()]
    for repo in missing:
        print(f"left out: there is no tree of {repo} in {options.trees}", file=sys.stderr)
    rows = [row for row in rows if row.repo not in missing]
    with ThreadPoolExecutor(options.jobs) as pool:
        checked = pool.map(
            lambda item: check(*item, options.seconds), [item for item in trees.items() if item[0] not in missing]
        )
        found = [
            finding for findings in checked for finding in findings if finding.code.startswith(options.select)
        ]
    outcomes = judge(rows, found, options.tolerance, tuple(options.whole_file.split(",")))
    print_table(outcomes)
    if options.list:
        print_lists(outcomes, options.trees)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("labels", type=Path)
    parser.add_argument("trees", type=Path)
    parser.add_argument("--list", action="store_true", help="show misses, false alarms and unlabelled findings")
    parser.add_argument("--select", default="TL", help="a code, or the beginning of codes")
    parser.add_argument("--tolerance", type=int, default=2, help="lines between a row and a finding (default: 2)")
    parser.add_argument(
        "--whole-file",
        default="TL601,TL602",
        help="codes whose finding is about the file: any line of it counts (default: TL601,TL602)",
    )
    parser.add_argument("--seconds", type=float, default=60, help="for one project (default: 60)")
    parser.add_argument("--jobs", type=int, default=1, help="projects checked at once (default: 1)")
    return parser.parse_args()


def read_labels(path: Path) -> list[Row]:
    """The rows of a labels file."""
    return [
        Row(
            read["repo"],
            read["path"],
            int(read["line"]),
            read["code"],
            read["label"],
            read.get("why", ""),
            read.get("severity") == "low",
        )
        for read in map(json.loads, path.read_text("utf-8").splitlines())
    ]


def check(repo: str, tree: Path, seconds: float) -> list[Found]:
    """Check one tree, all of its files, in a process of its own as a user would; a failure is told."""
    root = tree.resolve()
    program = str(Path(sys.executable).with_name("turnlane"))
    command = [program, "check", "--isolated", "--no-cache", "--no-respect-gitignore", "--output-format", "json"]
    try:
        ended = subprocess.run([*command, str(root)], capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        print(f"FAILED: {repo} took more than {seconds:g} s", file=sys.stderr)
        return []
    if ended.returncode not in (0, 1) or not ended.stdout:
        print(f"FAILED: {repo} with {ended.returncode}: {ended.stderr.strip()[-2000:]}", file=sys.stderr)
        return []
    return [_found(repo, root, item) for item in json.loads(ended.stdout)]


def _found(repo: str, root: Path, item: dict[str, Any]) -> Found:
    place = item.get("file_location") or item["location"]
    path = Path(os.path.relpath(item["filename"], root)).as_posix()
    return Found(repo, path, place["row"], item["code"], item["severity"], item["message"])


def judge(rows: list[Row], found: list[Found], tolerance: int, whole_file: tuple[str, ...]) -> dict[str, Outcome]:
    """Set findings against rows, by code."""
    outcomes: dict[str, Outcome] = defaultdict(lambda: Outcome([], [], [], [], [], []))
    by_place = defaultdict(list)
    for row in rows:
        by_place[row.repo, row.path, row.code].append(row)
        if row.label == "bad":
            outcomes[row.code].bad.append(row)
    hit: set[Row] = set()
    for finding in found:
        near = [
            row
            for row in by_place[finding.repo, finding.path, finding.code]
            if abs(row.line - finding.line) <= tolerance or finding.code in whole_file
        ]
        hit.update(row for row in near if row.label == "bad")
        _sort(finding, near, outcomes[finding.code])
    for outcome in outcomes.values():
        outcome.hit.extend(row for row in outcome.bad if row in hit)
    return dict(sorted(outcomes.items()))


def _sort(finding: Found, near: list[Row], outcome: Outcome) -> None:
    if not near:
        outcome.unlabelled.append(finding)
        return
    row = min(near, key=lambda row: (abs(row.line - finding.line), row.label != "bad"))
    if row.label == "bad":
        outcome.right.append(finding)
    elif row.label == "ok":
        outcome.false.append((finding, row))
    else:
        outcome.unsure.append(finding)


def print_table(outcomes: dict[str, Outcome]) -> None:
    print("code   rows  hit  recall  findings  false  precision  unsure  unlabelled")
    for code, outcome in outcomes.items():
        print(_line(code, outcome))
    print(_line("all", _together(list(outcomes.values()))))


def _together(outcomes: list[Outcome]) -> Outcome:
    everything = Outcome([], [], [], [], [], [])
    for outcome in outcomes:
        for whole, part in zip(everything, outcome, strict=True):
            whole.extend(part)
    return everything


def _line(code: str, of: Outcome) -> str:
    judged = len(of.right) + len(of.false)
    return (
        f"{code:6} {len(of.bad):4} {len(of.hit):4}  {_share(of.recall):>6}  {judged:8}  {len(of.false):5}  "
        f"{_share(of.precision):>9}  {len(of.unsure):6}  {len(of.unlabelled):10}"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def print_lists(outcomes: dict[str, Outcome], trees: Path) -> None:
    missed = [row for outcome in outcomes.values() for row in outcome.bad if row not in outcome.hit]
    false = [pair for outcome in outcomes.values() for pair in outcome.false]
    unlabelled = [finding for outcome in outcomes.values() for finding in outcome.unlabelled]
    too_severe = _too_severe(outcomes)
    print(f"\n== {len(missed)} missed")
    for row in missed:
        print(f"{row.code} {row.repo}/{row.path}:{row.line}{' (low)' if row.low else ''}: {row.why}")
        print(f"       {code_line(trees, row.repo, row.path, row.line)}")
    print(f"\n== {len(false)} false alarms")
    for finding, row in false:
        print(f"{_shown(finding)}\n       {code_line(trees, finding.repo, finding.path, finding.line)}")
        print(f"       right, because: {row.why}")
    print(f"\n== {len(too_severe)} more severe than their row says (it is information at most)")
    for finding in too_severe:
        print(_shown(finding))
    print(f"\n== {len(unlabelled)} that no row speaks of")
    for finding in unlabelled:
        print(f"{_shown(finding)}\n       {code_line(trees, finding.repo, finding.path, finding.line)}")
    counts = Counter(finding.code for finding in unlabelled)
    print("\n" + ", ".join(f"{code}: {count}" for code, count in sorted(counts.items())))


def _too_severe(outcomes: dict[str, Outcome]) -> list[Found]:
    low = {
        (row.repo, row.path, row.code, row.line) for outcome in outcomes.values() for row in outcome.bad if row.low
    }
    return [
        finding
        for outcome in outcomes.values()
        for finding in outcome.right
        if finding.severity != "information"
        and any(
            (finding.repo, finding.path, finding.code, finding.line + offset) in low
            for offset in (-2, -1, 0, 1, 2)
        )
    ]


def _shown(finding: Found) -> str:
    return f"{finding.code} {finding.repo}/{finding.path}:{finding.line} {finding.severity}: {finding.message}"


def code_line(trees: Path, repo: str, path: str, line: int) -> str:
    """The text of a line of a tree; empty where there is none."""
    try:
        lines = (trees / repo.replace("/", "+") / path).read_text("utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return lines[line - 1].strip()[:150] if 0 < line <= len(lines) else ""


if __name__ == "__main__":
    raise SystemExit(main())
