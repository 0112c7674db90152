"""Fixed files keep their encoding and mode; a diff shows what a notebook's reader sees."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from turnlane.checker.source import Unreadable, decode
from turnlane.checker.writing import NotWritten, difference, write


@pytest.mark.parametrize(
    "before",
    [
        b"x = 1\n",
        b"x = 1\r\n",
        b"\xef\xbb\xbfx = '\xc3\xa9'\n",
        b"# coding: latin-1\nx = '\xe9'\n",
        b"\xef\xbb\xbf# coding: utf-8\nx = 1",
    ],
)
def test_encoding_line_ends_and_mode_are_kept(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(before)
    path.chmod(0o751)
    write(str(path), before, decode(before).replace("x = ", "yy = "))
    assert path.read_bytes() == before.replace(b"x = ", b"yy = ")
    assert path.stat().st_mode & 0o777 == 0o751
    assert os.listdir(tmp_path) == ["a.py"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "b.py").write_text("x")
    (tmp_path / "a.py").symlink_to("b.py")
    write(str(tmp_path / "a.py"), b"x", "y")
    assert (tmp_path / "a.py").is_symlink()
    assert (tmp_path / "b.py").read_text() == "y"


def test_a_file_that_changed_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("newer")
    with pytest.raises(NotWritten, match=r"a\.py changed while it was checked; run again"):
        write(str(path), b"older", "fixed")
    assert path.read_text() == "newer"


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotWritten, match=r"a\.py can't be written: no such file or directory"):
        write(str(tmp_path / "a.py"), b"", "x")


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (b"# coding: latin-1\n", "# coding: latin-1\n\u20ac", "its encoding latin-1 lacks a character"),
        (b"# coding: utf-8-sig\n", "x", "its encoding can't be written back as it is"),
    ],
)
def test_a_character_that_the_encoding_lacks(tmp_path: Path, before: bytes, after: str, sentence: str) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(before)
    with pytest.raises(NotWritten, match=sentence):
        write(str(path), before, after)
    assert path.read_bytes() == before


def test_a_diff_of_a_file() -> None:
    assert difference("a.py", "x\n\x0cy\nz", "x\n\x0cw\nz") == (
        "--- a.py\n+++ a.py\n@@ -1,3 +1,3 @@\n x\n-\x0cy\n+\x0cw\n z\n\\ No newline at end of file\n"
    )
    assert difference("a.py", "x", "x") == ""


def test_a_diff_of_a_notebook_names_the_cell() -> None:
    def text(source: str) -> str:
        cells = [{"cell_type": "markdown", "source": "m"}, {"cell_type": "code", "source": source}]
        return json.dumps({"cells": cells})

    assert difference("n.ipynb", text("!ls\nrun()\n"), text("!ls\nawait run()\n")) == (
        "--- n.ipynb:cell 2\n+++ n.ipynb:cell 2\n@@ -1,2 +1,2 @@\n !ls\n-run()\n+await run()\n"
    )


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\xff", "it is not utf-8: byte 0 can't be decoded"),
        (b"# coding: nothing", "it declares the encoding 'nothing', which Python does not know"),
        (b"# coding: undefined", "it is not undefined"),
        (b"# coding: rot13", "it declares the encoding 'rot13', which Python does not know"),
    ],
)
def test_what_is_no_text_is_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(Unreadable) as error:
        decode(data)
    assert str(error.value) == sentence
