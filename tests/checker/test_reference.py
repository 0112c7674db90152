"""Every rule, option and setting is documented, and `explain` shows what is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnlane import hazards
from turnlane.checker.configuration import DOCUMENTED, DOCUMENTED_TYPESCRIPT
from turnlane.checker.options import OUTPUT_FORMATS, parser
from turnlane.checker.reference import main, options, page, section
from turnlane.checker.rule import Rule
from turnlane.checker.rules import all_rules
from turnlane.cli.main import main as turnlane

DOCS = Path(__file__).parents[2] / "docs"
HOW_TO = (DOCS / "how-to/check-your-code.md").read_text(encoding="utf-8")


def test_the_page_is_current() -> None:
    kept = (DOCS / "reference/rules.md").read_text(encoding="utf-8")
    assert kept == page(), "run: python docs/generate.py"


def test_it_is_written_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--write", str(tmp_path / "rules.md")]) == 0
    assert (tmp_path / "rules.md").read_text(encoding="utf-8") == page()
    assert main([]) == 0
    assert capsys.readouterr().out == page()


@pytest.mark.parametrize(
    "rule", all_rules(), ids=lambda rule: f"{rule.code}-{rule.language}-{type(rule).__name__}"
)
def test_a_rule_says_what_it_does(rule: Rule) -> None:
    assert rule.code in hazards.codes()
    assert rule.detects.strip().endswith(".")
    assert not rule.fixes or rule.fixes.strip().endswith(".")
    assert rule.bad
    assert rule.good
    assert " ".join(rule.detects.split()) in page()
    shown = section(rule.code)
    assert rule.detects.strip() in shown
    assert rule.bad[0].code.strip() in shown


def test_explain_shows_the_page_and_what_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    code = all_rules(["python"])[0].code
    assert turnlane(["explain", code]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"# {code} ")
    assert "## What `turnlane check` reports" in out
    assert turnlane(["explain", "TL001"]) == 0


def test_every_hazard_stands_on_the_page() -> None:
    text = page()
    assert [hazard.code for hazard in hazards.all() if f"### {hazard.code} {hazard.name}\n" not in text] == []


def test_every_setting_and_option_is_documented() -> None:
    text = page()
    assert [key for key in (*DOCUMENTED, *DOCUMENTED_TYPESCRIPT) if f"| `{key}` |" not in text] == []
    reference = (DOCS / "reference/cli.md").read_text(encoding="utf-8")
    assert options().strip() in reference
    named = [name for action in parser()._actions for name in action.option_strings]
    assert len(named) > 30
    assert [name for name in named if f"`{name}" not in reference] == []


@pytest.mark.parametrize("word", ["pre-commit", "--baseline", "--watch", "--lsp", "noqa", *OUTPUT_FORMATS[2:]])
def test_the_how_to_speaks_of_it(word: str) -> None:
    assert word in HOW_TO


def test_the_settings_of_the_how_to_are_settings(here: Path) -> None:
    from turnlane.checker.configuration import configure
    from turnlane.checker.options import parse

    table = HOW_TO.partition("```toml pyproject.toml\n")[2].partition("```")[0]
    (here / "pyproject.toml").write_text(table)
    settings = configure(parse([]), str(here)).settings
    assert settings.ignore == ("TL504",)
    assert settings.per_file_ignores == (("tests/**", ("TL113", "TL2")),)
