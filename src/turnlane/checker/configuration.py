"""Reads `[tool.turnlane]` of a `pyproject.toml`, and joins it with the command line."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from turnlane.checker.finding import SEVERITIES
from turnlane.checker.gitignore import Patterns
from turnlane.checker.options import OUTPUT_FORMATS, codes
from turnlane.checker.refusal import CannotRun
from turnlane.checker.ruff_configuration import RuffConfigurations
from turnlane.checker.settings import Settings

DOCUMENTED: Final = {
    "select": 'Codes and prefixes that are reported. Default: `["TL"]`, everything.',
    "extend-select": "Reported besides `select`.",
    "ignore": "Codes and prefixes that are not reported. The longer of two prefixes wins.",
    "extend-ignore": "The same as `ignore`, beside it.",
    "per-file-ignores": 'A table: pattern of paths, and the codes not reported there. `"tests/**" = ["TL113"]`.',
    "severity": "The least severe findings that are reported: `error`, `warning` or `information` (default).",
    "exclude": "Patterns, as in `.gitignore`, of what is not checked, in place of the usual ones.",
    "extend-exclude": "Patterns of what is not checked, besides the usual ones.",
    "respect-gitignore": "Whether what git ignores is left out. Default: `true`.",
    "output-format": "`full` (default), `concise`, `json`, `sarif`, `github` or `junit`.",
    "baseline": "A file of known findings, made with `--write-baseline`; they are not reported.",
}
"""Every key of `[tool.turnlane]`, and its line in the docs."""

DOCUMENTED_TYPESCRIPT: Final = {
    "agent-classes": "Names of classes and functions that make an agent, beside those of the known packages.",
    "agent-packages": "Names of npm packages whose objects are agents.",
}
"""Every key of `[tool.turnlane.typescript]`."""


class Configuration(NamedTuple):
    """What holds for a run."""

    settings: Settings
    consulted: tuple[str, ...]
    """Files that were looked for, whether or not they exist."""


def configure(options: Namespace, start: str) -> Configuration:
    """Join the configuration file with the command line.

    Args:
        options: the command line; see `options.parse`.
        start: the folder that the command was started in.

    Raises:
        CannotRun: a file can't be read, a key is unknown, a value is wrong.
    """
    found = Found("", {}, ()) if options.isolated else _find(options, start)
    root = os.path.dirname(found.path) if found.path and not options.config else start
    ruff = RuffConfigurations(start)
    settings = _from_file(found)._replace(ruff=None if options.isolated else ruff.reports)
    return Configuration(_with_options(settings._replace(root=root), options), found.consulted)


class Found(NamedTuple):
    """The configuration file."""

    path: str
    """Absolute; empty: there is none."""
    table: Mapping[str, Any]
    """`[tool.turnlane]`"""
    consulted: tuple[str, ...]


def _find(options: Namespace, start: str) -> Found:
    if options.config:
        path = os.path.join(start, options.config)
        table = _table(path)
        if table is None:
            raise CannotRun(f"{options.config} has no table [tool.turnlane]: add it, or leave out --config")
        return Found(os.path.normpath(path), table, (path,))
    consulted = []
    for folder in _above(_common(options, start)):
        path = os.path.join(folder, "pyproject.toml")
        consulted.append(path)
        if os.path.exists(path) and (table := _table(path)) is not None:
            return Found(path, table, tuple(consulted))
    return Found("", {}, tuple(consulted))


def _common(options: Namespace, start: str) -> str:
    """The folder that all the checked paths are in."""
    named = [path for path in options.paths if path != "-"]
    if options.stdin_filename:
        named.append(options.stdin_filename)
    whole = [os.path.normpath(os.path.join(start, path)) for path in named]
    folders = [path if os.path.isdir(path) else os.path.dirname(path) for path in whole]
    try:
        return os.path.commonpath(folders) if folders else start
    except ValueError:  # on different drives
        return start


def _above(folder: str) -> list[str]:
    """The folder and all that it is in, the closest first."""
    found = [folder]
    while (above := os.path.dirname(folder)) != folder:
        found.append(above)
        folder = above
    return found


def _table(path: str) -> Mapping[str, Any] | None:
    """`[tool.turnlane]` of a file; None when it has none."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise CannotRun(f"{path} can't be read: {(error.strerror or str(error)).lower()}") from None
    if b"turnlane" not in data:
        return None
    import tomllib  # 10 ms, for those who configure something

    try:
        document = tomllib.loads(data.decode())
    except ValueError as error:  # also UnicodeDecodeError
        if b"[tool.turnlane" not in data:
            return None
        raise CannotRun(f"{path} is not TOML: {error}") from None
    tool = document.get("tool")
    table = tool.get("turnlane") if isinstance(tool, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise CannotRun(f"{path}: tool.turnlane must be a table")
    return table


# --- from the file ---


def _from_file(found: Found) -> Settings:
    table = found.table
    _refuse_unknown(table, (*DOCUMENTED, "typescript"), found.path, "tool.turnlane")
    typescript = table.get("typescript", {})
    if not isinstance(typescript, dict):
        raise CannotRun(f"{found.path}: tool.turnlane.typescript must be a table")
    _refuse_unknown(typescript, tuple(DOCUMENTED_TYPESCRIPT), found.path, "tool.turnlane.typescript")
    take = _Taker(found.path, table)
    further = _Taker(found.path, typescript, "tool.turnlane.typescript")
    select = take.codes("select")
    more = take.codes("extend-select") or ()
    baseline = take.text("baseline")
    return Settings(
        select=(*(("TL",) if select is None else select), *more),
        asked_for=(*(select or ()), *more),
        ignore=(*(take.codes("ignore") or ()), *(take.codes("extend-ignore") or ())),
        per_file_ignores=take.per_file(),
        exclude=take.texts("exclude"),
        extend_exclude=take.texts("extend-exclude") or (),
        respect_gitignore=take.truth("respect-gitignore", True),
        severity=take.one_of("severity", SEVERITIES) or "information",  # type: ignore[arg-type]
        output_format=take.one_of("output-format", OUTPUT_FORMATS) or "full",
        baseline=os.path.join(os.path.dirname(found.path), baseline) if baseline else "",
        agent_classes=further.texts("agent-classes") or (),
        agent_packages=further.texts("agent-packages") or (),
    )


def _refuse_unknown(table: Mapping[str, Any], known: Sequence[str], path: str, where: str) -> None:
    for key in table:
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it may have {', '.join(known)}"
            raise CannotRun(f"{path}: {where} has no key {key}: {hint}")


class _Taker:
    """Takes values out of a table and refuses those of a wrong type."""

    def __init__(self, path: str, table: Mapping[str, Any], where: str = "tool.turnlane") -> None:
        self._path = path
        self._table = table
        self._where = where

    def texts(self, key: str) -> tuple[str, ...] | None:
        value = self._table.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._refuse(key, value, "a list of texts")
        return tuple(value)

    def codes(self, key: str) -> tuple[str, ...] | None:
        value = self.texts(key)
        if value is None:
            return None
        return known_codes(tuple(item.upper() for item in value), f"{self._path}: {self._where}.{key}")

    def text(self, key: str) -> str:
        value = self._table.get(key, "")
        if not isinstance(value, str):
            self._refuse(key, value, "a text")
        return str(value)

    def truth(self, key: str, default: bool) -> bool:
        value = self._table.get(key, default)
        if not isinstance(value, bool):
            self._refuse(key, value, "true or false")
        return bool(value)

    def one_of(self, key: str, allowed: Sequence[str]) -> str:
        value = self._table.get(key, "")
        if value and value not in allowed:
            self._refuse(key, value, f"one of {', '.join(allowed)}")
        return str(value)

    def per_file(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        key = "per-file-ignores"
        value = self._table.get(key, {})
        if not isinstance(value, dict):
            self._refuse(key, value, "a table of patterns and lists of codes")
        taker = _Taker(self._path, value, f"{self._where}.{key}")
        return tuple((pattern, taker.codes(pattern) or ()) for pattern in value)

    def _refuse(self, key: str, value: object, wanted: str) -> None:
        raise CannotRun(f"{self._path}: {self._where}.{key} must be {wanted}, not {value!r}")


# --- from the command line ---


def _with_options(settings: Settings, options: Namespace) -> Settings:
    select = _known(options.select, "--select")
    more = _known(options.extend_select, "--extend-select") or ()
    less = (*(_known(options.ignore, "--ignore") or ()), *(_known(options.extend_ignore, "--extend-ignore") or ()))
    if select is not None:
        # What is selected here is selected: the file's choice no longer counts.
        settings = settings._replace(select=select, ignore=(), asked_for=select)
    else:
        settings = settings._replace(
            select=_without(settings.select, less), asked_for=_without(settings.asked_for, less)
        )
    settings = settings._replace(
        select=settings.select + more,
        ignore=_without(settings.ignore, more) + less,
        asked_for=settings.asked_for + more,
        per_file_ignores=settings.per_file_ignores + _per_file(options.per_file_ignores or ()),
    )
    chosen = {
        "exclude": options.exclude,
        "respect_gitignore": options.respect_gitignore,
        "severity": options.severity,
        "output_format": options.output_format,
        "baseline": options.baseline,
    }
    settings = settings._replace(**{name: value for name, value in chosen.items() if value is not None})
    return settings._replace(extend_exclude=settings.extend_exclude + (options.extend_exclude or ()))


def _without(prefixes: tuple[str, ...], later: tuple[str, ...]) -> tuple[str, ...]:
    """The prefixes that no later choice on the command line takes back."""
    return tuple(prefix for prefix in prefixes if not any(prefix.startswith(other) for other in later))


def _known(chosen: tuple[str, ...] | None, option: str) -> tuple[str, ...] | None:
    if chosen == ():
        raise CannotRun(f"{option} names no code: give codes or prefixes, such as TL201,TL3")
    return None if chosen is None else known_codes(chosen, option)


def known_codes(chosen: tuple[str, ...], where: str) -> tuple[str, ...]:
    """The same codes and prefixes.

    Raises:
        CannotRun: one of them begins no code.
    """
    from turnlane import hazards

    known = hazards.codes()
    for prefix in chosen:
        if not any(code.startswith(prefix) for code in known):
            import difflib

            near = difflib.get_close_matches(prefix, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`turnlane explain` lists the codes, TL is all of them"
            raise CannotRun(f"{where}: no code begins with {prefix!r}: {hint}")
    return chosen


def _per_file(given: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for text in given:
        pattern, colon, listed = text.rpartition(":")
        if not colon or not pattern:
            raise CannotRun(f"--per-file-ignores {text}: write it as PATTERN:CODES, such as 'tests/**:TL113,TL2'")
        found.append((pattern, known_codes(codes(listed), "--per-file-ignores")))
    return tuple(found)


# --- use ---


def ignored_in_file(code: str, path: str, settings: Settings) -> bool:
    """Whether `per-file-ignores` names the code for this file. `path` is relative to where the check started."""
    below = _below(path, settings.root)
    return any(
        any(code.startswith(prefix) for prefix in listed) and _matches(pattern, below)
        for pattern, listed in settings.per_file_ignores
    )


@lru_cache(maxsize=1024)
def _below(path: str, root: str) -> str:
    """The path relative to `root`, or its name when it is elsewhere."""
    whole = os.path.abspath(path)
    above = root.rstrip(os.sep) + os.sep if root else os.path.join(os.getcwd(), "")
    return whole[len(above) :].replace(os.sep, "/") if whole.startswith(above) else os.path.basename(path)


def _matches(pattern: str, path: str) -> bool:
    inverted = pattern.startswith("!")
    return _compiled(pattern.removeprefix("!")).covers(path) != inverted


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Patterns:
    return Patterns([pattern])
