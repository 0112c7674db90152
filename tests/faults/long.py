"""The long form of the fault suite.

python -m tests.faults.long embedded --faults 200 --turns 10000
python -m tests.faults.long cluster --faults 200 --turns 10000
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from pathlib import Path

import anyio
from tests.faults.schedule import TOPOLOGIES, Schedule, run_schedule


def main() -> int:
    options = parser().parse_args()
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # loopback only
    schedule = schedule_of(options)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="turnlane-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"{schedule.command} on {os.cpu_count()} cores; files in {folder}\n")
    sys.stdout.flush()
    outcome = anyio.run(run_schedule, schedule, folder)
    sys.stdout.write(f"{outcome}\n")
    if options.json:
        options.json.write_text(json.dumps(outcome.as_json()) + "\n")
    return 0 if outcome.ok else 1


def schedule_of(options: argparse.Namespace) -> Schedule:
    return Schedule(
        topology=options.topology,
        seed=options.seed,
        faults=options.faults,
        turns=options.turns,
        users=options.users,
        limit=options.limit,
        each=options.each,
        kinds=tuple(options.kind),
        ledger=not options.no_ledger,
    )


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.long", description=__doc__)
    parser.add_argument("topology", choices=TOPOLOGIES)
    parser.add_argument("--faults", type=int, default=20, help="of each kind (default: 20)")
    parser.add_argument("--turns", type=int, default=2000, help="messages, at least (default: 2000)")
    parser.add_argument("--users", type=int, default=30, help="users at once (default: 30)")
    parser.add_argument("--each", type=int, default=20, help="messages of a user (default: 20)")
    parser.add_argument("--kind", action="append", default=[], help="only this kind of fault; may be repeated")
    parser.add_argument("--no-ledger", action="store_true", help="agents without a ledger for re-runs")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().getrandbits(32), help="default: a new one"
    )
    parser.add_argument("--limit", type=float, default=3600, help="seconds until it has failed (default: 3600)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--keep", type=Path, help="folder for logs, store and history (default: a new one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
