"""Which files are checked."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from turnlane.checker.discovery import ABSENT, discover, only, shown, stamp
from turnlane.checker.refusal import CannotRun
from turnlane.checker.settings import Settings

Files = Callable[[Mapping[str, str]], None]


def found(folder: Path, *paths: str, settings: Settings = Settings(), force_exclude: bool = False) -> list[str]:  # noqa: B008
    listed = discover(paths or ["."], settings, start=str(folder), force_exclude=force_exclude)
    return list(listed.files)


def test_what_a_language_reads(here: Path, files: Files) -> None:
    files(dict.fromkeys(["b.py", "a.ipynb", "web/app.ts", "web/x.tsx", "README.md", "data.csv", "img.png"], ""))
    assert found(here) == ["a.ipynb", "b.py", "web/app.ts", "web/x.tsx"]


@pytest.mark.parametrize(
    "folder", [".git", "node_modules", ".venv", "venv", "__pycache__", "dist", "build", "site-packages", ".tox"]
)
def test_what_nobody_wrote_is_left_out_unless_named(folder: str, here: Path, files: Files) -> None:
    files({f"{folder}/x.py": "", "src/y.py": ""})
    assert found(here) == ["src/y.py"]
    assert found(here, folder) == [f"{folder}/x.py"]


def test_an_environment_is_known_by_its_configuration(here: Path, files: Files) -> None:
    files({"my-env/pyvenv.cfg": "", "my-env/lib/x.py": "", "y.py": ""})
    assert found(here) == ["y.py"]
    assert found(here, "my-env") == ["my-env/lib/x.py"]


def test_nested_gitignore(here: Path, files: Files) -> None:
    files({".gitignore": "*.gen.py\n/top.py\n", "sub/.gitignore": "!keep.gen.py\nlocal.py\n"})
    files(dict.fromkeys(["a.gen.py", "top.py", "sub/keep.gen.py", "sub/local.py", "sub/top.py", "local.py"], ""))
    assert found(here) == ["local.py", "sub/keep.gen.py", "sub/top.py"]
    assert "a.gen.py" in found(here, settings=Settings(respect_gitignore=False))


def test_a_named_file_is_taken_whatever_excludes_it(here: Path, files: Files) -> None:
    files({".gitignore": "x.py\n", "x.py": "", "build/y.py": ""})
    assert found(here, "x.py", "build/y.py") == ["build/y.py", "x.py"]
    assert found(here, "x.py", "build/y.py", force_exclude=True) == ["x.py"]


def test_gitignore_above_counts_inside_of_a_checkout(here: Path, files: Files) -> None:
    files({".git/info/exclude": "secret.py\n", ".gitignore": "/sub/gone.py\n"})
    files(dict.fromkeys(["sub/gone.py", "sub/secret.py", "sub/x.py"], ""))
    assert found(here, "sub") == ["sub/x.py"]
    shutil.rmtree(here / ".git")
    assert found(here, "sub") == ["sub/gone.py", "sub/secret.py", "sub/x.py"]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_worktree_has_the_exclusions_of_its_repository(here: Path, files: Files) -> None:
    git = ["git", "-C", str(here), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "init", "-q", str(here)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run([*git, "worktree", "add", "-q", str(here / "tree")], check=True, capture_output=True)
    files({".git/info/exclude": "secret.py\n", "tree/secret.py": "", "tree/x.py": ""})
    assert found(here, "tree") == ["tree/x.py"]


@pytest.mark.parametrize("pattern", ["legacy", "legacy/", "/legacy", "leg*", "**/old.py", "legacy/old.py"])
def test_exclude_has_patterns_as_gitignore(pattern: str, here: Path, files: Files) -> None:
    files({"legacy/old.py": "", "new.py": "", "build/x.py": ""})
    assert found(here, settings=Settings(extend_exclude=(pattern,))) == ["new.py"]
    assert found(here, settings=Settings(exclude=(pattern,))) == ["build/x.py", "new.py"]


def test_patterns_are_relative_to_the_folder_of_the_settings(here: Path, files: Files) -> None:
    files({"sub/legacy/old.py": "", "sub/new.py": ""})
    settings = Settings(extend_exclude=("/sub/legacy",), root=str(here))
    assert list(discover(["."], settings, start=str(here / "sub")).files) == ["new.py"]
    elsewhere = Settings(extend_exclude=("legacy",), root=str(here / "nowhere"))
    assert list(discover(["."], elsewhere, start=str(here / "sub")).files) == ["new.py"]


def test_links_make_no_loop_and_no_double(here: Path, files: Files) -> None:
    files({"a/x.py": "", "other/y.py": ""})
    (here / "a/up").symlink_to(here)
    (here / "a/again.py").symlink_to(here / "a/x.py")
    (here / "a/far.py").symlink_to(here / "other/y.py")
    (here / "a/gone.py").symlink_to(here / "nowhere.py")
    assert found(here) == ["a/x.py", "other/y.py"]
    assert found(here, "a") == ["a/far.py", "a/x.py"]


def test_what_does_not_exist_ends_the_run(here: Path) -> None:
    with pytest.raises(CannotRun, match=r"nope\.py does not exist"):
        found(here, "nope.py")


def test_a_file_of_no_language_is_noted(here: Path, files: Files) -> None:
    files({"x.csv": ""})
    listed = discover(["x.csv"], Settings(), start=str(here))
    assert listed.files == {}
    assert [note.path for note in listed.notes] == ["x.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_can_not_be_read_is_noted(here: Path, files: Files) -> None:
    files({"shut/x.py": "", "y.py": ""})
    (here / "shut").chmod(0)
    try:
        listed = discover(["."], Settings(), start=str(here))
    finally:
        (here / "shut").chmod(0o755)
    assert list(listed.files) == ["y.py"]
    assert [note.path for note in listed.notes] == ["shut"]


def test_names_that_are_not_text(here: Path) -> None:
    name = os.fsencode(str(here)) + b"/caf\xe9.py"
    try:
        with open(name, "wb"):
            pass
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert [os.fsencode(path) for path in found(here)] == [b"caf\xe9.py"]


def test_files_elsewhere_are_called_by_their_whole_path(here: Path) -> None:
    assert shown("a/../b.py", str(here)) == "b.py"
    assert shown("../b.py", str(here)) == f"{here.parent}/b.py"
    assert shown("/b.py", "/") == "b.py"


def test_files_and_folders_are_stamped(here: Path, files: Files) -> None:
    files({"a/x.py": "1", "pyproject.toml": ""})
    stamps = discover(["."], Settings(), start=str(here)).stamps
    assert {".", "a", "a/x.py", "pyproject.toml"} <= stamps.keys()
    assert stamps["a/x.py"] == stamp("a/x.py") != ABSENT
    assert stamp("gone.py") == ABSENT


def test_standard_input_has_a_name(here: Path) -> None:
    assert only("src/app.py", start=str(here)).files == {"src/app.py": ("python",)}
    with pytest.raises(CannotRun, match=r"x\.csv: this kind of file is not checked"):
        only("x.csv", start=str(here))


def test_only_files_that_no_folder_covers_stand_alone(here: Path, files: Files) -> None:
    files({"a/x.py": "", "y.py": ""})
    listed = discover(["a", "a/x.py", "y.py"], Settings(), start=str(here))
    assert listed.alone == {"y.py"}
