"""Writes `frameworks.json` from the published wheels: `python -m turnlane.checker.libraries.generate`.

`--wheels FOLDER` keeps the downloads there and uses what it already holds. Nothing downloaded is ever imported.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from turnlane.checker.libraries import frameworks, roles
from turnlane.checker.libraries.packages import NotAvailable, Packages, download
from turnlane.checker.libraries.signatures import Table, describe


def main(arguments: Sequence[str] | None = None) -> int:
    """Generate the table; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write frameworks.json from the published wheels.")
    parser.add_argument("--wheels", type=Path, help="folder that keeps the downloaded wheels")
    parser.add_argument("--output", type=Path, default=frameworks.DATA)
    options = parser.parse_args(arguments)
    try:
        if options.wheels is not None:
            table = _read_releases(options.wheels)
        else:
            with tempfile.TemporaryDirectory() as folder:
                table = _read_releases(Path(folder))
    except NotAvailable as error:
        sys.stderr.write(f"{error}\n")
        return 2
    options.output.write_text(_compact(table), encoding="utf-8")
    return 0


def _read_releases(folder: Path) -> dict[str, Any]:
    """The merged table of all releases, the first one counting where they differ."""
    merged: dict[str, Any] = {"versions": {}, "roots": [], "aliases": {}, "classes": {}, "functions": {}}
    for release in roles.RELEASES:
        packages = Packages()
        for wheel in _wheels(release, folder):
            packages.add_wheel(wheel)
        _merge(merged, describe(packages), packages.versions)
    merged["roots"] = sorted({name.partition(".")[0] for name in (*merged["classes"], *merged["aliases"])})
    return merged


def _wheels(release: Iterable[str], folder: Path) -> list[Path]:
    found = []
    for requirement in release:
        name, _, version = requirement.partition("==")
        kept = sorted(folder.rglob(f"{name.replace('-', '_')}-{version}-*.whl"))
        found += kept[:1] or download([requirement], folder)
    return found


def _merge(merged: dict[str, Any], table: Table, versions: dict[str, str]) -> None:
    for distribution, version in versions.items():
        merged["versions"].setdefault(distribution, []).append(version)
    for name, row in table.classes.items():
        package, _, plain = name.rpartition(".")
        if plain in merged["aliases"].get(package, {}):
            continue  # a newer release defines it elsewhere and re-exports it here
        known = merged["classes"].setdefault(name, row)
        if known is not row:
            known[6] = _merged_methods(known[6], row[6])
            known[4] += [base for base in row[4] if base not in known[4]]
            known[5] = _merged_parameters(known[5], row[5])
    for name, row in table.functions.items():
        merged["functions"].setdefault(name, row)
    for package, aliases in table.aliases.items():
        known = merged["aliases"].setdefault(package, {})
        for alias, target in aliases.items():
            known.setdefault(alias, target)


def _merged_methods(newer: dict[str, str], older: dict[str, str]) -> dict[str, str]:
    """All of both; but of a method that was sync in one and async in the other, nothing is known."""
    return {
        name: newer.get(name) or older[name]
        for name in older | newer
        if name not in newer or name not in older or newer[name][0] == older[name][0]
    }


def _merged_parameters(newer: list[str], older: list[str]) -> list[str]:
    """Positions as in the newer release; what only the older one had can still be given by name."""
    gone = [name for name in older if name not in newer and name != "*"]
    names = [*newer, *gone]
    return sorted(names, key=lambda name: name == "**")


def _compact(table: dict[str, Any]) -> str:
    """JSON with one line for each class, function and package: small to load, and readable as a diff."""
    parts = []
    for section, content in table.items():
        if section in ("versions", "roots"):
            parts.append(f"{json.dumps(section)}:{json.dumps(content)}")
            continue
        rows = ",\n".join(
            f"{json.dumps(name)}:{json.dumps(content[name], separators=(',', ':'))}" for name in sorted(content)
        )
        parts.append(f"{json.dumps(section)}:{{\n{rows}\n}}")
    return "{" + ",\n".join(parts) + "}\n"


if __name__ == "__main__":
    sys.exit(main())
