"""Notebooks as one program, and edits that leave the rest of the file alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlane.checker import notebook
from turnlane.checker.python.facts import Cell
from turnlane.checker.source import Unreadable


def code(source: Any, **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": source, **more}


def document(*cells: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def test_code_cells_are_joined_and_numbered_among_all_cells() -> None:
    text = json.dumps(
        document(
            {"cell_type": "markdown", "metadata": {}, "source": ["# Title"]},
            code(["import asyncio\n", "x = 1"]),
            code("!pip install y\n"),
            code([]),
            code("z\r\ny"),
        )
    )
    read = notebook.read(text)
    assert read.program == "import asyncio\nx = 1\n0             \n\nz\r\ny\n"
    assert read.cells == (Cell(2, 1, 2), Cell(3, 3, 1), Cell(4, 4, 1), Cell(5, 5, 2))
    assert read.source(read.cells[1]) == "!pip install y\n"


@pytest.mark.parametrize(("line", "cell", "inside"), [(1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 3, 1), (6, 3, 3)])
def test_a_line_of_the_program_is_one_of_a_cell(line: int, cell: int, inside: int) -> None:
    found, number = notebook.read(json.dumps(document(code("a\nb"), code("c"), code("d\ne\nf")))).cell_at(line)
    assert (found.number, number) == (cell, inside)


def test_a_line_of_the_program_is_one_of_the_file() -> None:
    text = json.dumps(
        document(code(["a\n", "b\n", "c"]), code("d\ne"), code(["f\ng\n", "h", "i\n", "j"]), code([])), indent=1
    )
    read = notebook.read(text)
    lines = text.split("\n")
    found = [lines[number - 1].strip() for number in read.file_lines()]
    assert found == [
        '"a\\n",',
        '"b\\n",',
        '"c"',
        '"source": "d\\ne"',
        '"source": "d\\ne"',
        '"f\\ng\\n",',
        '"f\\ng\\n",',
        '"h",',
        '"j"',
        '"source": []',
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it is empty"),
        ("{", "it is not JSON, line 1: expecting property name enclosed in double quotes"),
        ('{"cells": [\n"', "it is not JSON, line 2: unterminated string starting at"),
        ("[]", 'it is JSON, but no notebook: it has no list of "cells"'),
        ('{"cells": {}}', 'it is JSON, but no notebook: it has no list of "cells"'),
        ("[" * 100_000, "it is nested too deeply for a notebook"),
    ],
)
def test_a_broken_notebook_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(Unreadable) as error:
        notebook.read(text)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({"kernelspec": {"name": "ir", "language": "R"}}, "R"),
        ({"kernelspec": {"name": "ir"}}, "ir"),
        ({"language_info": {"name": "julia"}}, "julia"),
        ({"kernelspec": {"name": ".net-csharp", "language": "C#"}}, "C#"),
        ({"kernelspec": {"name": "deno"}}, "deno"),
    ],
)
def test_a_notebook_in_another_language_is_said_to_be(metadata: dict[str, Any], language: str) -> None:
    with pytest.raises(Unreadable, match=f"notebook in {language},"):
        notebook.read(json.dumps(document(code("x <- 1"), **metadata)))


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"kernelspec": {"name": "python3"}},
        {"kernelspec": {"name": "iris", "display_name": "iris (Python 3)"}},
        {"kernelspec": {"language": "python"}, "language_info": {"name": "ipython"}},
        {"kernelspec": None, "language_info": []},
    ],
)
def test_python_is_what_a_notebook_is_taken_for(metadata: dict[str, Any]) -> None:
    assert notebook.read(json.dumps(document(code("x"), **metadata))).program == "x\n"


def test_a_cell_in_another_language_is_blank() -> None:
    text = json.dumps(document(code("ls -l", metadata={"vscode": {"languageId": "shellscript"}}), code("x")))
    assert notebook.read(text).program == "0    \nx\n"


def test_nbformat_3() -> None:
    cell = {"cell_type": "code", "language": "python", "input": ["x = 1\n", "y"], "outputs": []}
    text = json.dumps({"metadata": {}, "nbformat": 3, "worksheets": [{"cells": [{"cell_type": "heading"}, cell]}]})
    assert notebook.read(text).program == "x = 1\ny\n"
    assert notebook.with_edits(text, {2: "x = 2\ny"}) == text.replace("x = 1", "x = 2")


@pytest.mark.parametrize("cell", [None, 1, [], {}, {"cell_type": "code"}, code(None), code([1]), code({"a": 1})])
def test_odd_cells_are_left_out(cell: Any) -> None:
    text = json.dumps({"cells": [cell, code("x")]})
    read = notebook.read(text)
    assert [c.number for c in read.cells] == [2]
    assert notebook.with_edits(text, {2: "y"}) == text.replace('"x"', '"y"')


def test_a_lone_surrogate_can_be_encoded_and_is_kept() -> None:
    text = '{"cells": [{"cell_type": "code", "source": ["a\\n", "b = \'\\ud83d\'"]}]}'
    assert notebook.read(text).program.encode().decode() == "a\nb = '\ufffd'\n"
    assert notebook.with_edits(text, {1: notebook.read(text).sources[0]}) == text
    assert notebook.with_edits(text, {1: "x\nb = '\ud83d'"}) == text.replace("a\\n", "x\\n")
    assert notebook.with_edits(text, {1: "\ud83d = 1"}).encode()


@pytest.mark.parametrize("indent", [None, 1, 2, "\t"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_only_the_changed_source_changes(indent: int | str | None, ascii_only: bool) -> None:
    before = document(
        code(["# é\n", "x = 1"], outputs=[{"text": ["\u2028 é 1e400"], "data": 1.10}]),
        code("é\ny"),
        zeta=1,
        alpha="é",
    )
    text = json.dumps(before, indent=indent, ensure_ascii=ascii_only)
    before["cells"][0]["source"] = ["# é\n", "x = 'ü'\n", "z"]
    expected = json.dumps(before, indent=indent, ensure_ascii=ascii_only)
    assert notebook.with_edits(text, {1: "# é\nx = 'ü'\nz"}) == expected
    before["cells"][1]["source"] = "ö\ny\n"
    expected = json.dumps(before, indent=indent, ensure_ascii=ascii_only)
    assert notebook.with_edits(text, {1: "# é\nx = 'ü'\nz", 2: "ö\ny\n"}) == expected


@pytest.mark.parametrize(
    ("raw", "new", "expected"),
    [
        ('["a"]', "a\nb", '["a\\n", "b"]'),
        ('[\n  "a"\n ]', "a\nb", '[\n  "a\\n",\n  "b"\n ]'),
        ('["a\\n" ,  "b"]', "a\nc\nb", '["a\\n" ,  "c\\n" ,  "b"]'),
        ('["\\u0061"]', "a", '["\\u0061"]'),
        ('["\\u0061\\n", "b"]', "a\nc", '["\\u0061\\n", "c"]'),
        ('["a\\n", "b"]', "", "[]"),
        ("[]", "a\nb", '["a\\n", "b"]'),
        ('"a\\/b"', "a/c", '"a/c"'),
        ('""', "x", '"x"'),
    ],
)
def test_the_form_of_the_source_is_kept(raw: str, new: str, expected: str) -> None:
    text = f'{{"cells" : [ {{"source":{raw}, "cell_type":"code"}} ]}}\n\n'
    assert notebook.with_edits(text, {1: new}) == text.replace(raw, expected)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_CELLS = st.builds(code, st.text() | st.lists(st.text(max_size=9), max_size=4), outputs=_JSON, metadata=_JSON)


@given(
    st.lists(_CELLS, max_size=4),
    st.sampled_from([None, 0, 1, 4]),
    st.booleans(),
    st.sampled_from([None, (",", ":")]),
    st.sampled_from(["", "\n", "\r\n "]),
)
def test_the_same_sources_give_the_same_bytes(
    cells: list[dict[str, Any]], indent: int | None, ascii_only: bool, separators: Any, end: str
) -> None:
    text = json.dumps(document(*cells), indent=indent, ensure_ascii=ascii_only, separators=separators) + end
    read = notebook.read(text)
    assert (
        notebook.with_edits(text, dict(zip([cell.number for cell in read.cells], read.sources, strict=True)))
        == text
    )
    assert len(read.file_lines()) == sum(cell.lines for cell in read.cells)
    changed = notebook.with_edits(text, {cell.number: f"{cell.number}\n\nü" for cell in read.cells})
    assert list(notebook.read(changed).sources) == [f"{cell.number}\n\nü" for cell in read.cells]
