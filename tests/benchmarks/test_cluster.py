"""One machine and a cluster can be measured side by side: each row is there. Nothing is asserted about time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ROWS = {
    "1 client": "to start p99 ms",
    "10 clients": "to result p50 ms",
    "5 clients": "turns/s",
    "5 clients, 1 KB of state": "CPU ms a turn",
    "1 lane, 5 turns": "hand-over p50 ms",
    "3 lanes, 20 turns each": "hand-over p99 ms",
    "5 x 0.05 s": "seconds",
    "10 stored conversations": "disk KB a conversation",
    "30 stored conversations": "CPU ms a turn",
    "10 queued turns": "turns/s",
    "20 queued turns": "CPU ms a turn",
    "2 streams x 10 events/s": "publish to reader p50 ms",
    "idle": "% of a core, all processes",
}
"""What is measured, and one of its figures."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmark reads /proc")
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_every_measurement_has_its_row(store: str, tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    command = [sys.executable, "benchmarks/cluster.py", "--quick", "--store", store, "--json", str(kept)]
    if store == "postgresql":
        command += ["--workers", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    measured = json.loads(kept.read_text())["rows"]
    assert {row["what"]: row["store"] for row in measured} == dict.fromkeys(ROWS, store)
    for row in measured:
        assert row["figures"][ROWS[row["what"]]] >= 0
        assert f"| {row['what']} | {ROWS[row['what']]} |" in done.stdout
    assert sum(row["figures"].get("overlaps", 0) + row["figures"].get("lost", 0) for row in measured) == 0
