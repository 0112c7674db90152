"""The reference of the guard lists what the guard reports and what it can be told."""

from __future__ import annotations

import re
from dataclasses import fields

from turnlane.guard.settings import GuardSettings

from .pages import ROOT

PAGE = (ROOT / "docs/reference/guard.md").read_text(encoding="utf-8")
SOURCES = [path.read_text(encoding="utf-8") for path in (ROOT / "src/turnlane/guard").rglob("*.py")]

FOR_THE_PROBE = {"redirect", "experiment"}


def test_every_code_that_the_guard_reports_is_listed_and_no_other() -> None:
    reported = {code for source in SOURCES for code in re.findall(r'"(TL\d{3})"', source)}
    listed = set(re.findall(r"^\| .*?\|", PAGE, re.MULTILINE))
    codes = {code for row in listed for code in re.findall(r"\[(TL\d{3})\]", row)}
    assert codes == reported


def test_every_setting_is_listed() -> None:
    rows = "\n".join(re.findall(r"^\| .*\|$", PAGE.partition("## Settings")[2], re.MULTILINE))
    wanted = {field.name for field in fields(GuardSettings)} - FOR_THE_PROBE
    assert {name for name in wanted if f"`{name}`" not in rows} == set()


def test_every_kind_of_record_is_listed() -> None:
    written = {kind for source in SOURCES for kind in re.findall(r'"kind": "(\w+)"', source)}
    assert {kind for kind in written if f"`{kind}`" not in PAGE} == set()
