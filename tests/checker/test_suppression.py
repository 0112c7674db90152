"""Comments that silence findings, and comments that do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from turnlane.checker import fixing, suppression
from turnlane.checker.finding import Finding, Place
from turnlane.checker.settings import Settings
from turnlane.checker.texts import Texts


def finding(line: int, code: str = "TL201", end_line: int = 0, path: str = "x.py") -> Finding:
    return Finding(code, Place(path, line, 0, end_line or line, 1), "it is wrong", "error")


def kept(
    text: str,
    *found: Finding,
    path: str = "x.py",
    settings: Settings = Settings(),  # noqa: B008
    alone: bool = False,
) -> list[Finding]:
    return suppression.apply(found, {path}, Texts({path: text.encode()}), settings, {path} if alone else set())


def told(text: str, *found: Finding, **details: object) -> list[str]:
    return [f"{one.code}:{one.place.line}" for one in kept(text, *found, **details)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("f()  # turnlane: ignore[TL201] because\n", 1),
        ("f()  # turnlane: ignore[TL2]\n", 1),
        ("f()  # turnlane: ignore[tl201]\n", 1),
        ("f()  #turnlane:ignore[ TL101 , TL201 ]\n", 1),
        ("f()  # noqa: TL201\n", 1),
        ("f()  # NOQA:E501,TL201\n", 1),
        ("f()  # noqa: E501 TL201\n", 1),
        ("f()  # noqa\n", 1),
        ("f()  # type: ignore # turnlane: ignore[TL201]\n", 1),
        ("f()  # turnlane: ignore[TL201]  # type: ignore\n", 1),
        ("x = f(\n  1,\n)  # turnlane: ignore[TL201]\n", 1),
        ("x = f(  # turnlane: ignore[TL201]\n  1,\n)\n", 2),
        ("x = f(\n  1,  # turnlane: ignore[TL201]\n)\n", 2),
        ("x = f(\n  1,\n)  # noqa: TL201\n", 2),
        ("# turnlane: ignore[TL201]\nf()\n", 2),
        ("# turnlane: ignore[TL201] because\n\nf(\n)\n", 4),
        ("f()\n\n\n# turnlane: ignore-file[TL201]\n", 1),
        ('"""Docs."""\n# turnlane: ignore-file[TL2]\nf()\n', 3),
    ],
)
def test_it_is_silent(text: str, line: int) -> None:
    assert "TL201" not in " ".join(told(text, finding(line)))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("f('# turnlane: ignore[TL201]')\n", 1),
        ('"""\n# turnlane: ignore-file[TL201]\n"""\nf()\n', 4),
        ("f()  # turnlane: ignore[TL101]\n", 1),
        ("f()  # turnlane: ignore\n", 1),
        ("f()  # turnlane: ignore[]\n", 1),
        ("f()  # see turnlane: ignore[TL201]\n", 1),
        ("f()  # noqa: E501\n", 1),
        ("f()  # noqa: TL2011\n", 1),
        ("# noqa: TL201\nf()\n", 2),
        ("f()\ng()  # turnlane: ignore[TL201]\n", 1),
        ("x = (\n  # turnlane: ignore[TL201]\n  1,\n  2)\n", 4),
        ("if x:  # turnlane: ignore[TL201]\n    f()\n", 2),
    ],
)
def test_it_is_not_silent(text: str, line: int) -> None:
    assert f"TL201:{line}" in told(text, finding(line))


def test_each_language_in_its_own_comments() -> None:
    for path, text in {
        "x.ts": "f(); // turnlane: ignore[TL201] why\n",
        "x.tsx": "{/* turnlane: ignore[TL201] */}{f()}\n",
        "x.js": "// turnlane: ignore[TL201]\nf();\n",
        "requirements.txt": "pyautogen  # turnlane: ignore[TL201]\n",
        "Dockerfile": "# turnlane: ignore[TL201]\nCMD x\n",
        "a.yml": "a: 1 # turnlane: ignore[TL201]\n",
    }.items():
        line = 2 if text.startswith(("// ", "# ")) else 1
        assert told(text, finding(line, path=path), path=path) == [], path
        assert told(text.replace("TL201", "TL1"), finding(line, path=path), path=path)[-1].startswith("TL001")


