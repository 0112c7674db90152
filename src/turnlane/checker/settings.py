"""What the user chose, from `pyproject.toml [tool.turnlane]` and the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from turnlane.checker.finding import Severity


class Settings(NamedTuple):
    """One run's choices."""

    select: tuple[str, ...] = ("TL",)
    """Codes and prefixes of codes that are reported."""
    ignore: tuple[str, ...] = ()
    """Codes and prefixes that are not; the longer of two prefixes wins, `ignore` when they are equal."""
    asked_for: tuple[str, ...] = ()
    """What the user selected himself, as he wrote it. A full code here is wanted whatever else speaks against."""
    root: str = ""
    """The folder that patterns are relative to, absolute; empty: the one that the check started in."""
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Pattern of a path, and the codes and prefixes that are not reported in files it matches."""
    exclude: tuple[str, ...] | None = None
    """Patterns of what is not walked into; None: those of `discovery.EXCLUDED`."""
    extend_exclude: tuple[str, ...] = ()
    respect_gitignore: bool = True
    severity: Severity = "information"
    """The least severe finding that is reported."""
    output_format: str = "full"
    baseline: str = ""
    """Path of the file of known findings; empty: none."""
    agent_classes: tuple[str, ...] = ()
    """TypeScript: further class and function names that make an agent, beside those of the known packages."""
    agent_packages: tuple[str, ...] = ()
    """TypeScript: further npm packages whose objects are agents."""
    ruff: Callable[[str, str], bool] | None = None
    """Whether ruff reports a code of its own (first) in a file (second), as it is configured; None: not asked."""

    def reports(self, code: str) -> bool:
        """Whether `code` is selected: the longest prefix decides."""
        chosen = _longest(code, self.select)
        return chosen > 0 and chosen > _longest(code, self.ignore)

    def reports_by(self, code: str, by_default: bool) -> bool:
        """Whether a rule for `code` runs; one that is off by default has to be asked for, by any prefix."""
        return self.reports(code) and (by_default or _longest(code, self.asked_for) > 0)

    def ruff_reports(self, ruff_code: str, code: str, path: str) -> bool:
        """Whether a finding is left to ruff: it selects `ruff_code` for the file `path`.

        False when the user asks for our `code` by its full name.
        """
        if code in self.asked_for or self.ruff is None:
            return False
        return self.ruff(ruff_code, path)


def _longest(code: str, prefixes: tuple[str, ...]) -> int:
    return max((len(prefix) for prefix in prefixes if code.startswith(prefix)), default=0)
