"""One run: files to facts to findings, without what the user silenced. Commands and editors start here."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from turnlane.checker import cache, extraction, processes, shares
from turnlane.checker.cache import FactsStore, Kept
from turnlane.checker.discovery import Discovery
from turnlane.checker.extraction import Task
from turnlane.checker.finding import SEVERITIES, Finding, Note
from turnlane.checker.languages import language
from turnlane.checker.rule import Rule
from turnlane.checker.rules import all_rules
from turnlane.checker.settings import Settings
from turnlane.checker.shares import Look, Resolve, Sized
from turnlane.checker.texts import Texts
from turnlane.checker.warm import young

ENOUGH_FILES: Final = 60
"""Below this, starting processes costs more than it saves."""


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
        said = _Check(discovery, settings, store, texts).run(jobs or os.cpu_count() or 1)
        findings = _once(finding for finding in said.findings if settings.reports(finding.code))
        findings = _silenced(findings, said.marked, texts, settings, discovery.alone)
    shown = [finding for finding in findings if _severe(finding, settings)]
    return Outcome(tuple(sorted(shown, key=_order)), (*discovery.notes, *said.notes), texts, len(discovery.files))


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


class _Said(NamedTuple):
    """What came of one share, or of all."""

    findings: list[Finding]
    notes: list[Note]
    rows: list[tuple[str, Kept]]
    """New in the store."""
    marked: set[str]
    """Files that may silence findings."""


class _Check:
    """One check: looks at every file, shares them out, and puts together what is said of the shares."""

    def __init__(self, discovery: Discovery, settings: Settings, store: FactsStore, texts: Texts) -> None:
        self._discovery = discovery
        self._settings = settings
        self._store = store
        self._texts = texts
        self._began = time.time_ns()
        self._kept: dict[Task, Kept] = {}
        self._looks: dict[Task, Sized] = {}
        """Of the files that are not kept."""

    def run(self, jobs: int) -> _Said:
        """Check everything."""
        if jobs > 1 and len(self._discovery.files) >= ENOUGH_FILES and processes.POSSIBLE:
            parts = self._in_processes(jobs)
        else:
            parts = (self._here(share) for share in self._shares())
        whole = _Said([], [], [], set())
        for part in parts:
            whole.findings.extend(part.findings)
            whole.notes.extend(part.notes)
            whole.marked.update(part.marked)
            for key, row in part.rows:
                self._store.put(key, row)
        self._store.save()
        whole.marked.update(task.path for task, row in self._kept.items() if row.marked)
        return whole._replace(notes=sorted(set(whole.notes)))

    # --- sharing out ---

    def _shares(self) -> Iterator[Sequence[Task]]:
        """What is checked together: of each language the largest first.

        Languages whose files have no links come first. They can begin at once, and where there are several
        processes, links are followed meanwhile.
        """
        paths: dict[str, list[str]] = {}
        for path, names in self._discovery.files.items():
            for name in names:
                paths.setdefault(name, []).append(path)
        found = [(name, language(name).resolver(of_language)) for name, of_language in paths.items()]
        for name, resolve in sorted(found, key=_has_links):
            all_rules([name])  # imported once, before the processes part
            files = [self._sized(Task(name, path)) for path in paths[name]]
            sizes = {file.path: file.size for file in files}
            parts = shares.divide(files, resolve if len(files) > 1 else None)
            for part in sorted(parts, key=lambda part: sum(sizes[path] for path in part), reverse=True):
                yield [Task(name, path) for path in part]

    def _sized(self, task: Task) -> Sized:
        """How large a file is, and what a look at it tells: kept from an earlier run, or looked at now."""
        stamp = self._trusted(task.path)
        known = self._store.get(task.key, stamp, lambda: self._digest(task.path))
        if known is not None:
            self._kept[task] = known
            return Sized(task.path, known.size, Look(*known.look))
        try:
            data = self._texts.data(task.path)
        except OSError:
            # Reading it says why, unless it can be read by then.
            return self._looks.setdefault(task, Sized(task.path, 0, Look()))
        look = language(task.language).look(data)
        if extraction.marked(data):
            look = look._replace(matters=True)
        self._looks[task] = Sized(task.path, len(data), look)
        return self._looks[task]

    def _trusted(self, path: str) -> tuple[int, int, int] | None:
        """The stamp of a file, if it is sure to change with the file."""
        stamp = self._discovery.stamps.get(path)
        return None if stamp is None or path in self._texts.unsaved or young(stamp, self._began) else stamp

    def _digest(self, path: str) -> bytes:
        try:
            return extraction.digest_of(self._texts.data(path))
        except OSError:
            return b""

    # --- one share ---

    def _here(self, tasks: Sequence[Task]) -> _Said:
        """Check a share in this process."""
        said = _Said([], [], [], set())
        facts: dict[str, Any] = {}
        for task in tasks:
            known = self._kept.get(task)
            if known is not None:
                facts[task.path] = self._store.facts(task.key, known, cache.loads)
                continue
            read = extraction.read(task, self._texts)
            if read.facts is None:
                said.notes.append(Note(task.path, 0, read.problem))
                continue
            facts[task.path] = read.facts
            if read.marked:
                said.marked.add(task.path)
            if self._store.keeps:
                said.rows.append((task.key, self._row(task, read)))
        for one in _checked(tasks[0].language, facts, self._texts, self._settings):
            (said.notes if isinstance(one, Note) else said.findings).append(one)  # type: ignore[arg-type]
        return said

    def _row(self, task: Task, read: extraction.Read) -> Kept:
        _, size, (links, matters) = self._looks[task]
        stamp = self._trusted(task.path)
        return Kept(stamp, read.digest, read.marked, size, (links, matters), cache.dumps(read.facts))

    def _in_processes(self, jobs: int) -> Iterator[_Said]:
        by_key: dict[str, Task] = {}

        def pieces() -> Iterator[processes.Piece]:
            for share in self._shares():
                by_key.update((task.key, task) for task in share)
                yield tuple(task.key for task in share)

        def there(keys: processes.Piece) -> bytes:
            said = self._here([by_key[key] for key in keys])
            return cache.dumps(said._replace(marked=tuple(said.marked)))  # type: ignore[arg-type]

        for keys, answer in processes.run(pieces(), there, jobs):
            if answer is None:
                note = Note(by_key[keys[0]].path, 0, "not checked: its parser crashed; please report it")
                yield _Said([], [note], [], set())
            else:
                yield cache.loads(answer)


def _has_links(of_language: tuple[str, Resolve | None]) -> bool:
    return of_language[1] is not None


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


def _checked(name: str, facts: Mapping[str, Any], texts: Texts, settings: Settings) -> Iterator[Finding | Note]:
    """What the rules say of a share, and where they could not say it."""
    rules = [_Guarded(rule) for rule in all_rules([name]) if settings.reports_by(rule.code, rule.by_default)]
    try:
        yield from language(name).check(facts, texts, rules, settings)
    except Exception as error:
        if os.environ.get("TURNLANE_DEBUG"):
            raise
        yield Note("", 0, f"{name} was not checked: turnlane failed with {_said(error)}; please report it", True)
    for rule in rules:
        if rule.problem:
            yield Note("", 0, rule.problem, True)


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
