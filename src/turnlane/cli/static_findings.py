"""What `turnlane check` finds in the sources of a program, for a verb that runs the program."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

BOUND: Final = 15.0
"""Seconds for the check: a verdict that lacks a line is better than one that is late."""


async def static_findings(paths: Sequence[Path]) -> list[tuple[str, str, int, str]]:
    """Code, file, line and message of every finding in files and folders; empty when it cannot be had in time."""
    # A process of its own: the checker uses the cores as it likes and ends its process itself.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "turnlane.cli.main", "check", "--output-format", "json", "--quiet"),
        *map(str, paths),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), BOUND)
    except TimeoutError:
        return []
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return [_finding(found) for found in _parsed(out)]


def _parsed(out: bytes) -> list[Mapping[str, Any]]:
    try:
        found = json.loads(out)
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def _finding(found: Mapping[str, Any]) -> tuple[str, str, int, str]:
    row = (found.get("file_location") or found["location"])["row"]
    return found["code"], str(Path(found["filename"]).absolute()), row, found["message"]
