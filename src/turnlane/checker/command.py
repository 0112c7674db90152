"""`turnlane check`: reads the command line, runs the check, writes what it found."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TextIO

from turnlane import __version__
from turnlane.checker import warm
from turnlane.checker.cache import FactsStore
from turnlane.checker.configuration import configure
from turnlane.checker.discovery import Discovery, discover, only, stamp
from turnlane.checker.options import parse, parser
from turnlane.checker.refusal import CannotRun
from turnlane.checker.reports import Report, render
from turnlane.checker.run import Outcome, check
from turnlane.checker.settings import Settings
from turnlane.checker.summary import fixed_text, notes_text, skipped_text, statistics, summary
from turnlane.checker.texts import Texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from turnlane.checker.rewriting import Rewritten

CLEAN: Final = 0
FOUND: Final = 1
COULD_NOT_RUN: Final = 2

FEW_FILES: Final = 20
"""So few named files are read sooner than the kept facts of a project are loaded."""

STDIN: Final = "stdin.py"
"""What standard input is called unless `--stdin-filename` says it."""


class Streams(NamedTuple):
    """Where the command writes."""

    out: TextIO
    errors: TextIO


def main(arguments: Sequence[str], streams: Streams | None = None, wait: Callable[[], bool] | None = None) -> int:
    """Run `turnlane check ARGUMENTS`. Returns the exit status: 0 clean, 1 findings, 2 could not run.

    `wait` is how `--watch` waits for its next look; see `watching.watch`.
    """
    streams = streams or Streams(sys.stdout, sys.stderr)
    try:
        options = parse(arguments)
        if options.help or options.version:
            _write(streams.out, parser().format_help() if options.help else f"turnlane {__version__}\n")
            return CLEAN
        if options.lsp:
            return _lsp()
        _refuse_contradictions(options)
        return _Check(options, tuple(arguments), streams).run(wait)
    except CannotRun as refusal:
        _write(streams.errors, f"turnlane: {refusal}\n")
        return COULD_NOT_RUN


def _lsp() -> int:
    try:
        from turnlane.checker import lsp
    except ImportError as error:
        if (error.name or "").split(".")[0] in {"pygls", "lsprotocol"}:
            raise CannotRun("--lsp needs the package pygls: pip install 'turnlane[lsp]'") from None
        raise
    return int(lsp.main() or 0)


def _refuse_contradictions(options: Namespace) -> None:
    stdin = "-" in options.paths
    if stdin and len(options.paths) > 1:
        raise CannotRun("- is standard input and can't be checked together with other paths")
    if options.stdin_filename and not stdin:
        raise CannotRun("--stdin-filename names standard input: give - as the path, too")
    if options.watch and (stdin or options.fix or options.diff or options.write_baseline):
        raise CannotRun("--watch only checks: leave out -, --fix, --diff and --write-baseline")
    if options.write_baseline and (options.fix or options.diff):
        raise CannotRun("--write-baseline keeps what is found: fix first, then write the baseline")
    if options.verbose and options.quiet:
        raise CannotRun("--quiet leaves out what --verbose lists: give one of them")
    if options.config and options.isolated:
        raise CannotRun("--isolated reads no configuration file: leave out --config")


class _Said(NamedTuple):
    """What a check says."""

    out: str
    errors: str
    status: int


class _Check:
    """One call of the command."""

    def __init__(self, options: Namespace, arguments: tuple[str, ...], streams: Streams) -> None:
        self._options = options
        self._arguments = arguments
        self._streams = streams
        self._began = time.time_ns()
        self._start = _here()
        self._configuration = configure(options, self._start)
        self._store: FactsStore | None = None
        self._texts = Texts()

    @property
    def _settings(self) -> Settings:
        return self._configuration.settings

    def run(self, wait: Callable[[], bool] | None) -> int:
        """Do what the options ask for. Returns the exit status."""
        options = self._options
        if options.watch:
            return self._watch(wait)
        discovery = self._discover()
        if options.show_files:
            _write(self._streams.out, "".join(f"{path}\n" for path in discovery.files))
            return CLEAN
        if options.fix or options.diff:
            return self._fix(discovery)
        outcome = self._outcome(discovery, self._texts)
        if options.write_baseline:
            return self._write_baseline(outcome)
        said = self._said(outcome)
        self._tell(said)
        self._keep(discovery, said)
        return said.status

    def _watch(self, wait: Callable[[], bool] | None) -> int:
        from turnlane.checker import watching

        found = self._discover()
        status = CLEAN

        def look() -> dict[str, tuple[int, int, int]]:
            nonlocal found
            found = self._discover()
            return found.stamps

        def once() -> None:
            nonlocal status
            if self._streams.out.isatty():
                _write(self._streams.out, "\x1b[2J\x1b[H")
            said = self._said(self._outcome(found, Texts()))
            self._tell(said)
            status = said.status

        watching.watch(once, look, wait or watching.pause)
        return status

    # --- the check ---

    def _discover(self) -> Discovery:
        options = self._options
        if "-" in options.paths:
            name = options.stdin_filename or STDIN
            found = only(name, start=self._start)
            self._texts = Texts(dict.fromkeys(found.files, sys.stdin.buffer.read()))
            return found
        return discover(
            options.paths or ["."],
            self._settings,
            start=self._start,
            force_exclude=options.force_exclude,
        )

    def _outcome(self, discovery: Discovery, texts: Texts) -> Outcome:
        """What is found and not in the baseline."""
        if self._store is None:
            self._store = FactsStore(self._facts_file(discovery), warm.program())
        outcome = check(discovery, self._settings, store=self._store, texts=texts, jobs=self._options.jobs)
        if self._settings.baseline and not self._options.write_baseline:
            from turnlane.checker import baseline

            new = baseline.unknown(self._settings.baseline, outcome.findings, outcome.texts)
            outcome = outcome._replace(findings=new)
        return outcome

    def _facts_file(self, discovery: Discovery) -> str | None:
        """Where the facts of this project are kept; None: nowhere."""
        few = len(discovery.alone) == len(discovery.files) < FEW_FILES
        home = warm.folder(self._arguments)
        if few or self._options.no_cache or not home:
            return None
        import zlib

        return os.path.join(home, f"{zlib.crc32(os.fsencode(self._start)):08x}.facts")

    def _keep(self, discovery: Discovery, said: _Said) -> None:
        """Keep what was said for the next run of the same command."""
        options = self._options
        if options.no_cache or options.output_file or "-" in options.paths:
            return
        stamps = dict(discovery.stamps)
        for path in filter(None, (*self._configuration.consulted, self._settings.baseline)):
            stamps[path] = stamp(path)
        warm.keep(self._arguments, stamps, said.out, said.errors, said.status, self._began)
        warm.tidy(warm.folder(self._arguments), time.time())

    def _write_baseline(self, outcome: Outcome) -> int:
        from turnlane.checker import baseline

        file = self._options.write_baseline
        count = baseline.write(file, outcome.findings, outcome.texts)
        findings = "1 finding" if count == 1 else f"{count} findings"
        _write(self._streams.out, f"Wrote {findings} to {file}. Check with --baseline {file} from now on.\n")
        return CLEAN

    # --- fixes ---

    def _fix(self, discovery: Discovery) -> int:
        from turnlane.checker.rewriting import rewrite

        rewritten = rewrite(
            lambda texts: self._outcome(discovery, texts),
            self._texts,
            discovery.files,
            self._options.unsafe_fixes,
        )
        if self._options.diff:
            return self._show_difference(rewritten)
        if "-" in self._options.paths:
            return self._print_fixed(rewritten)
        problems = self._write_fixed(rewritten)
        said = self._said(rewritten.outcome, rewritten)
        self._tell(said)
        if problems:
            _write(self._streams.errors, "".join(f"turnlane: {problem}\n" for problem in problems))
            return COULD_NOT_RUN
        return said.status

    def _show_difference(self, rewritten: Rewritten) -> int:
        from turnlane.checker.source import decode
        from turnlane.checker.writing import difference

        for path, text in sorted(rewritten.after.items()):
            _write(self._streams.out, difference(path, decode(rewritten.before[path]), text))
        if not self._options.quiet:
            _write(self._streams.errors, fixed_text(rewritten.fixed, would=True))
        return FOUND if rewritten.after and not self._options.exit_zero else CLEAN

    def _print_fixed(self, rewritten: Rewritten) -> int:
        """Standard input, fixed, on standard output; findings go to the other stream."""
        for path, data in self._texts.unsaved.items():
            _write(self._streams.out, rewritten.after.get(path, Texts({path: data}).raw(path)))
        said = self._said(rewritten.outcome, rewritten)
        _write(self._streams.errors, said.out + said.errors)
        return said.status

    def _write_fixed(self, rewritten: Rewritten) -> list[str]:
        """Write the files. Returns what could not be written, a sentence each."""
        from turnlane.checker.writing import NotWritten, write

        problems = []
        for path, text in sorted(rewritten.after.items()):
            try:
                write(path, rewritten.before[path], text)
            except NotWritten as error:
                problems.append(str(error))
        return problems

    # --- the report ---

    def _said(self, outcome: Outcome, rewritten: Rewritten | None = None) -> _Said:
        options = self._options
        output_format = self._settings.output_format
        colored = not options.output_file and _colored(options.color, self._streams.out)
        report = Report(outcome.findings, outcome.notes, outcome.texts, outcome.files, colored)
        text = statistics(report, output_format) if options.statistics else render(output_format, report)
        if options.output_file:
            _write_file(options.output_file, text)
            text = ""
        told = ""
        if not options.quiet:
            fixed = fixed_text(rewritten.fixed) + skipped_text(rewritten.skipped) if rewritten else ""
            told = fixed + summary(report) if output_format in {"full", "concise"} else ""
        broken = [note for note in outcome.notes if note.broken]
        notes = notes_text(broken if options.quiet else outcome.notes, verbose=options.verbose)
        return _Said(text + told, notes, self._status(outcome, bool(broken)))

    def _status(self, outcome: Outcome, broken: bool) -> int:
        if outcome.findings and not self._options.exit_zero:
            return FOUND
        # Never green when a rule did not get to its end.
        return COULD_NOT_RUN if broken else CLEAN

    def _tell(self, said: _Said) -> None:
        _write(self._streams.out, said.out)
        _write(self._streams.errors, said.errors)


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        raise CannotRun("the folder that this was started in is gone: change to another") from None


def _write_file(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise CannotRun(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from None


def _colored(choice: str, out: TextIO) -> bool:
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (out.isatty() and os.environ.get("TERM") != "dumb")


def _write(stream: TextIO, text: str) -> None:
    """Write a text; letters that the terminal's encoding lacks are written as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        raise  # the reader has seen enough
    except OSError as error:
        raise CannotRun(f"the output can't be written: {(error.strerror or str(error)).lower()}") from None
