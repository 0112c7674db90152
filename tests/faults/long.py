"""The long form of the fault suite.

python -m tests.faults.long --kills 50 --turns 5000
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
from tests.faults.schedule import Schedule, run_schedule


def main() -> int:
    options = parse()
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # loopback only
    # Generous: half a second a turn and six seconds a restart, on a machine that does other things too.
    limit = 60 + 0.5 * options.turns + 6 * options.kills
    schedule = Schedule(options.seed, options.kills, options.turns, options.users, limit)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="turnlane-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"{schedule.command} on {os.cpu_count()} cores; files in {folder}\n")
    sys.stdout.flush()
    outcome = anyio.run(run_schedule, schedule, folder)
    sys.stdout.write(f"{outcome}\n")
    if options.json:
        options.json.write_text(json.dumps(outcome.figures(), indent=2) + "\n")
    return 0 if outcome.ok else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.long", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="how often the server is killed (default: 50)")
    parser.add_argument("--turns", type=int, default=5000, help="messages in all (default: 5000)")
    parser.add_argument("--users", type=int, default=100, help="users, each with one conversation (default: 100)")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().getrandbits(32), help="default: a new one"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--keep", type=Path, help="folder for logs, database and history (default: a new one)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
