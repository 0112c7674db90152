"""Which edits are offered, and what is checked when there is no workspace."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol import types
from pygls.workspace import PositionCodec

from turnlane import hazards
from turnlane.checker.finding import Finding, Place
from turnlane.checker.lsp import actions
from turnlane.checker.lsp.documents import Locator
from turnlane.checker.lsp.workspace import Analysis, Folder
from turnlane.checker.texts import Texts


def silenced(path: str, text: str, line: int, end_line: int) -> str | None:
    """The text with the comment that the action adds."""
    analysis = Analysis("/project", (), Texts({path: text.encode()}))
    finding = Finding("TL104", Place(path, line, 0, end_line, 1), "message", "error")
    edited = actions.silencing(finding, analysis, Locator(analysis, {}, PositionCodec()))
    if edited is None:
        return None
    [[edit]] = edited.values()
    lines = text.split("\n")
    start = edit.range.start
    old = lines[start.line]
    lines[start.line] = old[: start.character] + edit.new_text + old[start.character :]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("path", "text", "lines", "after"),
    [
        ("a.py", "f()\ng()", (1, 1), "f()  # turnlane: ignore[TL104]\ng()"),
        ("a.py", "f()  # why", (1, 1), "f()  # why  # turnlane: ignore[TL104]"),
        ("a.py", "f()  # turnlane: ignore[TL101] x", (1, 1), "f()  # turnlane: ignore[TL101, TL104] x"),
        ("a.py", "f('''\n''')", (1, 2), "f('''\n''')  # turnlane: ignore[TL104]"),
        ("a.py", "f(\\\n1)", (1, 2), "f(\\\n1)  # turnlane: ignore[TL104]"),
        ("a.py", "x = '''\ny\n'''", (2, 2), None),
        ("a.ts", "f();", (1, 1), "f();  // turnlane: ignore[TL104]"),
        ("Dockerfile", "CMD x", (1, 1), "CMD x  # turnlane: ignore[TL104]"),
        ("vercel.json", "{}", (1, 1), None),
        ("n.ipynb", '{"cells": [{"cell_type": "code", "source": "f()"}]}', (1, 1), None),
    ],
)
def test_a_comment_that_silences(path: str, text: str, lines: tuple[int, int], after: str | None) -> None:
    assert silenced(path, text, *lines) == after


@pytest.mark.parametrize(
    ("only", "kind", "expected"),
    [
        (None, "quickfix", True),
        ([types.CodeActionKind.QuickFix], "quickfix", True),
        ([types.CodeActionKind.Source], actions.FIX_ALL, True),
        (["source.fixAll"], actions.FIX_ALL, True),
        (["source.fixAll.ruff"], actions.FIX_ALL, False),
        (["source.organizeImports"], actions.FIX_ALL, False),
        (["source"], "quickfix", False),
    ],
)
def test_the_kinds_that_the_editor_asks_for(only: list[str] | None, kind: str, expected: bool) -> None:
    assert actions.wanted(only, kind) is expected


@pytest.mark.parametrize("code", hazards.codes())
def test_the_page_of_a_hazard_is_a_file(code: str) -> None:
    uri = actions.page_uri(code)
    assert uri is not None
    assert Path(uri.removeprefix("file://")).is_file()


def test_a_code_without_page_has_no_link() -> None:
    assert actions.page_uri("TL999") is None
    assert actions.hover([Finding("TL999", Place("a.py", 1, 0, 1, 1), "message", "error")]) == ""


NESTED = b"import asyncio\nasync def main():\n    asyncio.run(x())\n"


def test_without_a_workspace_only_open_files_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_bytes(b"")
    (tmp_path / "b.py").write_bytes(NESTED)
    path = str(tmp_path / "a.py")
    folder = Folder(str(tmp_path), whole=False)
    assert folder.analyse({}).findings == ()
    analysis = folder.analyse({path: NESTED})
    assert [(finding.code, finding.place.path) for finding in analysis.findings] == [("TL101", "a.py")]
    assert analysis.of(path) == list(analysis.findings)
    assert analysis.path("a.py") == path
    assert [finding.place.path for finding in Folder(str(tmp_path), whole=True).analyse({}).findings] == ["b.py"]


def test_known_findings_of_a_baseline_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from turnlane.checker import baseline

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_bytes(NESTED)
    folder = Folder(str(tmp_path), whole=True)
    found = folder.analyse({})
    assert len(found.findings) == 1
    baseline.write(str(tmp_path / "known.json"), found.findings, found.texts)
    (tmp_path / "pyproject.toml").write_text("[tool.turnlane]\nbaseline = 'known.json'\n")
    assert folder.analyse({}).findings == ()
