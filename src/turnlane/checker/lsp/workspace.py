"""Checks a folder of the editor's workspace, with the text of open documents in front of the files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from turnlane.checker import warm
from turnlane.checker.cache import FactsStore
from turnlane.checker.configuration import configure
from turnlane.checker.discovery import Discovery, discover, shown
from turnlane.checker.finding import Finding
from turnlane.checker.options import parse
from turnlane.checker.run import check
from turnlane.checker.texts import Texts


class Analysis(NamedTuple):
    """What a check of a folder found."""

    folder: str
    findings: tuple[Finding, ...]
    texts: Texts
    """Of the files as they were checked, by the path that places have."""

    def path(self, name: str) -> str:
        """The absolute path of a file that a place names."""
        return os.path.normpath(os.path.join(self.folder, name))

    def of(self, path: str) -> list[Finding]:
        """The findings in the file with an absolute path."""
        name = shown(path, self.folder)
        return [finding for finding in self.findings if finding.place.path == name]


class Folder:
    """One folder, checked again and again."""

    def __init__(self, path: str, *, whole: bool) -> None:
        """`whole`: check everything below; else only the open files, as no workspace was opened."""
        self.path = os.path.normpath(path)
        self._whole = whole
        self._store = FactsStore(None, warm.program(), lives=True)

    def analyse(self, unsaved: Mapping[str, bytes]) -> Analysis:
        """Check the folder. `unsaved` has the content of open files by absolute path.

        Works in the folder: one analysis of a process at a time.

        Raises:
            CannotRun: the configuration is wrong, or the folder is gone.
        """
        os.chdir(self.path)
        settings = configure(parse([]), self.path).settings
        texts = Texts({shown(path, self.path): data for path, data in unsaved.items()})
        named = ["."] if self._whole else sorted(self._existing(unsaved))
        discovery = discover(named, settings, start=self.path) if named else Discovery({}, {}, ())
        # One process: a fork of a process with threads may hang.
        outcome = check(discovery, settings, store=self._store, texts=texts, jobs=1)
        findings = outcome.findings
        if settings.baseline:
            from turnlane.checker import baseline

            findings = baseline.unknown(settings.baseline, findings, texts)
        return Analysis(self.path, findings, texts)

    def _existing(self, unsaved: Iterable[str]) -> list[str]:
        return [path for path in unsaved if os.path.dirname(path) == self.path and os.path.exists(path)]
