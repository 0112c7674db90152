"""Finds the files to check: walks folders, leaves out what git ignores and what nobody wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from turnlane.checker.finding import Note
from turnlane.checker.gitignore import Patterns
from turnlane.checker.languages import languages_of
from turnlane.checker.refusal import CannotRun
from turnlane.checker.settings import Settings

EXCLUDED: Final = tuple(  # a list of forty would be forty lines
    (  # noqa: SIM905
        ".bzr .direnv .eggs .git .git-rewrite .hg .ipynb_checkpoints .mypy_cache .next .nox .nuxt .pants.d .pyenv "
        ".pytest_cache .pytype .ruff_cache .serverless .svn .svelte-kit .terraform .tox .turbo .venv .vscode "
        ".yarn __pycache__ __pypackages__ _build bower_components buck-out build dist node_modules "
        "site-packages venv"
    ).split()
)
"""What `exclude` is unless it is set. A folder with a `pyvenv.cfg` is left out too, whatever it is called."""

Stamp = tuple[int, int, int]
"""Modification and change time of a file in nanoseconds, and its size; `ABSENT` when there is none."""

ABSENT: Final[Stamp] = (0, 0, -1)

_CONFIGURATION: Final = (
    ".gitignore",
    "pyproject.toml",
    "ruff.toml",
    ".ruff.toml",
    "tsconfig.json",
    "package.json",
)
"""Read beside the checked files: when one of them changes, findings may."""


class Discovery(NamedTuple):
    """What was found."""

    files: dict[str, tuple[str, ...]]
    """Path, and the names of the languages that read it; in the order of paths."""
    stamps: dict[str, Stamp]
    """Of every file in `files`, every folder that was listed, and every file that decided what is checked."""
    notes: tuple[Note, ...]
    alone: frozenset[str] = frozenset()
    """Files that were named one by one, so that the project around them may be missing."""


def stamp(path: str) -> Stamp:
    """The stamp of what is at `path` now."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ABSENT
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def shown(path: str, start: str) -> str:
    """How a file is called in findings: relative to the folder `start` when it is below it, else absolute."""
    whole = os.path.normpath(os.path.join(start, path))
    relative = whole[len(start) :].lstrip(os.sep) if whole.startswith(start.rstrip(os.sep) + os.sep) else whole
    return relative.replace(os.sep, "/")


def discover(paths: Sequence[str], settings: Settings, *, start: str, force_exclude: bool = False) -> Discovery:
    """Find the files below `paths`.

    Args:
        paths: files and folders, as the user named them. Files are taken even if they are excluded.
        settings: which patterns exclude, and whether git's count.
        start: the folder that the paths are relative to: where the command was started.
        force_exclude: exclude named files too.

    Raises:
        CannotRun: a path does not exist or can't be read.
    """
    walk = _Walk(settings, start)
    for path in paths:
        whole = os.path.normpath(os.path.join(start, path))
        if os.path.isdir(whole):
            walk.folder(whole)
        elif os.path.exists(whole):
            walk.named(whole, path, force_exclude)
        else:
            raise CannotRun(f"{path} does not exist: name a file or a folder")
    files = {path: walk.files[path] for path in sorted(walk.files)}
    return Discovery(files, walk.stamps, tuple(walk.notes), frozenset(walk.alone - walk.walked))


def only(path: str, *, start: str) -> Discovery:
    """One file that need not exist: standard input under the name of `path`.

    Raises:
        CannotRun: no language reads files of that name.
    """
    languages = languages_of(path)
    if not languages:
        raise CannotRun(f"--stdin-filename {path}: this kind of file is not checked; give a name such as app.py")
    name = shown(path, start)
    return Discovery({name: languages}, {}, (), frozenset({name}))


class _Ignore(NamedTuple):
    """The patterns that hold in a folder and below it."""

    patterns: Patterns
    prefix: int
    """How many characters of an absolute path come before what the patterns are relative to."""


