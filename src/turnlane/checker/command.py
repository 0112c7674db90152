"""`turnlane check`: reads the command line, runs the check, writes what it found."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from typing import Final, NamedTuple, TextIO

from turnlane import __version__
from turnlane.checker import warm
from turnlane.checker.cache import FactsStore
from turnlane.checker.configuration import Configuration, configure
from turnlane.checker.discovery import Discovery, discover, shown, stamp
from turnlane.checker.finding import Finding
from turnlane.checker.options import parse, parser
from turnlane.checker.refusal import CannotRun
from turnlane.checker.reports import Report, render
from turnlane.checker.run import Outcome, check
from turnlane.checker.summary import notes_text, statistics, summary
from turnlane.checker.texts import Texts

CLEAN: Final = 0
FOUND: Final = 1
COULD_NOT_RUN: Final = 2


class Streams(NamedTuple):
    """Where the command reads and writes."""

    out: TextIO
    errors: TextIO


def main(arguments: Sequence[str], streams: Streams | None = None) -> int:
    """Run `turnlane check ARGUMENTS`. Returns the exit status: 0 clean, 1 findings, 2 could not run."""
    streams = streams or Streams(sys.stdout, sys.stderr)
    try:
        return _Command(parse(arguments), tuple(arguments), streams).run()
    except CannotRun as refusal:
        streams.errors.write(f"turnlane: {refusal}\n")
        return COULD_NOT_RUN


class _Said(NamedTuple):
    """What a run says."""

    out: str
    errors: str
    status: int


class _Command:
    """One call of the command."""

    def __init__(self, options: Namespace, arguments: tuple[str, ...], streams: Streams) -> None:
        self._options = options
        self._arguments = arguments
        self._streams = streams
        self._began = time.time_ns()

    def run(self) -> int:
        options = self._options
        if options.help:
            return self._say(parser().format_help())
        if options.version:
            return self._say(f"turnlane {__version__}\n")
        if options.lsp:
            return self._lsp()
        self._start = _here()
        self._refuse_contradictions()
        configuration = configure(options, self._start)
        if options.watch:
            return self._watch(configuration)
        return self._once(configuration)

    def _say(self, text: str) -> int:
        _write(self._streams.out, text)
        return CLEAN

    def _refuse_contradictions(self) -> None:
        options = self._options
        stdin = "-" in options.paths
        if stdin and len(options.paths) > 1:
            raise CannotRun("- is standard input and can't be checked together with other paths")
        if options.stdin_filename and not stdin:
            raise CannotRun("--stdin-filename names standard input: give - as the path, too")
        if options.watch and (stdin or options.fix or options.diff or options.write_baseline):
            raise CannotRun("--watch only checks: leave out -, --fix, --diff and --write-baseline")

    def _lsp(self) -> int:
        try:
            from turnlane.checker import lsp
        except ImportError as error:
            if (error.name or "").split(".")[0] in {"pygls", "lsprotocol"}:
                raise CannotRun("--lsp needs the package pygls: pip install 'turnlane[lsp]'") from None
            raise
        status: int = lsp.main()
        return status

    # --- one run ---

    def _once(self, configuration: Configuration) -> int:
        options = self._options
        discovery, texts = self._discover(configuration)
        if options.show_files:
            return self._say("".join(f"{path}\n" for path in discovery.files))
        outcome = self._checked(configuration, discovery, texts)
        if options.write_baseline:
            return self._write_baseline(outcome)
        said = self._said(outcome, configuration)
        _write(self._streams.out, said.out)
        _write(self._streams.errors, said.errors)
        self._keep(configuration, discovery, said)
        return said.status

    def _discover(self, configuration: Configuration) -> tuple[Discovery, Texts]:
        options = self._options
        discovery = discover(
            options.paths or ["."],
            configuration.settings,
            root=configuration.root,
            start=self._start,
            force_exclude=options.force_exclude,
        )
        return discovery, Texts()

    def _checked(self, configuration: Configuration, discovery: Discovery, texts: Texts) -> Outcome:
        settings = configuration.settings
        store = None if self._options.no_cache else FactsStore(self._facts_file(), warm.program())
        return check(discovery, settings, store=store, texts=texts, jobs=self._options.jobs)

    def _facts_file(self) -> str | None:
        import zlib

        home = warm.folder(self._arguments)
        return os.path.join(home, f"{zlib.crc32(os.fsencode(self._start)):08x}.facts") if home else None

    def _said(self, outcome: Outcome, configuration: Configuration) -> _Said:
        options = self._options
        colored = _colored(options.color, self._streams.out) and not options.output_file
        report = Report(outcome.findings, outcome.notes, outcome.texts, outcome.files, colored)
        if options.statistics:
            text = statistics(report, configuration.settings.output_format)
        else:
            text = render(configuration.settings.output_format, report)
        if options.output_file:
            self._write_file(options.output_file, text)
            text = ""
        told = summary(report)
        people = configuration.settings.output_format in {"full", "concise"} and not options.quiet
        notes = "" if options.quiet else notes_text(outcome.notes)
        status = FOUND if outcome.findings and not options.exit_zero else CLEAN
        return _Said(text + (told if people else ""), notes, status)

    def _write_file(self, path: str, text: str) -> None:
        try:
            with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                file.write(text)
        except OSError as error:
            raise CannotRun(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from None

    def _keep(self, configuration: Configuration, discovery: Discovery, said: _Said) -> None:
        options = self._options
        if options.no_cache or options.output_file:
            return
        stamps = dict(discovery.stamps)
        for path in (*configuration.consulted, configuration.settings.baseline):
            if path:
                stamps[path] = stamp(path)
        warm.keep(self._arguments, stamps, said.out, said.errors, said.status, self._began)


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        raise CannotRun("the folder that this was started in is gone: change to another") from None


def _colored(choice: str, out: TextIO) -> bool:
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (out.isatty() and os.environ.get("TERM") != "dumb")


def _write(stream: TextIO, text: str) -> None:
    """Write a text; letters that the terminal's encoding lacks are written as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
