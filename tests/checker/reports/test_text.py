"""What people read."""

from __future__ import annotations

import pytest

from turnlane.checker.finding import Finding, Note, Place
from turnlane.checker.reports import Report, render
from turnlane.checker.summary import fixed_text, notes_text, statistics, summary
from turnlane.checker.texts import Texts

FULL = """\
app.py:5:13: TL106 [*] error: `agent.run` is not awaited: 100%, really
   |
 5 |  return ünï(agent.run())  # 日本
   |             ^^^^^^^^^^^
  path: app.py:4:1 handler `chat` (FastAPI)
     -> n.ipynb:cell 2:2:6 `f` is called
  help: await it

n.ipynb:cell 2:2:6: TL102 warning: a loop in <a cell> & more
   |
 2 | y = [f()]
   |      ^^^
  help: Use top-level `await`.

web/a b.ts:2:1: TL201 information: one `agent` for all?[0m
   |
 2 | run(
   | ^^^^
  help: Make the agent for each turn.
  fix: Call it (with --fix --unsafe-fixes)

"""


def test_full(report: Report) -> None:
    from turnlane import hazards

    shown = FULL.replace("Use top-level `await`.", hazards.get("TL102").help)
    shown = shown.replace("Make the agent for each turn.", hazards.get("TL201").help)
    assert render("full", report) == shown


def test_concise(report: Report) -> None:
    assert render("concise", report).splitlines() == [
        line for line in FULL.splitlines() if line.startswith(("app.py:", "n.ipynb:", "web/"))
    ]


@pytest.mark.parametrize("name", ["full", "concise", "github"])
def test_nothing_found_is_nothing_said(name: str, empty: Report) -> None:
    assert render(name, empty) == ""


def test_colours_change_nothing_but_colours(report: Report) -> None:
    import re

    colored = render("full", report._replace(colored=True))
    assert "\x1b[1;31mTL106\x1b[0m" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == render("full", report)


def one(text: str, place: Place) -> list[str]:
    finding = Finding("TL101", place, "wrong", "error", "help")
    return render("full", Report((finding,), (), Texts({place.path: text.encode()}), 1)).splitlines()


def test_a_line_without_end_is_cut_around_the_place() -> None:
    lines = one("a" * 5000 + "RUN" + "b" * 5000, Place("x.py", 1, 5000, 1, 5003))
    assert all(len(line) < 200 for line in lines)
    assert lines[3].index("^^^") == lines[2].index("RUN")
    assert lines[3].count("^") == 3


def test_a_wide_letter_takes_two_columns() -> None:
    lines = one("'日本' + f()\n", Place("x.py", 1, 11, 1, 14))
    assert lines[2].endswith("'日本' + f()")
    assert lines[3] == "   | " + " " * 9 + "^^^"


@pytest.mark.parametrize(
    "place",
    [
        Place("x.py", 9, 0, 9, 5),
        Place("x.py", 1, 90, 1, 95),
        Place("x.py", 1, 0, 1, 0),
        Place("gone.py", 1, 0, 1, 1),
    ],
)
def test_a_place_that_is_not_there_is_no_crash(place: Place) -> None:
    finding = Finding("TL101", place, "wrong", "error", "help")
    report = Report((finding,), (), Texts({"x.py": b"x = 1\n"}), 1)
    for name in ("full", "concise", "json", "sarif", "github", "junit"):
        assert "wrong" in render(name, report)


def test_the_summary_counts(report: Report, empty: Report) -> None:
    assert summary(report) == (
        "Found 1 error, 1 warning, 1 information. [*] 1 fixable with --fix, 1 more with --fix --unsafe-fixes.\n"
    )
    assert summary(report._replace(findings=report.findings[1:2] * 2)) == "Found 2 warnings.\n"
    assert summary(report._replace(findings=report.findings[2:])) == (
        "Found 1 information. 1 fixable with --fix --unsafe-fixes.\n"
    )
    assert summary(empty) == "No hazards found.\n"
    assert summary(empty._replace(files=0)) == "No files to check.\n"


def test_statistics_by_code(report: Report) -> None:
    twice = report._replace(findings=(*report.findings, report.findings[1]))
    assert statistics(twice) == (
        "2  TL102 [ ] loop-in-notebook\n1  TL106 [*] unawaited\n1  TL201 [ ] shared-agent\n"
    )
    assert '"code": "TL106"' in statistics(report, "json")


def test_notes_are_a_line_each(report: Report) -> None:
    assert notes_text(report.notes, verbose=False) == "note: bad.py:3: it does not parse\nnote: something else\n"


def test_many_notes_of_one_text_are_counted() -> None:
    notes = [*(Note(f"{n}.py", n, "not followed") for n in range(1, 6)), Note("x.py", 0, "not read")]
    assert notes_text(notes, verbose=False).splitlines() == [
        "note: 1.py:1: not followed",
        "note: the same in 4 more places; --verbose lists them",
        "note: x.py: not read",
    ]
    assert notes_text(notes, verbose=True).count("\n") == len(notes)
    assert notes_text(notes[:3], verbose=False).count("not followed") == 3


def test_a_failed_rule_is_not_called_clean(empty: Report) -> None:
    broken = empty._replace(notes=(Note("", 0, "rule TL101 stopped", True),))
    assert summary(broken) == "Nothing found, but a part of the check failed: see the notes.\n"


def test_what_was_fixed(report: Report) -> None:
    assert fixed_text(report.findings[:1] * 2) == "Fixed app.py: 2 x TL106\n"
    assert fixed_text(report.findings[:1], would=True) == "Would fix app.py: 1 x TL106\n"
