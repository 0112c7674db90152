"""A file of the findings of today, so that only new ones are reported.

A finding is known by its code, its file and the text of its line, so it stays known when lines above it come and
go. Of several equal ones, as many are known as there were.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.refusal import CannotRun
from turnlane.checker.reports.position import shown_line
from turnlane.checker.texts import Texts

VERSION: Final = 1

Mark = tuple[str, str, str]
"""Code, path relative to the folder of the baseline file, and what stands for the line's text."""


def write(file: str, findings: Iterable[Finding], texts: Texts) -> int:
    """Write the baseline. Returns how many findings it holds.

    Raises:
        CannotRun: the file can't be written.
    """
    counted = Counter(_mark(finding, texts, file) for finding in findings)
    rows = [
        {"code": code, "path": path, "line": line, "count": count}
        for (code, path, line), count in sorted(counted.items(), key=lambda row: (row[0][1], row[0]))
    ]
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    text = f'{{"version": {VERSION}, "findings": [\n{lines}\n]}}\n'
    try:
        with open(file, "w", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
    except OSError as error:
        raise CannotRun(f"{file} can't be written: {(error.strerror or str(error)).lower()}") from None
    return counted.total()


def unknown(file: str, findings: Iterable[Finding], texts: Texts) -> tuple[Finding, ...]:
    """The findings that the baseline does not have.

    Raises:
        CannotRun: the file can't be read, or is no baseline.
    """
    left = _read(file)
    new = []
    for finding in findings:
        mark = _mark(finding, texts, file)
        if left[mark] > 0:
            left[mark] -= 1
        else:
            new.append(finding)
    return tuple(new)


def _mark(finding: Finding, texts: Texts, file: str) -> Mark:
    folder = os.path.dirname(os.path.abspath(file))
    try:
        path = os.path.relpath(finding.place.path, folder).replace(os.sep, "/")
    except ValueError:  # on another drive
        path = finding.place.path
    line = " ".join(shown_line(finding.place, texts).split())
    return finding.code, path, hashlib.blake2b(line.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def _read(file: str) -> Counter[Mark]:
    again = f"write it with `turnlane check --write-baseline {file}`"
    try:
        with open(file, encoding="utf-8") as opened:
            document = json.load(opened)
        if document["version"] != VERSION:
            raise CannotRun(f"{file} is a baseline of another version of turnlane: {again}")
        return Counter(
            {(row["code"], row["path"], row["line"]): int(row["count"]) for row in document["findings"]}
        )
    except OSError as error:
        raise CannotRun(f"{file} can't be read: {(error.strerror or str(error)).lower()}; {again}") from None
    except (ValueError, KeyError, TypeError):
        raise CannotRun(f"{file} is no baseline: {again}") from None