def test_a_notebook_is_one_program(notebook: Callable[..., str]) -> None:
    text = notebook("%matplotlib inline\nx = 1", "f()  # turnlane: ignore[TL201]\n!ls # turnlane: ignore[TL2]")
    assert told(text, finding(3, path="x.ipynb"), path="x.ipynb") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f()  # turnlane: ignore[TL101]\n", "`TL101` silences nothing: nothing here has this code"),
        ("f()  # turnlane: ignore[TL999]\n", "`TL999` silences nothing: there is no such code"),
        ("f()  # turnlane: ignore\n", "`turnlane: ignore` names no code, so it silences nothing"),
        ("# turnlane: ignore-file\n", "`turnlane: ignore-file` names no code, so it silences nothing"),
        ("# turnlane: ignore-file[TL3]\n", "`TL3` silences nothing: nothing here has this code"),
    ],
)
def test_one_for_nothing_is_a_finding(text: str, message: str) -> None:
    (one,) = kept(text)
    assert (one.code, one.message, one.severity) == ("TL001", message, "warning")
    place = one.place
    assert text.splitlines()[place.line - 1][place.column : place.end_column].strip("# ") in (
        "TL101",
        "TL999",
        "TL3",
        "turnlane: ignore",
        "turnlane: ignore-file",
    )


@pytest.mark.parametrize(
    "settings", [Settings(ignore=("TL1",)), Settings(select=("TL2",)), Settings(ignore=("TL001",))]
)
def test_one_for_what_is_not_looked_for_is_none(settings: Settings) -> None:
    assert kept("f()  # turnlane: ignore[TL101]\n", settings=settings) == []


def test_one_in_a_file_without_its_project_is_none() -> None:
    assert kept("f()  # turnlane: ignore[TL101]\n", alone=True) == []
    assert told("f()  # turnlane: ignore[TL999]\n", alone=True) == ["TL001:1"]


def test_used_codes_stay_and_unused_are_told() -> None:
    (one,) = kept("f()  # turnlane: ignore[TL101, TL201]\n", finding(1))
    assert "`TL101`" in one.message


@pytest.mark.parametrize(
    ("path", "text", "fixed"),
    [
        ("x.py", "f()  # turnlane: ignore[TL101] why\n", "f()\n"),
        ("x.py", "f()  # turnlane: ignore[TL101, TL102]\n", "f()\n"),
        ("x.py", "f()  # turnlane: ignore[TL101, TL201] why\n", "f()  # turnlane: ignore[TL201] why\n"),
        ("x.py", "f()  # turnlane: ignore[TL101]  # type: ignore\n", "f()  # type: ignore\n"),
        ("x.py", "f()  # type: ignore  # turnlane: ignore[TL101] why\n", "f()  # type: ignore\n"),
        ("x.py", "a = 1\n# turnlane: ignore[TL101]\nf()\n", "a = 1\nf()\n"),
        ("x.py", "def g():\n    # turnlane: ignore[TL101]\n    f()\n", "def g():\n    f()\n"),
        ("x.py", "f()\n# turnlane: ignore-file[TL101]", "f()\n"),
        ("x.py", "é = 'ü'  # turnlane: ignore[TL101] ß\n", "é = 'ü'\n"),
        ("x.ts", "f(); // turnlane: ignore[TL101] why\n", "f();\n"),
        ("x.tsx", "const a = <p>{/* turnlane: ignore[TL101] */}</p>\n", "const a = <p>{}</p>\n"),
        ("requirements.txt", "a==1  # turnlane: ignore[TL101]\n", "a==1\n"),
    ],
)
def test_the_fix_removes_what_is_unused_and_nothing_else(path: str, text: str, fixed: str) -> None:
    found = kept(text, finding(1, path=path) if "TL201" in text else finding(99, path="y.py"), path=path)
    wrong = [one for one in found if one.code == "TL001"]
    assert wrong
    done = fixing.apply({path: text}, wrong, unsafe=False)
    assert done.texts == {path: fixed}
    assert [one for one in kept(fixed, finding(1, path=path), path=path) if one.code == "TL001"] == []
