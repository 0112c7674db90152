"""Rules that are off until they are selected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

Files = Callable[[Mapping[str, str]], None]
Check = Callable[..., Any]

UNBOUNDED = """\
from openai import OpenAI

client = OpenAI()


def summary(text):
    return client.chat.completions.create(model="gpt-4o-mini", messages=[], max_tokens=200)
"""


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], False),
        (["--extend-select", "TL307"], True),
        (["--extend-select", "TL3"], True),
        (["--select", "TL"], True),
        (["--select", "TL2"], False),
        (["--select", "TL", "--ignore", "TL307"], False),
    ],
)
def test_from_the_command_line(arguments: list[str], found: bool, check: Check, files: Files) -> None:
    files({"x.py": UNBOUNDED})
    assert ("TL307" in check(*arguments).out) is found


def test_from_the_configuration(check: Check, files: Files) -> None:
    files({"x.py": UNBOUNDED, "pyproject.toml": '[tool.turnlane]\nextend-select = ["TL307"]\n'})
    assert "x.py:7:12: TL307" in check().out


def test_a_comment_for_a_rule_that_did_not_run_is_not_unused(check: Check, files: Files) -> None:
    files({"x.py": UNBOUNDED.replace("200)", "200)  # turnlane: ignore[TL307] short is right here")})
    assert "TL001" not in check().out
    assert "TL307" not in check("--extend-select", "TL307").out


def test_a_comment_that_silences_nothing_is_unused_when_the_rule_ran(check: Check, files: Files) -> None:
    files({"x.py": "x = 1  # turnlane: ignore[TL307] gone\n"})
    assert "TL001" not in check().out
    assert "TL001" in check("--extend-select", "TL307").out
