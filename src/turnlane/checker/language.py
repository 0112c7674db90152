"""The seam between the driver and what knows a language: Python, TypeScript, deployment files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from turnlane.checker.finding import Finding, Note
from turnlane.checker.rule import Rule
from turnlane.checker.settings import Settings
from turnlane.checker.shares import Look, Resolve
from turnlane.checker.source import Source


class Sources(Protocol):
    """The text of the checked files, read when it is asked for."""

    def __getitem__(self, path: str) -> Source: ...


class Language(Protocol):
    """One kind of files, from their bytes to findings."""

    name: str
    version: int
    """Raised whenever `extract` gives something else for the same bytes: facts kept by older ones are dropped."""

    def takes(self, path: str) -> bool:
        """Whether this language reads the file; only its name is looked at."""

    def extract(self, path: str, data: bytes, /) -> Any:
        """Read one file into facts: plain, picklable, made from `data` alone (`path` only names it in places).

        Never raises for any bytes. Runs in worker processes; the facts are kept between runs by content.
        """

    def look(self, data: bytes, /) -> Look:
        """What the bytes tell without parsing; kept between runs as the facts are."""

    def resolver(self, paths: Sequence[str], /) -> Resolve | None:
        """Follows the links of looks among these files; None: files of this language don't link to each other."""

    def check(
        self, facts: Mapping[str, Any], sources: Sources, rules: Sequence[Rule], settings: Settings
    ) -> Iterable[Finding | Note]:
        """Put the facts of files together that belong together, and ask the rules (all of this language)."""
