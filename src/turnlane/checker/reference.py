"""What the checker reports, as markdown made from the rules; also its options and settings.

`python -m turnlane.checker.reference --write docs/reference/rules.md`; a test checks that the page is current.
"""

from __future__ import annotations

import sys
from argparse import Action
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from turnlane import hazards
from turnlane.checker.configuration import DOCUMENTED, DOCUMENTED_TYPESCRIPT
from turnlane.checker.options import parser
from turnlane.checker.rule import Example, Rule
from turnlane.checker.rules import all_rules
from turnlane.checker.suppression import UNUSED

_NOTE: Final = (
    "<!-- Made by `python -m turnlane.checker.reference --write docs/reference/rules.md`; edit the rules. -->\n\n"
)

_TITLES: Final = {
    "python": "Python",
    "typescript": "TypeScript and JavaScript",
    "deployment": "Packages, deployment",
}

_ASKED_FOR: Final = {True: "", False: " Off unless it is selected (`--extend-select TL...`, or `--select TL`)."}

_FENCES: Final = {"python": "python", "typescript": "typescript", "deployment": "text"}

SHOWN: Final = 2
"""Bad examples of a rule that `explain` shows; the rule's file has the others."""


def page() -> str:
    """The whole page."""
    codes = "".join(_of_hazard(hazard) for hazard in hazards.all())
    return f"""{_NOTE}# What `turnlane check` reports

By code. `turnlane explain CODE` shows examples; [check your code](../how-to/check-your-code.md) shows the command.
Severities: **error** where the context proves it, **warning** where it is likely, **information** where it is
right today and breaks when the code moves. `[*]` in a report: `--fix` repairs it without `--unsafe-fixes`.

## Settings

Keys of `[tool.turnlane]` in `pyproject.toml`; an option of the command line wins.

{_keys(DOCUMENTED)}
Keys of `[tool.turnlane.typescript]`:

{_keys(DOCUMENTED_TYPESCRIPT)}
## Codes
{codes}"""


def _keys(documented: dict[str, str]) -> str:
    rows = "".join(f"| `{key}` | {meaning} |\n" for key, meaning in documented.items())
    return f"| key | meaning |\n|---|---|\n{rows}"


def _of_hazard(hazard: hazards.Hazard) -> str:
    rules = _rules_of(hazard.code)
    if hazard.code == UNUSED:
        body = "Comments `turnlane: ignore[...]` that silence nothing or name no code. Fix: removed (safe).\n"
    elif not rules:
        body = "Not reported: it can't be seen in the text of a program.\n"
    else:
        body = "\n".join(f"- {_TITLES[rule.language]}: {_said(rule)}" for rule in rules) + "\n"
    return f"\n### {hazard.code} {hazard.name}\n\n{body}"


def _said(rule: Rule) -> str:
    said = " ".join(rule.detects.split()) + _ASKED_FOR[rule.by_default]
    return f"{said} Fix: {' '.join(rule.fixes.split())}" if rule.fixes else said


def _rules_of(code: str) -> list[Rule]:
    return [rule for rule in all_rules() if rule.code == code]


def section(code: str) -> str:
    """What is reported of one hazard, with examples: a section for its page. Empty when nothing is."""
    rules = _rules_of(code)
    if not rules:
        return ""
    return "\n## What `turnlane check` reports\n" + "".join(_of_rule(rule) for rule in rules)


def _of_rule(rule: Rule) -> str:
    parts = [f"\n### {_TITLES[rule.language]}\n", f"{rule.detects.strip()}{_ASKED_FOR[rule.by_default]}\n"]
    parts.append(
        f"**Fix:** {rule.fixes.strip()}\n" if rule.fixes else "**Fix:** none; see the right form above.\n"
    )
    parts += _examples("Reported", rule.bad[:SHOWN], rule)
    parts += _examples("Not reported", rule.good[:1], rule)
    return "\n".join(parts)


def _examples(title: str, examples: Iterable[Example], rule: Rule) -> Iterator[str]:
    fence = _FENCES[rule.language]
    for example in examples:
        about = f" ({example.title})" if example.title else ""
        yield f"{title}{about}:\n\n```{fence}\n{example.code.strip()}\n```\n"
        if example.after:
            yield f"after the fix:\n\n```{fence}\n{example.after.strip()}\n```\n"


def options() -> str:
    """The options of the command as markdown, for the reference of the command line."""
    lines = ["Find the hazards in Python, notebooks, TypeScript, packages and deployment files.", ""]
    lines += ["```console", "turnlane check [OPTIONS] [PATHS]...", "```", ""]
    for group in parser()._action_groups:
        rows = [_option(action) for action in group._group_actions]
        if rows:
            title = "Paths" if group.title == "positional arguments" else str(group.title).capitalize()
            lines += [f"**{title}**:", "", *rows, ""]
    return "\n".join(lines)


def _option(action: Action) -> str:
    value = "|".join(map(str, action.choices)) if action.choices else action.metavar or ""
    names = (f"`{f'{name} {value}'.strip()}`" for name in action.option_strings)
    return f"* {', '.join(names) or f'`{action.metavar}`'}: {action.help}"


def main(arguments: Sequence[str]) -> int:
    """Print the page, or write it into the file after `--write`."""
    if len(arguments) == 2 and arguments[0] == "--write":
        Path(arguments[1]).write_text(page(), encoding="utf-8")
        return 0
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
