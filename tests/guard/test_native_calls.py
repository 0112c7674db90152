"""Functions of Python's own that the guard listens to are for the program what they were."""

from __future__ import annotations

import _io
import builtins
import copy
import inspect
import io
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.guard.conftest import Watched


def test_open_is_one_function_everywhere(watched: Watched) -> None:
    assert builtins.open is io.open is _io.open
    assert "encoding" in inspect.signature(open).parameters


def test_a_class_that_keeps_one_does_not_bind_it(watched: Watched, tmp_path: Path) -> None:
    class Store:
        opener = open

    (tmp_path / "note").write_text("kept")
    with Store().opener(tmp_path / "note") as file:
        assert file.read() == "kept"


def test_what_the_system_can_do_is_known_as_before(watched: Watched, tmp_path: Path) -> None:
    assert os.open in os.supports_dir_fd
    assert {os.open, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd
    (tmp_path / "folder").mkdir()
    shutil.rmtree(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_they_are_copied_and_pickled_as_the_originals(watched: Watched) -> None:
    heard = os.rename
    assert copy.copy(heard) == heard
    assert pickle.loads(pickle.dumps(heard)) == heard


@pytest.mark.parametrize("wrong", [(), ("file", 3), (None,)])
def test_wrong_arguments_are_refused_by_the_function_itself(watched: Watched, wrong: tuple[object, ...]) -> None:
    opened = open
    with pytest.raises(TypeError):
        opened(*wrong)  # type: ignore[call-overload]
    assert watched.of_kind("trouble") == []


def test_nothing_listens_to_audit_events() -> None:
    """A hook would be called for every `id()` of the program."""
    code = (
        "import sys, turnlane.guard; heard = []; add = sys.addaudithook; sys.addaudithook = heard.append;"
        "turnlane.guard.install(); sys.exit(len(heard))"
    )
    assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode == 0
