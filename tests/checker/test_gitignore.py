"""The matcher agrees with `git check-ignore`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from turnlane.checker.gitignore import Patterns

PATHS = (
    "a.py",
    "b.pyc",
    "build/a.py",
    "build/deep/b.py",
    "doc/build/a.py",
    "doc/a.txt",
    "doc/a.py",
    "doc/sub/a.txt",
    "foo/bar/baz/a.py",
    "foo/baz/a.py",
    "#hash.py",
    "!bang.py",
    "with space.py",
    "trailing .py",
    "é/ü.py",
    "[x].py",
    "x.py",
    "abc/x1.py",
    "abc/x2.py",
    "a-b.py",
    "A.PY",
    "back\\slash.py",
    "foo.d/a.py",
)
CASES = {
    "name": ["*.pyc"],
    "folder": ["build/"],
    "anchored": ["/build"],
    "middle slash": ["doc/a.txt"],
    "middle slash star": ["doc/*.txt"],
    "double star first": ["**/build"],
    "double star last": ["doc/**"],
    "double star inside": ["foo/**/a.py"],
    "double star with more": ["foo**/a.py"],
    "negation": ["*.py", "!a.py"],
    "negation taken back": ["*.py", "!a.py", "doc/a.py"],
    "negation below ignored": ["build/", "!build/a.py"],
    "negation of contents": ["build/*", "!build/a.py"],
    "comment": ["#hash.py", r"\#hash.py"],
    "bang": [r"\!bang.py"],
    "spaces": ["with space.py   "],
    "escaped space": [r"trailing\ .py"],
    "question": ["x?.py"],
    "set": ["x[12].py"],
    "set negated": ["x[!1].py"],
    "set caret": ["x[^1].py"],
    "set range": ["[a-b].py"],
    "set escaped": [r"\[x\].py"],
    "set of class": ["x[[:digit:]].py"],
    "set with dash": ["a[-]b.py"],
    "set unclosed": ["[x.py", "a.py"],
    "non-ASCII": ["ü.py", "é/"],
    "star crosses nothing": ["foo/*.py"],
    "only star": ["*", "!*.py"],
    "only star with folders": ["*", "!*/", "!*.py"],
    "empty and blank": ["", "   ", "a.py"],
    "slash alone": ["/", "//"],
    "escape at end": ["a.py\\", "x.py"],
    "back slash": [r"back\\slash.py"],
    "dot": ["./a.py", "foo.d"],
    "capitals": ["a.py"],
    "folder pattern of a file": ["a.py/"],
    "carriage return": ["*.pyc\r"],
    "many stars": ["***/a.py"],
    "stars at the end of a path": ["doc/su**"],
    "stars at the end of a name": ["do**"],
    "stars in a path": ["foo/b**/a.py"],
    "stars between names": ["doc/**b/a.txt"],
    "name with slash last": ["baz/"],
}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("lines", CASES.values(), ids=CASES)
def test_it_decides_as_git_does(lines: list[str], tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    for path in PATHS:
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
    asked = subprocess.run(
        ["git", "-c", "core.excludesFile=", "check-ignore", "--stdin", "-z"],
        input="\0".join(PATHS),
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    ignored = set(asked.stdout.split("\0")) - {""}
    patterns = Patterns(line.rstrip("\r") if line != "*.pyc\r" else line for line in lines)
    assert {path for path in PATHS if patterns.covers(path)} == ignored


def test_no_patterns_ignore_nothing() -> None:
    assert not Patterns(["# only a comment"])
    assert Patterns([]).decides("a.py", False) is None
