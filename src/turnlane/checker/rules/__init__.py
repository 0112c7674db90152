"""The rules: one file each, found by its name; Python's here, the others' in folders of their own."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from functools import cache
from importlib import import_module
from typing import Final

from turnlane.checker.rule import Rule

_FOLDERS: Final = {"python": "", "typescript": "typescript", "deployment": "deployment"}
"""Where the rules of each language are, in this folder."""


def all_rules(languages: Collection[str] = tuple(_FOLDERS)) -> tuple[Rule, ...]:
    """Every rule of these languages, by code; only their modules are imported."""
    rules = [rule for language in _FOLDERS if language in languages for rule in _rules_of(language)]
    return tuple(sorted(rules, key=lambda rule: rule.code))


@cache
def _rules_of(language: str) -> tuple[Rule, ...]:
    return tuple(
        made()
        for module in _modules(_FOLDERS[language])
        for made in vars(import_module(module)).values()
        if isinstance(made, type)
        and issubclass(made, Rule)
        and made.__module__ == module
        and hasattr(made, "code")
    )


def _modules(folder: str) -> Iterator[str]:
    """Names of the modules in a folder of rules; those that start with `_` hold no rule."""
    package = f"{__name__}.{folder}" if folder else __name__
    place = os.path.join(os.path.dirname(os.path.abspath(__file__)), folder)
    names = os.listdir(place) if os.path.isdir(place) else ()
    return (f"{package}.{name[:-3]}" for name in sorted(names) if name.endswith(".py") and name[0] != "_")
