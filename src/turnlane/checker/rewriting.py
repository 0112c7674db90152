"""Fixes until nothing more can be fixed: one rewrite may make room for the next. Writes nothing to disk."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from turnlane.checker import fixing
from turnlane.checker.finding import Finding
from turnlane.checker.fixing import Skipped
from turnlane.checker.run import Outcome
from turnlane.checker.source import encode
from turnlane.checker.texts import Texts

ROUNDS: Final = 10
"""More than any program needs; ends what two fixes might do to each other for ever."""


class Rewritten(NamedTuple):
    """What fixing came to."""

    before: dict[str, bytes]
    """Of each file that changes, by path."""
    after: dict[str, str]
    """Their new texts; of a notebook the whole file."""
    fixed: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    """What remains although it has a fix that was wanted."""
    outcome: Outcome
    """What a check of the new texts finds."""


def rewrite(check: Callable[[Texts], Outcome], texts: Texts, files: Collection[str], unsafe: bool) -> Rewritten:
    """Fix what `check` finds, check again, and so on.

    Args:
        check: checks the project with these texts in front of the files.
        texts: those of the first check.
        files: the paths that may be edited.
        unsafe: apply unsafe fixes, too.
    """
    before: dict[str, bytes] = {}
    after: dict[str, str] = {}
    fixed: list[Finding] = []
    outcome = check(texts)
    for _ in range(ROUNDS):
        sources = {path: texts.raw(path) for path in fixing.files(outcome.findings) if path in files}
        step = fixing.apply(sources, outcome.findings, unsafe=unsafe)
        unsaved = dict(texts.unsaved)
        for path, text in step.texts.items():
            before.setdefault(path, texts.data(path))
            unsaved[path] = encode(text, before[path])
            after[path] = text
        if not step.texts:
            break
        fixed += step.fixed
        texts = Texts(unsaved)
        outcome = check(texts)
    skipped = tuple(skip for skip in step.skipped if unsafe or (skip.finding.fix and skip.finding.fix.safe))
    changed = {path: text for path, text in after.items() if encode(text, before[path]) != before[path]}
    return Rewritten({path: before[path] for path in changed}, changed, tuple(fixed), skipped, outcome)
