"""The facts of all package and deployment files of a run, put together by the folders that they stand in."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from turnlane.checker.deployment.facts import DeploymentFile, Requirement, Server, Span
from turnlane.checker.finding import Place

_MANIFESTS = frozenset({"requirements", "pyproject", "pipfile", "setup", "conda", "package.json"})
_STARTERS = frozenset({"dockerfile", "compose", "procfile", "unit", "platform", "script"})


class Placed(NamedTuple):
    """A requirement and the file that it stands in."""

    path: str
    requirement: Requirement


class RequirementSet(NamedTuple):
    """What is installed together."""

    file: DeploymentFile
    """The file that asks for it; some of the requirements may stand in files that it includes."""
    group: str
    """The optional group that is installed with the main one; empty: the main one alone."""
    requirements: tuple[Placed, ...]
    locked: Mapping[str, str]
    """Versions that a lock file beside it has chosen, by name."""


class StartedServer(NamedTuple):
    """A start command and where it stands."""

    path: str
    server: Server
    folder: str
    """The folder that the app's module is imported from, as far as the command says."""


def folder_of(path: str) -> str:
    """The folder of a file; empty for the folder that the run started in."""
    return posixpath.dirname(path)


def upwards(folder: str) -> Iterator[str]:
    """A folder and those above it, as far as its path says: to the root, or to where the run started."""
    yield folder
    # What is above `..` has no name here; the empty one would be the folder that the run started in.
    while posixpath.basename(folder) != ".." and (parent := posixpath.dirname(folder)) != folder:
        folder = parent
        yield folder


def place_of(path: str, span: Span) -> Place:
    """A span of one line as a finding has it."""
    return Place(path, span.line, span.column, span.line, span.end_column)


def servers(facts: Mapping[str, Any]) -> list[StartedServer]:
    """Every start command in the facts of this language, for rules about the Python code that it starts.

    Args:
        facts: Of the language "deployment", by path.
    """
    return Project(file._replace(path=path) for path, file in sorted(facts.items())).servers


