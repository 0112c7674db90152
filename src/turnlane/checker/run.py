"""One run: files to facts to findings, without what the user silenced. Commands and editors start here."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from turnlane.checker import cache, extraction
from turnlane.checker.cache import FactsStore, Kept
from turnlane.checker.discovery import Discovery
from turnlane.checker.extraction import Task
from turnlane.checker.finding import SEVERITIES, Finding, Note
from turnlane.checker.languages import language
from turnlane.checker.rule import Rule
from turnlane.checker.rules import all_rules
from turnlane.checker.settings import Settings
from turnlane.checker.texts import Texts
from turnlane.checker.warm import young


class Outcome(NamedTuple):
    """What a run found."""

    findings: tuple[Finding, ...]
    """By path and line."""
    notes: tuple[Note, ...]
    texts: Texts
    files: int
    """How many were checked."""


def check(
    discovery: Discovery,
    settings: Settings,
    *,
    store: FactsStore | None = None,
    texts: Texts | None = None,
    jobs: int | None = None,
) -> Outcome:
    """Check the files of `discovery`.

    Args:
        discovery: the files; see `discovery.discover`.
        settings: what is reported.
        store: keeps the facts between runs, and in a process that lives on; None: nothing is kept.
        texts: where the files' bytes are, with unsaved ones in front of those on disk.
        jobs: processes at most; None: one for each core.
    """
    texts = texts or Texts()
    store = store or FactsStore(None, "")
    with _no_collector():
        facts, marked, notes = _facts(discovery, store, texts, jobs or os.cpu_count() or 1)
        found, more = _ask(facts, texts, settings)
        findings = _silenced(found, marked, texts, settings, discovery.alone)
    shown = [finding for finding in findings if _severe(finding, settings)]
    return Outcome(
        tuple(sorted(shown, key=_order)), (*discovery.notes, *notes, *more), texts, len(discovery.files)
    )


@contextmanager
def _no_collector() -> Iterator[None]:
    """Without the garbage collector: syntax trees are many objects and no cycles. Parsing takes a fifth."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _facts(
    discovery: Discovery, store: FactsStore, texts: Texts, jobs: int
) -> tuple[dict[str, dict[str, Any]], set[str], list[Note]]:
    """The facts by language and path, the files that may silence findings, and what could not be read."""
    began = time.time_ns()
    kept: dict[Task, Kept] = {}
    new: list[Task] = []
    notes: list[Note] = []
    stamps = {path: _trusted(discovery, texts, path, began) for path in discovery.files}
    tasks = [Task(name, path) for path, names in discovery.files.items() for name in names]
    for task in tasks:
        known = store.get(task.key, stamps[task.path], _digest(texts, task.path))
        if known is None:
            new.append(task)
        else:
            kept[task] = known
    for done in extraction.extract(new, texts, jobs):
        if done.blob:
            kept[done.task] = Kept(stamps[done.task.path], done.digest, done.marked, done.blob)
            store.put(done.task.key, kept[done.task])
        else:
            notes.append(Note(done.task.path, 0, done.problem))
    marked = {task.path for task, row in kept.items() if row.marked}
    facts: dict[str, dict[str, Any]] = {}
    for task in tasks:
        if task in kept:
            loaded = store.facts(task.key, kept.pop(task), cache.loads)
            facts.setdefault(task.language, {})[task.path] = loaded
    store.save()
    return facts, marked, notes


def _trusted(discovery: Discovery, texts: Texts, path: str, began: int) -> tuple[int, int, int] | None:
    """The stamp of a file, if it is sure to change with the file."""
    stamp = discovery.stamps.get(path)
    return None if stamp is None or path in texts.unsaved or young(stamp, began) else stamp


def _digest(texts: Texts, path: str) -> Any:
    def digest() -> bytes:
        try:
            return extraction.digest_of(texts.data(path))
        except OSError:
            return b""

    return digest


class _Guarded(Rule):
    """A rule that can't end the run: what it raises becomes a note."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.code = rule.code  # type: ignore[misc]
        self.language = rule.language  # type: ignore[misc]
        self.by_default = rule.by_default  # type: ignore[misc]
        self.problem = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)

    def check(self, project: Any) -> Iterator[Finding]:
        try:
            yield from self._rule.check(project)
        except Exception as error:
            if os.environ.get("TURNLANE_DEBUG"):
                raise
            self.problem = f"rule {self.code} stopped inside of turnlane with {_said(error)}; please report it"


def _ask(
    facts: Mapping[str, Mapping[str, Any]], texts: Texts, settings: Settings
) -> tuple[list[Finding], list[Note]]:
    """What the rules say of the whole project, and where they could not say it."""
    found: list[Finding] = []
    notes: list[Note] = []
    for name, of_language in facts.items():
        rules = [_Guarded(rule) for rule in all_rules([name]) if settings.reports_by(rule.code, rule.by_default)]
        for said in _checked(name, of_language, texts, rules, settings):
            if isinstance(said, Note):
                notes.append(said)
            else:
                found.append(said)
        notes += [Note("", 0, rule.problem) for rule in rules if rule.problem]
    return _once(finding for finding in found if settings.reports(finding.code)), notes


def _checked(
    name: str, facts: Mapping[str, Any], texts: Texts, rules: Sequence[Rule], settings: Settings
) -> Iterator[Finding | Note]:
    try:
        yield from language(name).check(facts, texts, rules, settings)
    except Exception as error:
        if os.environ.get("TURNLANE_DEBUG"):
            raise
        yield Note("", 0, f"{name} was not checked: turnlane failed with {_said(error)}; please report it")


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())[:100]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _once(findings: Iterator[Finding]) -> list[Finding]:
    """Without those that stand at the place of another of their code."""
    kept: dict[tuple[Any, ...], Finding] = {}
    for finding in findings:
        kept.setdefault((finding.code, finding.place.path, finding.place.line, finding.place.column), finding)
    return list(kept.values())


def _silenced(
    found: list[Finding], marked: set[str], texts: Texts, settings: Settings, alone: Collection[str]
) -> list[Finding]:
    if found or marked:
        from turnlane.checker import suppression

        found = suppression.apply(found, marked, texts, settings, alone)
    return [finding for finding in found if not _ignored_in(finding, settings)]


def _ignored_in(finding: Finding, settings: Settings) -> bool:
    """Whether `per-file-ignores` has the finding's code for its file."""
    if not settings.per_file_ignores:
        return False
    from turnlane.checker.configuration import ignored_in_file

    return ignored_in_file(finding.code, finding.place.path, settings)


def _severe(finding: Finding, settings: Settings) -> bool:
    return SEVERITIES.index(finding.severity) <= SEVERITIES.index(settings.severity)


def _order(finding: Finding) -> tuple[str, int, int, str]:
    return (finding.place.path, finding.place.line, finding.place.column, finding.code)
