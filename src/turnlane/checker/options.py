"""The command line of `turnlane check`.

By `argparse`, where the other verbs use cyclopts: importing that takes longer than a whole check of one file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final, NoReturn

from turnlane.checker.finding import SEVERITIES
from turnlane.checker.refusal import CannotRun

OUTPUT_FORMATS: Final = ("full", "concise", "json", "sarif", "github", "junit")

COLORS: Final = ("auto", "always", "never")

DESCRIPTION: Final = """\
Find the hazards of agents in Python, notebooks, TypeScript, packages and deployment files.

The exit status is 0 when nothing was found, 1 when something was, 2 when the check could not be done.
`turnlane explain CODE` shows what a code means.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CannotRun(f"{message}; `turnlane check --help` lists the options")

    def format_usage(self) -> str:
        return super().format_usage().replace("usage:", "Usage:", 1)

    def format_help(self) -> str:
        return super().format_help().replace("usage:", "Usage:", 1)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Of a fixed width: asking the terminal for its own imports modules for 6 ms, whether or not help is shown."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)


def codes(text: str) -> tuple[str, ...]:
    """The parts of a list with commas, in capitals."""
    return tuple(part.strip().upper() for part in text.split(",") if part.strip())


def patterns(text: str) -> tuple[str, ...]:
    """The parts of a list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _jobs(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of processes: give 1 or more")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    made = _Parser(
        prog="turnlane check",
        description=DESCRIPTION,
        add_help=False,
        allow_abbrev=False,
        usage="turnlane check [OPTIONS] [PATHS]...",
        formatter_class=_Formatter,
    )
    _what(made)
    _which(made)
    _fixes(made)
    _output(made)
    _how(made)
    return made


def _what(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "paths", nargs="*", metavar="PATHS", help="files and folders, or - for standard input (default: .)"
    )
    files = made.add_argument_group("files")
    files.add_argument("--exclude", type=patterns, metavar="PATTERNS", help="in place of the usual exclusions")
    files.add_argument("--extend-exclude", type=patterns, metavar="PATTERNS", help="besides the usual exclusions")
    files.add_argument("--force-exclude", action="store_true", help="exclude files that are named here, too")
    files.add_argument(
        "--no-respect-gitignore",
        dest="respect_gitignore",
        action="store_false",
        default=None,
        help="check what git ignores, too",
    )
    files.add_argument(
        "--stdin-filename", metavar="PATH", help="what to call standard input, and where it would be"
    )
    files.add_argument("--show-files", action="store_true", help="list the files that would be checked, and end")


def _which(made: argparse.ArgumentParser) -> None:
    rules = made.add_argument_group("rules")
    rules.add_argument(
        "--select", type=codes, metavar="CODES", help="codes or prefixes to report; TL is everything"
    )
    rules.add_argument("--ignore", type=codes, metavar="CODES", help="codes or prefixes not to report")
    rules.add_argument(
        "--extend-select", type=codes, metavar="CODES", help="report these besides the selected ones"
    )
    rules.add_argument("--extend-ignore", type=codes, metavar="CODES", help="the same as --ignore")
    rules.add_argument(
        "--per-file-ignores",
        action="append",
        metavar="PATTERN:CODES",
        help="codes not to report in files that match; may be given several times",
    )
    rules.add_argument("--severity", choices=SEVERITIES, help="the least severe findings to report")
    rules.add_argument("--baseline", metavar="FILE", help="report only what is not in this file")
    rules.add_argument("--write-baseline", metavar="FILE", help="write all findings of today into this file")


def _fixes(made: argparse.ArgumentParser) -> None:
    fixes = made.add_argument_group("fixes")
    fixes.add_argument("--fix", action="store_true", help="rewrite what can be repaired safely")
    fixes.add_argument("--unsafe-fixes", action="store_true", help="with --fix or --diff: the other fixes, too")
    fixes.add_argument("--diff", action="store_true", help="show what --fix would rewrite, and change nothing")


def _output(made: argparse.ArgumentParser) -> None:
    output = made.add_argument_group("output")
    output.add_argument("--output-format", choices=OUTPUT_FORMATS, help="how findings are written (default: full)")
    output.add_argument("--output-file", metavar="FILE", help="write findings into this file")
    output.add_argument(
        "--statistics", action="store_true", help="count findings by code, in place of listing them"
    )
    output.add_argument("--color", choices=COLORS, default="auto", help="colour (default: auto, on a terminal)")
    output.add_argument("-v", "--verbose", action="store_true", help="list every note, also many of one kind")
    output.add_argument("-q", "--quiet", action="store_true", help="findings only: no summary and no notes")
    output.add_argument("-e", "--exit-zero", action="store_true", help="exit with 0 even if something was found")


def _how(made: argparse.ArgumentParser) -> None:
    how = made.add_argument_group("how it runs")
    how.add_argument("--config", metavar="FILE", help="read [tool.turnlane] from this file")
    how.add_argument("--isolated", action="store_true", help="read no configuration file")
    how.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")
    how.add_argument(
        "--cache-dir", metavar="DIR", help="where the cache is kept (default: the user's cache folder)"
    )
    how.add_argument(
        "-j", "--jobs", type=_jobs, metavar="N", help="processes at most (default: one for each core)"
    )
    how.add_argument("-w", "--watch", action="store_true", help="check again whenever a file changes")
    how.add_argument("--lsp", action="store_true", help="be a language server on standard input and output")
    how.add_argument("--version", action="store_true", help="show the version, and end")
    how.add_argument("-h", "--help", action="store_true", help="show this, and end")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line.

    Raises:
        CannotRun: an option is unknown or its value is wrong.
    """
    try:
        options, unknown = parser().parse_known_intermixed_args(list(arguments))
    except argparse.ArgumentError as error:
        raise CannotRun(str(error)) from None
    if unknown:
        raise CannotRun(f"unknown option {unknown[0]}{near_option(unknown[0])}")
    return options


def near_option(word: str) -> str:
    """A hint for a word that is no option."""
    import difflib

    known = [flag for action in parser()._actions for flag in action.option_strings]
    near = difflib.get_close_matches(word.partition("=")[0], known, n=1)
    return f": did you mean {near[0]}?" if near else "; `turnlane check --help` lists the options"
