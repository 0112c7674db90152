"""What the guard costs a served turn: `python benchmarks/guard.py [--turns N] [--rounds N] [--json FILE]`.

Two servers of the same program, one with the guard and one without, answer in turns (A B B A), against a practice
provider in a process of its own. CPU is the server's, from the kernel. Medians of rounds. Linux only (`/proc`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from processes import HERE, CallerProcess, cpu_seconds, wait_answering
from turnlane.guard.launch import environment
from turnlane.guard.settings import GuardSettings
from turnlane.testing.child_process import ChildProcess, free_port

PROGRAMS: Final = ("turnlane serve", "fastapi")
AT_ONCE: Final = 10


@contextmanager
def provider(folder: Path) -> Iterator[str]:
    """The practice provider, which answers at once."""
    port = free_port()
    script = folder / "script.yaml"
    script.write_text("rules:\n  - say: It is on its way.\n")
    command = [sys.executable, "-m", "turnlane.practice", "--port", str(port), "--keep-requests", "0"]
    with ChildProcess([*command, "--script", str(script)], output=folder / "provider.log") as child:
        wait_answering(f"http://127.0.0.1:{port}/v1/models", child)
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def server(program: str, folder: Path, env: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """A server's address and process."""
    folder.mkdir()
    port = free_port()
    if program == "fastapi":
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "guarded_app:app",
            "--port",
            str(port),
            "--log-level",
            "warning",
        ]
        ready = "/ready"
    else:
        served = [str(HERE / "served_app.py"), "--port", str(port), "--data", str(folder / "data")]
        command = [sys.executable, "-m", "turnlane.cli.main", "serve", *served]
        ready = "/healthz"
    with ChildProcess(command, output=folder / "server.log", env=env, cwd=HERE) as child:
        wait_answering(f"http://127.0.0.1:{port}{ready}", child)
        yield f"http://127.0.0.1:{port}", child.pid


def milliseconds_a_turn(program: str, caller: CallerProcess, address: str, pid: int, turns: int) -> float:
    """CPU of the server."""
    if program == "fastapi":
        before = cpu_seconds(pid)
        caller.do("chats", server=address, count=turns, clients=AT_ONCE)
    else:
        ready = caller.do("served_conversations", server=address, count=turns)
        before = cpu_seconds(pid)
        caller.do("served_turns", server=address, clients=AT_ONCE, **ready)
    return (cpu_seconds(pid) - before) / turns * 1e3


def measured(program: str, folder: Path, turns: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of CPU a turn without and with the guard, and their ratio."""
    records = folder / "records.jsonl"
    with ExitStack() as stack:
        address = stack.enter_context(provider(folder))
        plain = {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": "practice", "PYTHONPATH": str(HERE)}
        watched = environment(GuardSettings(output=str(records), summary=False), {**os.environ, **plain})
        bare = stack.enter_context(server(program, folder / "bare", plain))
        guarded = stack.enter_context(server(program, folder / "guarded", watched))
        caller = stack.enter_context(CallerProcess())
        pairs = []
        for number in range(rounds + 1):
            order = (bare, guarded) if number % 2 else (guarded, bare)
            figures = {one: milliseconds_a_turn(program, caller, *one, turns) for one in order}
            pairs.append((figures[bare], figures[guarded]))
    pairs = pairs[1:]  # the first warms up
    hazards = [json.loads(line) for line in records.read_text().splitlines() if '"hazard"' in line]
    return {
        "bare_ms": median(one for one, _ in pairs),
        "guarded_ms": median(other for _, other in pairs),
        "ratio": median(other / one for one, other in pairs),
        "hazards": sorted(record["code"] for record in hazards),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for program in PROGRAMS:
        with tempfile.TemporaryDirectory() as folder:
            results[program] = found = measured(program, Path(folder), options.turns, options.rounds)
        print(
            f"{program:15} {found['bare_ms']:.2f} ms CPU a turn, with the guard {found['guarded_ms']:.2f}: "
            f"{found['ratio']:.3f} x (budget 1.05); hazards reported: {found['hazards'] or 'none'}"
        )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
