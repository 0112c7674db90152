"""What a rule is: one file with the hazard it finds, its examples and its fix. Tests and docs are made from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

from turnlane.checker.finding import Finding

Language = Literal["python", "typescript", "deployment"]


class Example(NamedTuple):
    """A small program, as a user would write it, and what the rule says of it.

    In a bad example each line that a finding stands on ends with the mark `# here` (`// here` in TypeScript;
    several findings of one line need no second mark). A good example has no mark and no finding.
    Several files are written one after the other, each under a line `# file: app/main.py` (`// file: ...`);
    a file whose name ends in `.ipynb` is written as Python with `# %%` between the cells.
    """

    code: str
    after: str = ""
    """The same files after the rule's fixes, unsafe ones included; empty: no fix, or not shown."""
    title: str = ""
    """What this example is about, for its test's name and its heading in the docs; may be empty."""


class Rule:
    """Finds one hazard in one language. A subclass is a rule; its module is its whole documentation.

    The first instance of a file's only subclass is the rule: `turnlane.checker.rules.all_rules()` finds it.
    """

    code: ClassVar[str]
    """Of the catalogue; several rules may find the same hazard in different languages."""
    language: ClassVar[Language]
    detects: ClassVar[str]
    """What is reported and what is not, for the docs: one or two sentences of markdown."""
    fixes: ClassVar[str] = ""
    """What the fix does and whether it is safe, for the docs; empty: there is none, the page explains."""
    bad: ClassVar[tuple[Example, ...]]
    good: ClassVar[tuple[Example, ...]]
    by_default: ClassVar[bool] = True
    """False for a rule that only some programs want: it runs when the user selects it himself."""

    def check(self, project: Any) -> Iterator[Finding]:
        """Yield what is wrong in `project`: the linked facts of the rule's language.

        The order does not matter, and two findings of one code at one place are reported once.
        """
        raise NotImplementedError