class Project:
    """The files of one run."""

    def __init__(self, files: Iterable[DeploymentFile]) -> None:
        self.files = list(files)
        self._by_path = {posixpath.normpath(file.path): file for file in self.files}
        self._by_folder: dict[str, list[DeploymentFile]] = {}
        for file in self.files:
            self._by_folder.setdefault(folder_of(file.path), []).append(file)

    def file(self, path: str) -> DeploymentFile:
        """The file of a path. Raises `KeyError` where there is none."""
        return self._by_path[posixpath.normpath(path)]

    def files_in(self, folder: str) -> list[DeploymentFile]:
        """The files that stand in a folder itself."""
        return self._by_folder.get(folder, [])

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of the packages that the files themselves describe."""
        return frozenset(file.name for file in self.files if file.name)

    # --- What is installed together --------------------------------------------------------------------------

    def requirement_sets(self, file: DeploymentFile) -> Iterator[RequirementSet]:
        """The sets of Python packages that a file asks for: its main requirements, alone and with each group."""
        if file.kind in ("lock", "package.json"):
            return
        everything = tuple(self._with_included(file, set()))
        locked = self._locked(file)
        for group in dict.fromkeys(["", *(placed.requirement.group for placed in everything)]):
            chosen = tuple(placed for placed in everything if placed.requirement.group in ("", group))
            if chosen:
                yield RequirementSet(file, group, chosen, locked)

    def _with_included(self, file: DeploymentFile, seen: set[str]) -> Iterator[Placed]:
        seen.add(file.path)
        yield from (Placed(file.path, item) for item in file.requirements if item.ecosystem == "pypi")
        if file.kind == "dockerfile":
            return  # one RUN of it may install what another image does not: only for what lies near
        for other in self._included(file):
            if other.path not in seen:
                yield from self._with_included(other, seen)

    def _included(self, file: DeploymentFile) -> Iterator[DeploymentFile]:
        for include in file.includes:
            path = posixpath.normpath(posixpath.join(folder_of(file.path), include.path))
            if path in self._by_path:
                yield self._by_path[path]

    def _locked(self, file: DeploymentFile) -> dict[str, str]:
        if file.path.endswith(".in"):
            compiled = self._by_path.get(posixpath.normpath(file.path[: -len("in")] + "txt"))
            locks = [compiled] if compiled else []
        elif file.kind in ("pyproject", "pipfile"):
            locks = self._nearest(folder_of(file.path), frozenset({"lock"}))
        else:
            return {}
        return {item.name: item.specifier for lock in locks for item in lock.requirements if item.pinned}

    # --- What lies near a file -------------------------------------------------------------------------------

    def manifests_near(self, file: DeploymentFile, folder: str = "") -> list[DeploymentFile]:
        """The files that say which packages the program that `file` starts or configures has.

        Those that it names; else those in its folder (or in `folder` below it), else in the folders directly
        below, when it starts something; else those in the closest folder above.
        """
        named = [other for other in self._included(file) if other.kind in _MANIFESTS]
        if named:
            return named
        start = posixpath.normpath(posixpath.join(folder_of(file.path), folder))
        start = "" if start == "." else start
        here = self._of_kind(start, _MANIFESTS)
        if not here and file.kind in _STARTERS:
            here = [
                found
                for below in self._by_folder
                if posixpath.dirname(below) == start and below != start
                for found in self._of_kind(below, _MANIFESTS)
            ]
        return here or self._nearest(start, _MANIFESTS)

    def packages_near(self, file: DeploymentFile, folder: str = "") -> frozenset[str]:
        """Names of the watched packages that the program of `file` has, of both ecosystems."""
        near = self.manifests_near(file, folder)
        everything = [placed.requirement.name for other in near for placed in self._with_included(other, set())]
        node = [
            item.name
            for other in near
            for item in other.requirements
            if item.ecosystem == "npm" and not item.group
        ]
        return frozenset([*everything, *node, *(item.name for item in file.requirements)])

    def nearest(self, folder: str, *kinds: str) -> list[DeploymentFile]:
        """The files of these kinds in the closest folder from `folder` upwards that has any."""
        return self._nearest(folder, frozenset(kinds))

    def _nearest(self, folder: str, kinds: frozenset[str]) -> list[DeploymentFile]:
        return next((found for above in upwards(folder) if (found := self._of_kind(above, kinds))), [])

    def _of_kind(self, folder: str, kinds: frozenset[str]) -> list[DeploymentFile]:
        return [file for file in self._by_folder.get(folder, ()) if file.kind in kinds]

    # --- What is started -------------------------------------------------------------------------------------

    @cached_property
    def servers(self) -> list[StartedServer]:
        """Every start command; one that names a settings file of gunicorn has that file's values too."""
        found = []
        for file in self.files:
            for server in file.servers:
                folder = posixpath.normpath(posixpath.join(folder_of(file.path), server.folder))
                found.append(
                    StartedServer(file.path, self._completed(file, server), "" if folder == "." else folder)
                )
        return found

    def _completed(self, file: DeploymentFile, server: Server) -> Server:
        """With what the settings file says, where the command itself says nothing."""
        if server.program != "gunicorn" or file.kind == "gunicorn":
            return server
        settings = self._gunicorn_settings(file, server)
        if settings is None:
            return server
        return server._replace(
            workers=settings.workers if server.workers is None else server.workers,
            threads=settings.threads if server.threads is None else server.threads,
            worker_class=server.worker_class or settings.worker_class,
            preload=server.preload or settings.preload,
            timeout=settings.timeout if server.timeout is None else server.timeout,
        )

    def _gunicorn_settings(self, file: DeploymentFile, server: Server) -> Server | None:
        start = posixpath.join(folder_of(file.path), server.folder)
        name = server.config or "gunicorn.conf.py"
        found = self._by_path.get(posixpath.normpath(posixpath.join(start, name)))
        if found is None and server.config:
            # In an image the path is another one: the only settings file of that name is meant.
            same = [other for other in self.files if other.kind == "gunicorn" and _same_name(other.path, name)]
            found = same[0] if len(same) == 1 else None
        return found.servers[0] if found and found.servers else None


def _same_name(one: str, other: str) -> bool:
    return posixpath.basename(one) == posixpath.basename(other)
