"""The tutorial of the probe: its two apps are probed, and the verdicts are those that the page shows."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from turnlane.probe.report import Report
from turnlane.testing.probing import probed

from .pages import ROOT, blocks

PAGE = ROOT / "docs/tutorial/why-intermittent-500s.md"
VERDICT = re.compile(r"^(TL\d{3}) (?:.+\n)+?  confidence ", re.MULTILINE)
"""Notes may begin a line with a code too."""

ENOUGH = 25.0
"""Seconds: the ramp, the guard and the first experiments name the causes, trials of faults would add nothing."""


def shown_after(use: str) -> str:
    """The output below one of the two apps."""
    found = blocks(PAGE)
    app = app_of(use)
    return next(b.text for b in found if b.line > app[0] and b.language == "text" and "users  requests" in b.text)


def app_of(use: str) -> tuple[int, str]:
    """Line and text of the block `python USE`."""
    [block] = [b for b in blocks(PAGE) if b.language == "python" and b.use == use]
    return block.line, block.text


def probe_of(use: str, folder: Path) -> Report:
    """The app, probed with the page's own words, but with fewer users."""
    (folder / "shop.py").write_text(app_of(use)[1])
    [said] = [b.text for b in blocks(PAGE) if "turnlane probe" in b.text]
    [template] = re.findall(r"--json '([^']+)'", said)
    return probed(
        start=f"{sys.executable} -m uvicorn shop:app --port {{port}}",
        url="http://127.0.0.1:{port}/chat",
        json=template,
        directory=str(folder),
        levels="1,5",
        max_seconds=ENOUGH,
    )


@pytest.mark.parametrize("use", ["wrong", "right"])
def test_the_verdicts_are_those_that_the_page_shows(use: str, tmp_path: Path) -> None:
    report = probe_of(use, tmp_path)
    shown = frozenset(VERDICT.findall(shown_after(use)))
    # What follows from the first mistake (TL207) needs more requests than a busy machine leaves time for.
    assert report.codes <= shown
    assert report.codes >= shown - {"TL207"}
    assert report.no_leaks == (use == "right")
    assert report.no_errors == (use == "right")
