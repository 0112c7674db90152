"""Where the output can't go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "turnlane", "check")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_one_sentence_at_first_and_from_the_cache(tmp_path: Path) -> None:
    for _ in range(2):
        with open("/dev/full", "w") as full:
            ended = subprocess.run(COMMAND, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
        assert ended.returncode == 2
        assert ended.stderr == "turnlane: the output can't be written: no space left on device\n"
        subprocess.run(COMMAND, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.skipif(os.name != "posix", reason="streams are closed by a shell")
def test_closed_streams_change_nothing_about_the_status(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("f()  # turnlane: ignore[TL999] gone\n")
    closed = [*("/bin/sh", "-c", '"$@" >&- 2>&-', "sh"), *COMMAND]
    assert subprocess.run(closed, cwd=tmp_path).returncode == 1
