"""Writes every page of the docs that is made from the code, or checks that they are current.

python docs/generate.py            # write
python docs/generate.py --check    # fails with the name of the first page that is not what the code makes
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

GENERATORS = {
    "turnlane.hazards": "docs/hazards",
    "turnlane.server.reference": "docs/reference/http.md",
    "turnlane.cli.reference": "docs/reference",
    "turnlane.checker.reference": "docs/reference/rules.md",
}
"""Module, and what it writes: a page, or a folder of pages."""

WHOLE_FOLDERS = ("docs/hazards",)
"""Nothing else is in these: a page too many is stale too."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the pages that are made from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is not current")
    if not parser.parse_args().check:
        for page in write(ROOT):
            print(page)
        return 0
    stale = first_stale()
    if stale is not None:
        print(f"{stale} is not what the code makes: run  python docs/generate.py", file=sys.stderr)
        return 1
    return 0


def first_stale(root: Path = ROOT) -> str | None:
    """The first page under `root` that differs from what the code makes; None when all are current."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        pages = write(fresh)
        kept = {page for name in WHOLE_FOLDERS for page in pages_of(root / name, root)}
        for page in sorted({*pages, *kept}):
            if not same(root / page, fresh / page):
                return page
    return None


def write(root: Path) -> list[str]:
    """Write every generated page under `root`. Returns their paths, relative to it."""
    # By way of an empty folder: only so is it known which pages of a shared folder a generator makes.
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        for module, place in GENERATORS.items():
            (fresh / place).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([sys.executable, "-m", module, "--write", str(fresh / place)], check=True, cwd=ROOT)
        pages = sorted(pages_of(fresh, fresh))
        for name in WHOLE_FOLDERS:
            for gone in {*pages_of(root / name, root)}.difference(pages):
                (root / gone).unlink()
        for page in pages:
            (root / page).parent.mkdir(parents=True, exist_ok=True)
            (root / page).write_bytes((fresh / page).read_bytes())
    return pages


def pages_of(folder: Path, root: Path) -> Iterator[str]:
    return (path.relative_to(root).as_posix() for path in folder.rglob("*.md"))


def same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


if __name__ == "__main__":
    sys.exit(main())