class _Walk:
    """Collects while it walks."""

    def __init__(self, settings: Settings, start: str) -> None:
        self._start = start
        exclude = EXCLUDED if settings.exclude is None else settings.exclude
        self._excluded = Patterns([*exclude, *settings.extend_exclude])
        self._root = os.path.join(settings.root or start, "")
        self._git = settings.respect_gitignore
        self.files: dict[str, tuple[str, ...]] = {}
        self.stamps: dict[str, Stamp] = {}
        self.notes: list[Note] = []
        self.alone: set[str] = set()
        self.walked: set[str] = set()

    def named(self, path: str, as_named: str, force_exclude: bool) -> None:
        """Take a file that the user named."""
        if force_exclude and self._left_out_by_name(path):
            return
        self.alone.add(self._shown(path))
        if not self._take(path):
            kinds = "Python, notebooks, TypeScript, JavaScript, or files of packages and deployment"
            self.notes.append(Note(shown(path, self._start), 0, f"not checked: {as_named} is none of {kinds}"))

    def folder(self, top: str) -> None:
        """Take what is below a folder. The folder itself is taken even if it is excluded."""
        waiting = [(top, self._above(top) if self._git else ())]
        while waiting:
            folder, ignores = waiting.pop()
            waiting.extend(reversed(list(self._list(folder, ignores, top))))

    def _list(
        self, folder: str, ignores: tuple[_Ignore, ...], top: str
    ) -> Iterator[tuple[str, tuple[_Ignore, ...]]]:
        """Take the files of a folder; yield its folders."""
        self.stamps[self._shown(folder) or "."] = stamp(folder)
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=_name)
        except OSError as error:
            self.notes.append(Note(self._shown(folder), 0, f"not read: {_reason(error)}"))
            return
        names = {entry.name for entry in entries}
        if "pyvenv.cfg" in names and folder != top:
            return
        for name in _CONFIGURATION:
            if name in names:
                self._keep_stamp(os.path.join(folder, name))
        if self._git and ".gitignore" in names:
            ignores = (_read_ignore(os.path.join(folder, ".gitignore"), folder), *ignores)
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if not is_folder and (not languages_of(_slashed(entry.path)) or not entry.is_file()):
                continue
            if self._ignored(entry.path, is_folder, ignores):
                continue
            if is_folder:
                yield entry.path, ignores
            elif not entry.is_symlink() or not _inside(entry.path, top):
                self._take(entry.path)
                self.walked.add(self._shown(entry.path))

    def _take(self, path: str) -> bool:
        languages = languages_of(_slashed(path))
        if languages:
            name = self._shown(path)
            self.files[name] = languages
            self.stamps[name] = stamp(path)
        return bool(languages)

    def _ignored(self, path: str, is_folder: bool, ignores: tuple[_Ignore, ...]) -> bool:
        if self._excluded.decides(self._below_root(path), is_folder):
            return True
        for ignore in ignores:
            decided = _decision(ignore, path, is_folder)
            if decided is not None:
                return decided
        return False

    def _left_out_by_name(self, path: str) -> bool:
        return self._excluded.covers(self._below_root(path))

    def _below_root(self, path: str) -> str:
        """What patterns of the settings speak of: the path below their folder; elsewhere, the name."""
        below = path[len(self._root) :] if path.startswith(self._root) else os.path.basename(path)
        return _slashed(below)

    def _above(self, top: str) -> tuple[_Ignore, ...]:
        """The patterns from the folders above `top`, the closest first, when it is inside of a git checkout."""
        found: list[_Ignore] = []
        folder = top
        while True:
            git = os.path.join(folder, ".git")
            if folder != top:
                self._keep_stamp(os.path.join(folder, ".gitignore"))
                found.append(_read_ignore(os.path.join(folder, ".gitignore"), folder))
            if os.path.exists(git):
                exclude = os.path.join(_common_folder(git), "info", "exclude")
                self._keep_stamp(exclude)
                return tuple(ignore for ignore in (*found, _read_ignore(exclude, folder)) if ignore.patterns)
            above = os.path.dirname(folder)
            if above == folder:
                return ()
            folder = above

    def _keep_stamp(self, path: str) -> None:
        self.stamps[self._shown(path)] = stamp(path)

    def _shown(self, path: str) -> str:
        return "" if path == self._start else shown(path, self._start)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _slashed(path: str) -> str:
    return path if os.sep == "/" else path.replace(os.sep, "/")


def _prefix(folder: str) -> int:
    return len(folder.rstrip(os.sep)) + 1


def _decision(ignore: _Ignore, path: str, is_folder: bool) -> bool | None:
    return ignore.patterns.decides(_slashed(path[ignore.prefix :]), is_folder)


def _read_ignore(path: str, folder: str) -> _Ignore:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().removeprefix("\ufeff").split("\n")
    except OSError:
        lines = []
    return _Ignore(Patterns(lines), _prefix(folder))


def _common_folder(git: str) -> str:
    """The folder of a checkout's repository: `.git` itself, or what a `.git` file of a worktree names."""
    if os.path.isdir(git):
        return git
    try:
        with open(git, encoding="utf-8") as file:
            folder = os.path.join(os.path.dirname(git), file.read().removeprefix("gitdir:").strip())
        with open(os.path.join(folder, "commondir"), encoding="utf-8") as file:
            return os.path.join(folder, file.read().strip())
    except (OSError, UnicodeDecodeError):
        return git


def _inside(link: str, top: str) -> bool:
    """Whether a link leads to a file that the walk meets anyway."""
    return os.path.realpath(link).startswith(os.path.realpath(top) + os.sep)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
