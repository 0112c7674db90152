"""Which modules are patched when the program imports them."""

from __future__ import annotations

import importlib
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from turnlane.guard.imports import when_imported

from .conftest import Watched


def test_one_loader_of_many_modules_patches_those_that_are_waited_for(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        for name in ("zipped_first", "zipped_second", "zipped_third"):
            archive.writestr(f"{name}.py", "")
            monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path / "app.zip")
    patched: list[ModuleType] = []
    for name in ("zipped_first", "zipped_third"):
        when_imported(name, patched.append)
    for name in ("zipped_first", "zipped_second", "zipped_third"):
        importlib.import_module(name)
    assert [module.__name__ for module in patched] == ["zipped_first", "zipped_third"]
