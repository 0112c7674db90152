"""Python and notebooks, from their bytes to findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from turnlane.checker.finding import Finding, Note
from turnlane.checker.language import Sources
from turnlane.checker.python.extract import extract
from turnlane.checker.python.facts import Module
from turnlane.checker.rule import Rule
from turnlane.checker.settings import Settings
from turnlane.checker.shares import Look, Resolve

SUFFIXES = (".py", ".pyi", ".pyw", ".ipynb")


class Python:
    """The `Language` of `.py` and `.ipynb` files."""

    name = "python"
    version = 1

    def takes(self, path: str) -> bool:
        return path.endswith(SUFFIXES)

    def extract(self, path: str, data: bytes, /) -> Module:
        return extract(path, data)

    def look(self, data: bytes, /) -> Look:
        from turnlane.checker.python.survey import survey

        found = survey(data)
        return Look(found.imports, found.mentions)

    def resolver(self, paths: Sequence[str], /) -> Resolve | None:
        from turnlane.checker.python.names import Names

        return Names(paths).module

    def check(
        self, facts: Mapping[str, Module], sources: Sources, rules: Sequence[Rule], settings: Settings
    ) -> Iterable[Finding | Note]:
        from turnlane.checker.python.project import Project

        yield from _problems(facts)
        project = Project(facts, sources, settings)
        for rule in rules:
            yield from rule.check(project)


def _problems(facts: Mapping[str, Module]) -> Iterator[Note]:
    for path, module in facts.items():
        for line, text in module.problems:
            yield Note(path, line, text)


PYTHON = Python()
