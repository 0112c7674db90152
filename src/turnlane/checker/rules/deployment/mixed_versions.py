"""TL601: packages of different AutoGen releases, or of different AutoGens, in one requirement set."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

from turnlane.checker.deployment.compatibility import Choice, Conflict, conflicts, refused_by
from turnlane.checker.deployment.facts import DeploymentFile
from turnlane.checker.deployment.project import Placed, Project, folder_of, place_of
from turnlane.checker.finding import SEVERITIES, Edit, Finding, Fix
from turnlane.checker.rule import Example, Rule


class MixedVersions(Rule):
    code = "TL601"
    language = "deployment"
    detects = (
        "Requirement sets (requirements files, `pyproject.toml`, `Pipfile`, `setup.cfg`, `environment.yml`, `pip "
        "install` "
        "in Dockerfiles and scripts) whose AutoGen packages have no release in common; classic and current "
        "AutoGen "
        "together; `pyautogen` whose range ends in the proxy 0.10; ranges that span both APIs or name versions "
        "that were "
        "never published; an `openai` older than `autogen-ext` needs; a Python that the packages do not install "
        "on. "
        "A lock file that has chosen fitting versions is believed. Packages without a bound that pip makes equal "
        "are not "
        "reported, nor are the classic names side by side at one version."
    )
    fixes = (
        "Pins the packages to the version of one of them, or gives `pyautogen` the bound `<0.10` (unsafe: what "
        "the code "
        "was written for decides)."
    )
    bad: ClassVar = (
        Example(
            "# file: requirements.txt\nautogen-agentchat==0.7.5  # here\nautogen-ext[openai]==0.7.4\n",
            after="# file: requirements.txt\nautogen-agentchat==0.7.5\nautogen-ext[openai]==0.7.5\n",
            title="Two releases",
        ),
        Example(
            "# file: requirements.txt\npyautogen>=0.2  # here\n",
            after="# file: requirements.txt\npyautogen>=0.2,<0.10\n",
            title="The proxy",
        ),
        Example(
            "# file: requirements.txt\nautogen-ext[ollama]  # here\nag2[openai]\n",
            title="Classic and current AutoGen",
        ),
        Example(
            "# file: requirements.txt\nautogen-agentchat~=0.2  # here\n",
            title="A range over two libraries",
        ),
        Example(
            "# file: requirements.txt\npyautogen==0.2.10  # here\nautogen==0.9.7\n",
            title="One module, written by two packages",
        ),
        Example(
            '# file: pyproject.toml\n[project]\nname = "support"\nversion = "1.0"\ndependencies = [\n'
            '  "autogen-ext[openai]==0.7.5",  # here\n  "openai==1.51.0",\n]\n',
            after='# file: pyproject.toml\n[project]\nname = "support"\nversion = "1.0"\ndependencies = [\n'
            '  "autogen-ext[openai]==0.7.5",\n  "openai>=1.93,<4",\n]\n',
            title="An `openai` that is too old",
        ),
        Example(
            "# file: requirements.txt\nautogen-agentchat>=0.7,<0.8\nautogen-core>=0.7,<0.8\n"
            "# file: Dockerfile\nFROM python:3.9-slim  # here\nCOPY . /app\n"
            "RUN pip install -r /app/requirements.txt\n",
            title="A Python that is too old",
        ),
    )
    good: ClassVar = (
        Example(
            "# file: requirements.txt\nautogen-agentchat>=0.7.5,<0.8\nautogen-core>=0.7.5,<0.8\n"
            "autogen-ext[openai]>=0.7.5,<0.8\nopenai>=1.93,<4\n",
        ),
        Example("# file: requirements.txt\nag2==0.10.2\nautogen==0.10.2\n", title="Two names of one release"),
        Example(
            "# file: requirements.txt\nautogen-agentchat==0.7.5\nautogen-ext[openai]\nautogen-core\n",
            title="The installer makes them equal",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for file in project.files:
            found = [
                conflict
                for of in project.requirement_sets(file)
                for conflict in conflicts(of)
                if any(placed.path == file.path for placed in conflict.involved)
            ]
            if found:
                yield _finding(file.path, found)
            yield from _refused_pythons(file, project)


def _finding(path: str, found: list[Conflict]) -> Finding:
    """One for a file: a set is repaired as a whole."""
    ranked = sorted(dict.fromkeys(found), key=lambda conflict: SEVERITIES.index(conflict.severity))
    leading = ranked[0]
    first = min(
        placed.requirement.span for conflict in ranked for placed in conflict.involved if placed.path == path
    )
    return Finding(
        "TL601",
        place_of(path, first),
        "; ".join(dict.fromkeys(conflict.text for conflict in ranked[:3])),
        leading.severity,
        help=leading.help,
        fix=_fix(leading),
    )


def _fix(conflict: Conflict) -> Fix | None:
    edits = tuple(edit for placed, specifier in conflict.repairs for edit in _edits(placed, specifier))
    if not edits or len(edits) < len(conflict.repairs):
        return None
    written = ", ".join(f"`{placed.requirement.name}{specifier}`" for placed, specifier in conflict.repairs)
    return Fix(f"Require {written}", edits, safe=False)


def _edits(placed: Placed, specifier: str) -> Iterator[Edit]:
    span = placed.requirement.specifier_span
    if span is not None:
        yield Edit(place_of(placed.path, span), specifier)


def _refused_pythons(file: DeploymentFile, project: Project) -> Iterator[Finding]:
    """The Python that a file chooses, where the packages beside it do not install on it."""
    for runtime in file.runtimes:
        parts = runtime.version.split(".")
        if runtime.language != "python" or len(parts) < 2:
            continue
        python = int(parts[0]), int(parts[1])
        for choice, needed in islice(_refused_near(file, python, project), 1):
            text = f"{choice.text} does not install on Python {runtime.version}: it needs {needed}"
            help_line = f"Choose a Python {needed}, or a version of the package that runs on {runtime.version}."
            yield Finding("TL601", place_of(file.path, runtime.span), text, "error", help=help_line)


def _refused_near(file: DeploymentFile, python: tuple[int, int], project: Project) -> Iterator[tuple[Choice, str]]:
    near = [file, *(other for other in project.manifests_near(file) if other is not file)]
    for other in near:
        if file.kind == "runtime" and folder_of(other.path) != folder_of(file.path):
            continue  # pyenv's file also stands above projects that have their own
        for of in project.requirement_sets(other):
            if not of.group:
                yield from refused_by(python, of)
