"""The budgets can be measured: each row is there, in the table and in the JSON. Nothing is asserted about time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ROWS = {
    "memory_while_storing": "MB",
    "memory_stored": "MB",
    "idle": "%",
    "cpu_10_kept": "x",
    "cpu_10_fresh": "x",
    "cpu_1_kept": "x",
    "cpu_1_fresh": "x",
    "latency_1_client": "x",
    "throughput_10_clients": "x",
    "all_at_once": "s",
    "all_at_once_http": "s",
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmark reads /proc")
def test_every_budget_has_its_row(tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    command = [sys.executable, "benchmarks/budgets.py", "--quick", "--json", str(kept)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    figures = json.loads(kept.read_text())
    assert {row["key"]: row["unit"] for row in figures["rows"]} == ROWS
    assert figures["machine"]["cores"] >= 1
    for row in figures["rows"]:
        assert row["what"] in done.stdout
        assert row["value"] >= 0 or row["unit"] == "MB"
