"""Fixes are applied wholly or not at all, and what comes out parses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlane.checker import fixing
from turnlane.checker.finding import Edit, Finding, Fix, Place
from turnlane.checker.source import Source


def edit(path: str, line: int, start: int, end: int, text: str, end_line: int = 0) -> Edit:
    return Edit(Place(path, line, start, end_line or line, end), text)


def finding(*edits: Edit, safe: bool = True, code: str = "TL104") -> Finding:
    return Finding(code, edits[0].place, "message", "error", fix=Fix("Do it", edits, safe))


def apply_one(path: str, text: str, *edits: Edit) -> fixing.Fixed:
    return fixing.apply({path: text}, [finding(*edits)], unsafe=False)


def test_edits_are_counted_in_bytes_and_keep_line_ends() -> None:
    text = "# ü\r\nx = 'ü'; run()\r\n"
    fixed = apply_one("a.py", text, edit("a.py", 2, 10, 10, "await_."), edit("a.py", 1, 0, 0, "import a\n"))
    assert fixed.texts == {"a.py": "import a\r\n# ü\r\nx = 'ü'; await_.run()\r\n"}
    assert len(fixed.fixed) == 1
    assert fixed.skipped == ()


def test_unsafe_fixes_are_asked_for() -> None:
    found = finding(edit("a.py", 1, 0, 1, "y"), safe=False)
    assert fixing.apply({"a.py": "x"}, [found], unsafe=False) == ({}, (), ((found, "it is an unsafe fix"),))
    assert fixing.apply({"a.py": "x"}, [found], unsafe=True) == ({"a.py": "y"}, (found,), ())


def test_a_finding_without_fix_is_no_concern() -> None:
    found = Finding("TL402", Place("a.py", 1, 0, 1, 1), "message", "error")
    assert fixing.apply({}, [found], unsafe=True) == ({}, (), ())
    assert fixing.files([found]) == set()


@pytest.mark.parametrize(("start", "end"), [(0, 4), (2, 3), (3, 5), (1, 3), (4, 4), (2, 2)])
def test_of_two_fixes_that_touch_the_first_is_applied(start: int, end: int) -> None:
    first, second = finding(edit("a.txt", 1, 2, 4, "")), finding(edit("a.txt", 1, start, end, "x"), code="TL2")
    fixed = fixing.apply({"a.txt": "012345"}, [second, first], unsafe=False)
    applied, left = (second, first) if (start, end) < (2, 4) else (first, second)
    assert fixed.fixed == (applied,)
    assert fixed.skipped == ((left, "it touches another fix; run again"),)


def test_an_edit_that_fixes_share_is_made_once() -> None:
    shared = edit("a.py", 1, 0, 0, "import asyncio\n")
    first, second = finding(edit("a.py", 2, 0, 1, "x"), shared), finding(edit("a.py", 4, 0, 1, "y"), shared)
    fixed = fixing.apply({"a.py": "\na\n\nb\n"}, [first, second], unsafe=False)
    assert fixed.texts == {"a.py": "import asyncio\n\nx\n\ny\n"}
    assert fixed.fixed == (first, second)


def test_a_fix_that_breaks_one_file_changes_none() -> None:
    good = finding(edit("b.py", 2, 0, 1, "z"))
    bad = finding(edit("a.py", 1, 0, 1, "y"), edit("b.py", 1, 0, 1, "("))
    fixed = fixing.apply({"a.py": "x", "b.py": "x\nx"}, [bad, good], unsafe=False)
    assert fixed.texts == {"b.py": "x\nz"}
    assert fixed.skipped == ((bad, "the result would not parse"),)


def test_a_fix_of_a_file_that_was_not_read_is_skipped() -> None:
    bad = finding(edit("a.py", 1, 0, 1, "y"), edit("b.py", 1, 0, 1, "y"))
    assert fixing.apply({"a.py": "x"}, [bad], unsafe=False) == ({}, (), ((bad, "b.py was not read"),))


@pytest.mark.parametrize(
    ("path", "before", "after", "reason"),
    [
        ("a.py", "x", "await x", "the result would not parse"),
        ("a.py", "x", "return", "the result would not parse"),
        ("a.py", "return x", "return", ""),
        ("a.py", "x = = 1", "x", "the file does not parse as it is"),
        ("a.py", "x\0", "x", "the file does not parse as it is"),
        ("a.ts", "let x = 1", "let x = ", "the result would not parse"),
        ("a.ts", "let x = ; let y = (1;", "let x = 1; let y = (1;", ""),
        ("a.tsx", "<A/>", "<A>", "the result would not parse"),
        ("package.json", "{}", "{", "the result would not parse"),
        ("package.json", "// no\n{}", "{}", "the file does not parse as it is"),
        ("pyproject.toml", "a = 1", "a = ", "the result would not parse"),
        ("serverless.yml", "a: !Ref b", "a: [", "the result would not parse"),
        ("serverless.yml", "a: !Ref b", "a: !Ref c", ""),
        ("requirements.txt", "x", "((", ""),
        ("Dockerfile", "FROM x", "FROM y", ""),
    ],
)
def test_what_is_written_parses(path: str, before: str, after: str, reason: str) -> None:
    last = Source(path, before).lines
    whole = edit(path, 1, 0, len(last[-1]), after, end_line=len(last))
    fixed = apply_one(path, before, whole)
    assert fixed.texts == ({} if reason else {path: after})
    assert [skipped.reason for skipped in fixed.skipped] == ([reason] if reason else [])


def notebook(*sources: str) -> str:
    cells = [{"cell_type": "code", "outputs": [{"text": "1e3"}], "source": source} for source in sources]
    return json.dumps({"cells": cells, "metadata": {}}, indent=1) + "\n"


@pytest.mark.parametrize(
    ("sources", "change", "after", "reason"),
    [
        (["run()", "y"], edit("n.ipynb", 1, 0, 0, "await "), ["await run()", "y"], ""),
        (["a\nb", "c"], edit("n.ipynb", 2, 0, 0, "", end_line=3), ["a", "c"], ""),
        (["a\nb\n", "c"], edit("n.ipynb", 2, 0, 0, "", end_line=3), ["a\n", "c"], ""),
        (["a", "b"], edit("n.ipynb", 1, 0, 0, "", end_line=2), ["", "b"], ""),
        (["a", "b"], edit("n.ipynb", 2, 0, 0, "", end_line=3), ["a", ""], ""),
        (["a\r\nb", "c"], edit("n.ipynb", 2, 0, 0, "x\n"), ["a\r\nx\r\nb", "c"], ""),
        (["%time run()", "c"], edit("n.ipynb", 1, 6, 6, "await "), ["%time await run()", "c"], ""),
        (["!ls\n'''\n%%bash'''"], edit("n.ipynb", 2, 0, 0, "x = "), ["!ls\nx = '''\n%%bash'''"], ""),
        (["(", "b"], edit("n.ipynb", 2, 0, 1, "c"), ["(", "c"], ""),
        (["!ls"], edit("n.ipynb", 1, 0, 3, "x"), None, "it would rewrite a magic"),
        (["a", "b"], edit("n.ipynb", 1, 0, 1, "x", end_line=2), None, "it would rewrite two cells at once"),
        (["a", "b"], edit("n.ipynb", 1, 0, 1, "("), None, "the result would not parse"),
        (["a ="], edit("n.ipynb", 1, 0, 1, "b"), None, "the file does not parse as it is"),
    ],
)
def test_cells_of_a_notebook(sources: list[str], change: Edit, after: list[str] | None, reason: str) -> None:
    fixed = apply_one("n.ipynb", notebook(*sources), change)
    assert fixed.texts == ({} if after is None else {"n.ipynb": notebook(*after)})
    assert [skipped.reason for skipped in fixed.skipped] == ([reason] if reason else [])


def test_a_broken_notebook_is_left_alone() -> None:
    fixed = apply_one("n.ipynb", "{", edit("n.ipynb", 1, 0, 1, "x"))
    assert fixed.texts == {}
    assert fixed.skipped[0].reason.startswith("it is not JSON")


_TEXTS = st.text(alphabet="aü😀\n\r\t ", max_size=30)


@given(st.data(), _TEXTS)
def test_edits_that_do_not_touch_are_all_applied(data: st.DataObject, text: str) -> None:
    offsets = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    # Between CR and LF there is no place to edit.
    offsets = [at for at in offsets if text[at - 1 : at + 1] != "\r\n"]
    spans = list(zip(offsets[::2], offsets[1::2], strict=False))
    news = data.draw(st.lists(st.text(alphabet="xé", max_size=3), min_size=len(spans), max_size=len(spans)))
    source = Source("a.txt", text)
    findings = [
        finding(Edit(Place("a.txt", *source.position(start), *source.position(end)), new))
        for (start, end), new in zip(spans, news, strict=True)
    ]
    expected = text
    for (start, end), new in reversed(list(zip(spans, news, strict=True))):
        expected = expected[:start] + new + expected[end:]
    fixed = fixing.apply({"a.txt": text}, data.draw(st.permutations(findings)), unsafe=False)
    assert fixed.texts.get("a.txt", text) == expected
    assert len(fixed.fixed) == len(findings)


@given(st.data())
def test_any_edits_leave_python_that_parses(data: st.DataObject) -> None:
    text = "def f(a):\n    x = [a, 'é']\n    return g(x)\n"
    source = Source("a.py", text)
    pairs = data.draw(st.lists(st.tuples(*[st.integers(0, len(text))] * 2).map(sorted), max_size=5))
    news = st.sampled_from(["", "(", ")", "await ", "x", "\n", "'", ":", "    "])
    findings = [
        finding(Edit(Place("a.py", *source.position(start), *source.position(end)), data.draw(news)))
        for start, end in pairs
    ]
    fixed = fixing.apply({"a.py": text}, findings, unsafe=True)
    compile(fixed.texts.get("a.py", text), "a.py", "exec")
    assert len(fixed.fixed) + len(fixed.skipped) == len(findings)
