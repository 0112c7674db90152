"""`[tool.turnlane]` and the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from turnlane.checker.configuration import DOCUMENTED, DOCUMENTED_TYPESCRIPT, configure, ignored_in_file
from turnlane.checker.options import parse
from turnlane.checker.refusal import CannotRun
from turnlane.checker.settings import Settings

Files = Callable[[Mapping[str, str]], None]


def settings(here: Path, *arguments: str) -> Settings:
    return configure(parse(arguments), str(here)).settings


def reported(chosen: Settings, *codes: str) -> list[str]:
    return [code for code in codes if chosen.reports(code)]


def test_nothing_chosen_is_everything(here: Path) -> None:
    assert reported(settings(here), "TL101", "TL001") == ["TL101", "TL001"]


@pytest.mark.parametrize(
    ("table", "arguments", "expected"),
    [
        ('select = ["TL1"]', (), ["TL101", "TL113"]),
        ('select = ["TL1"]\nignore = ["TL113"]', (), ["TL101"]),
        ('ignore = ["TL1"]\nextend-select = ["TL113"]', (), ["TL113", "TL201"]),
        ('select = ["TL1"]\nextend-select = ["TL201"]\nextend-ignore = ["TL101"]', (), ["TL113", "TL201"]),
        ('select = ["TL2"]', ("--select", "TL1"), ["TL101", "TL113"]),
        ('ignore = ["TL101"]', ("--select", "TL1"), ["TL101", "TL113"]),
        ('ignore = ["TL1"]', ("--extend-select", "TL101"), ["TL101", "TL201"]),
        ('ignore = ["TL101"]', ("--extend-select", "TL1"), ["TL101", "TL113", "TL201"]),
        ('select = ["TL101", "TL201"]', ("--ignore", "TL1"), ["TL201"]),
        ("", ("--select", "tl1,TL201", "--ignore", "TL101"), ["TL113", "TL201"]),
        ("", ("--select", "TL", "--extend-ignore", "TL2"), ["TL101", "TL113"]),
        ("", ("--select", "TL101,TL2", "--ignore", "TL1"), ["TL101", "TL201"]),
    ],
)
def test_the_longest_prefix_and_the_last_word_win(
    table: str, arguments: tuple[str, ...], expected: list[str], here: Path, files: Files
) -> None:
    files({"pyproject.toml": f"[tool.turnlane]\n{table}\n"})
    assert reported(settings(here, *arguments), "TL101", "TL113", "TL201") == expected


def test_the_closest_file_with_a_table_counts(here: Path, files: Files) -> None:
    files({"pyproject.toml": '[tool.turnlane]\nselect = ["TL1"]\n', "sub/pyproject.toml": "[project]\n"})
    files({"own/pyproject.toml": '[tool.turnlane]\nselect = ["TL2"]\n', "sub/x.py": "", "own/x.py": ""})
    assert settings(here, "sub").select == ("TL1",)
    assert settings(here, "sub/x.py").select == ("TL1",)
    assert settings(here, "own").select == ("TL2",)
    assert settings(here, "own", "sub").select == ("TL1",)
    assert settings(here, "own").root == str(here / "own")
    assert settings(here, "--config", "own/pyproject.toml").root == str(here)
    assert settings(here, "--isolated").select == ("TL",)
    assert settings(here, "--config", "own/pyproject.toml").select == ("TL2",)
    assert settings(here, "-", "--stdin-filename", "own/new.py").select == ("TL2",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tool.turnlane]\nselct = []", r"has no key selct: did you mean select\?"),
        ("[tool.turnlane]\nzzz = 1", "has no key zzz: it may have select, "),
        ('[tool.turnlane]\nselect = "TL1"', "tool.turnlane.select must be a list of texts, not 'TL1'"),
        ("[tool.turnlane]\nselect = [1]", "must be a list of texts"),
        ('[tool.turnlane]\nselect = ["E501"]', r"tool.turnlane.select: no code begins with 'E501'"),
        ('[tool.turnlane]\nseverity = "high"', "must be one of error, warning, information, not 'high'"),
        ('[tool.turnlane]\noutput-format = "xml"', "must be one of full, concise"),
        ('[tool.turnlane]\nrespect-gitignore = "yes"', "must be true or false"),
        ("[tool.turnlane]\nbaseline = 3", "must be a text"),
        ('[tool.turnlane]\nper-file-ignores = ["x"]', "must be a table of patterns"),
        ('[tool.turnlane.per-file-ignores]\n"x.py" = "TL1"', "per-file-ignores.x.py must be a list"),
        ('[tool.turnlane.per-file-ignores]\n"x.py" = ["TL9"]', "no code begins with 'TL9'"),
        ("[tool.turnlane]\ntypescript = 1", "tool.turnlane.typescript must be a table"),
        ("[tool.turnlane.typescript]\nagents = []", "tool.turnlane.typescript has no key agents"),
        ("[tool]\nturnlane = 1", "tool.turnlane must be a table"),
        ("[tool.turnlane]\nselect = [", r"pyproject.toml is not TOML"),
    ],
)
def test_a_mistake_names_file_and_key(text: str, says: str, here: Path, files: Files) -> None:
    files({"pyproject.toml": text})
    with pytest.raises(CannotRun, match=says) as refusal:
        settings(here)
    assert str(here / "pyproject.toml") in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_broken_file_of_others_is_not_our_business(here: Path, files: Files) -> None:
    files({"pyproject.toml": "[project\nname = 'turnlane-user'\n"})
    assert settings(here).select == ("TL",)


def test_every_key_is_read(here: Path, files: Files) -> None:
    files(
        {
            "pyproject.toml": """
            [tool.turnlane]
            select = ["TL1"]
            extend-select = ["TL2"]
            ignore = ["TL101"]
            extend-ignore = ["TL102"]
            severity = "warning"
            exclude = ["a"]
            extend-exclude = ["b"]
            respect-gitignore = false
            output-format = "json"
            baseline = "known.json"
            [tool.turnlane.per-file-ignores]
            "tests/**" = ["TL113"]
            [tool.turnlane.typescript]
            agent-classes = ["Robot"]
            agent-packages = ["robots"]
            """
        }
    )
    import tomllib

    table = tomllib.loads((here / "pyproject.toml").read_text())["tool"]["turnlane"]
    assert {*table} == {*DOCUMENTED, "typescript"}
    assert {*table["typescript"]} == {*DOCUMENTED_TYPESCRIPT}
    assert settings(here)._replace(ruff=None) == Settings(
        root=str(here),
        select=("TL1", "TL2"),
        asked_for=("TL1", "TL2"),
        ignore=("TL101", "TL102"),
        severity="warning",
        exclude=("a",),
        extend_exclude=("b",),
        respect_gitignore=False,
        output_format="json",
        baseline=str(here / "known.json"),
        per_file_ignores=(("tests/**", ("TL113",)),),
        agent_classes=("Robot",),
        agent_packages=("robots",),
    )


def test_options_win_over_the_file(here: Path, files: Files) -> None:
    files({"pyproject.toml": '[tool.turnlane]\nseverity = "error"\nextend-exclude = ["a"]\nexclude = ["x"]\n'})
    chosen = settings(
        here, "--severity", "warning", "--extend-exclude", "b,c", "--exclude", "y", "--baseline", "z"
    )
    assert (chosen.severity, chosen.extend_exclude, chosen.exclude) == ("warning", ("a", "b", "c"), ("y",))
    assert chosen.baseline == "z"


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        ("tests/**", "tests/a/b.py", True),
        ("tests/*", "tests/a/b.py", True),
        ("tests", "tests/b.py", True),
        ("__init__.py", "src/__init__.py", True),
        ("*.ipynb", "a/b.ipynb", True),
        ("src/*.py", "src/a/b.py", False),
        ("/a.py", "b/a.py", False),
        ("!src/**", "tests/a.py", True),
        ("!src/**", "src/a.py", False),
    ],
)
def test_per_file_ignores(pattern: str, path: str, ignored: bool, here: Path) -> None:
    chosen = settings(here, "--per-file-ignores", f"{pattern}:TL1,TL201")
    assert ignored_in_file("TL113", path, chosen) is ignored
    assert ignored_in_file("TL201", path, chosen) is ignored
    assert ignored_in_file("TL202", path, chosen) is False


def test_per_file_ignores_are_relative_to_the_folder_of_the_file(
    here: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    files({"pyproject.toml": '[tool.turnlane.per-file-ignores]\n"app/*.py" = ["TL1"]\n', "app/x.py": ""})
    monkeypatch.chdir(here / "app")
    chosen = settings(here / "app")
    assert ignored_in_file("TL113", "x.py", chosen)
    assert not ignored_in_file("TL113", str(here / "x.py"), chosen)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--select", "E501"], "--select: no code begins with 'E501'"),
        (["--select", ""], "--select names no code"),
        (["--ignore", "TL210"], r"did you mean TL2"),
        (["--per-file-ignores", "x.py"], "write it as PATTERN:CODES"),
        (["--config", "gone.toml"], "can't be read: no such file"),
        (["--severity", "high"], "invalid choice: 'high'"),
        (["--selct", "TL"], "did you mean --select?"),
        (["--jobs", "0"], "give 1 or more"),
    ],
)
def test_a_wrong_option_is_one_sentence(arguments: list[str], says: str, here: Path) -> None:
    with pytest.raises(CannotRun, match=says.replace("?", r"\?")) as refusal:
        settings(here, *arguments)
    assert "\n" not in str(refusal.value)


def test_config_without_a_table_is_a_mistake(here: Path, files: Files) -> None:
    files({"other.toml": "[project]\n"})
    with pytest.raises(CannotRun, match=r"other\.toml has no table \[tool\.turnlane\]"):
        settings(here, "--config", "other.toml")


RUFF = {
    "not configured": ({}, "x.py", False),
    "default": ({"ruff.toml": ""}, "x.py", False),
    "selected": ({"ruff.toml": 'lint.select = ["RUF"]'}, "x.py", True),
    "selected at the top": ({"ruff.toml": 'select = ["RUF006"]'}, "x.py", True),
    "all": ({"ruff.toml": 'lint.select = ["ALL"]'}, "x.py", True),
    "all but": ({"ruff.toml": 'lint.select = ["ALL"]\nlint.ignore = ["RUF006"]'}, "x.py", False),
    "more specific": ({"ruff.toml": 'lint.select = ["RUF006"]\nlint.ignore = ["RUF"]'}, "x.py", True),
    "extended": ({"pyproject.toml": '[tool.ruff.lint]\nextend-select = ["RUF"]'}, "x.py", True),
    "no table": ({"pyproject.toml": "[project]\nname='ruff-user'"}, "x.py", False),
    "closest": ({"ruff.toml": 'lint.select = ["RUF"]', "sub/ruff.toml": 'lint.select = ["E"]'}, "sub/x.py", False),
    "above": ({".ruff.toml": 'lint.select = ["RUF"]'}, "a/b/x.py", True),
    "by extend": (
        {"ruff.toml": 'lint.select = ["RUF"]', "sub/ruff.toml": 'extend = "../ruff.toml"'},
        "sub/x.py",
        True,
    ),
    "extend itself": ({"ruff.toml": 'extend = "ruff.toml"'}, "x.py", False),
    "broken": ({"ruff.toml": "["}, "x.py", False),
}


@pytest.mark.parametrize(("texts", "path", "expected"), RUFF.values(), ids=RUFF)
def test_what_ruff_reports(texts: dict[str, str], path: str, expected: bool, here: Path, files: Files) -> None:
    files(texts)
    assert settings(here).ruff_reports("RUF006", "TL501", path) is expected
    assert settings(here, "--select", "TL501").ruff_reports("RUF006", "TL501", path) is False
    assert settings(here, "--select", "TL5").ruff_reports("RUF006", "TL501", path) is expected
    assert settings(here, "--isolated").ruff_reports("RUF006", "TL501", path) is False
