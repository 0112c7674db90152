"""Small projects for tests: what the rules say of a few files."""

from __future__ import annotations

from collections.abc import Iterable

from turnlane.checker.finding import Finding, Note
from turnlane.checker.rules import all_rules
from turnlane.checker.settings import Settings
from turnlane.checker.source import Source
from turnlane.checker.typescript.language import TYPESCRIPT


class Written(dict[str, Source]):
    """The texts of files that are nowhere on the disk."""

    def __init__(self, files: dict[str, str]) -> None:
        super().__init__({path: Source(path, text) for path, text in files.items()})


def said(files: dict[str, str], settings: Settings | None = None) -> list[Finding | Note]:
    """All that is said of these files."""
    facts = {
        path: TYPESCRIPT.extract(path, text.encode()) for path, text in files.items() if TYPESCRIPT.takes(path)
    }
    return list(TYPESCRIPT.check(facts, Written(files), all_rules(["typescript"]), settings or Settings()))


def found(files: dict[str, str], settings: Settings | None = None) -> set[tuple[str, str, int]]:
    """Code, file and line of each finding."""
    return {places(one) for one in said(files, settings) if isinstance(one, Finding)}


def places(finding: Finding) -> tuple[str, str, int]:
    return finding.code, finding.place.path, finding.place.line


def codes(findings: Iterable[tuple[str, str, int]]) -> set[str]:
    return {code for code, _, _ in findings}
