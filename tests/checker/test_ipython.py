"""Magics become Python of the same length, and only magics."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlane.checker.ipython import PARSE, as_python, blank

MAGICS = [
    ("%matplotlib inline", "0                 "),
    ("!pip install x", "0             "),
    ("!!ls", "0   "),
    ("    !ls", "    0  "),
    ("x = !ls", "x = 0  "),
    ("a, b = !ls ü", "a, b = 0    "),
    ("x = %time f()", "x =       f()"),
    ("%time f()", "0    ;f()"),
    ("%time x = await f()", "0    ;x = await f()"),
    ("%timeit -n 10 f()", "0            ;f()"),
    ("%timeit -q f()", "0         ;f()"),
    ("%time for i in y: f()", "0" + " " * 20),
    ("%%time\nf()", "0     \nf()"),
    ("\n\n%%capture out\n%%time\nf()", "\n\n0            \n0     \nf()"),
    ("%%bash\necho $(ls)\n", "0     \n          \n"),
    ("%%html\r\n<b>\r\n", "0     \r\n   \r\n"),
    ("%%javascript\nlet x;", "0           \n      "),
    ("%%writefile app.py\nimport os", "0                 \n         "),
    ("%%timeout 3\nx", "0          \n "),
    ("?obj", "0   "),
    ("obj?", "0   "),
    ("obj.name??", "0         "),
    ("%autoawait", "0         "),
    ("%autoawait trio\nx = 1", "0              \nx = 1"),
    ("!pip install \\\n  x \\\n  y\nz = 1", "0             \n     \n   \nz = 1"),
    ("x = !ls \\\n  -la\ny", "x = 0    \n     \ny"),
    ("pip install x", "0            "),
    ("cd ..", "0    "),
    ("/f 1", "0   "),
    ("if x:\n    %time f()\n    g()", "if x:\n    0    ;f()\n    g()"),
    ("f(\n  a)\n!ls", "f(\n  a)\n0  "),
]

PYTHON = [
    "x = '''\n!ls\n%time\n'''",
    'x = """\n%%bash\nobj?\n"""',
    "y = (a\n     % b)",
    "y = [\n!x\n]",
    "y = a \\\n  % b",
    "# what is this?",
    "x = 1  # is it?",
    "print('really?')",
    "x == y != z",
    "a = b if c != d else e",
    "f(x='=!')",
    "ls = [1]\nls",
    "cd = 1\ncd = 2",
    "rm (x)",
    "run = agent.run\nrun.x",
    "env",
    "x = f'{a!r}'",
    "s = 'it\\'s'\nt = \"\\\"?\"",
    "x = r'\\'",
    "f(a=\n%b)",
]


@pytest.mark.parametrize(("cell", "python"), MAGICS, ids=[cell for cell, _ in MAGICS])
def test_a_magic_keeps_lines_and_columns(cell: str, python: str) -> None:
    assert as_python(cell) == python
    compile(dedent(python), "cell", "exec", PARSE)


@pytest.mark.parametrize("cell", PYTHON)
def test_python_stays_as_it_is(cell: str) -> None:
    assert as_python(cell) == cell


_LINES = st.sampled_from(
    [cell for cell, _ in MAGICS] + PYTHON + ["'''", '"', "(", ")", "\\", "x =", "=", "%", "!", "\t", "ü"]
)


@given(st.lists(_LINES, max_size=6).map("\n".join) | st.text(max_size=40))
def test_every_line_keeps_its_length(cell: str) -> None:
    python = as_python(cell)
    ends = r"\r\n|\r|\n"
    assert [len(line) for line in re.split(ends, python)] == [len(line) for line in re.split(ends, cell)]


@given(st.text(max_size=40))
def test_blank_keeps_line_ends_only(text: str) -> None:
    assert blank(text).replace("0", "", 1).strip(" \r\n") == ""
    assert len(blank(text)) == len(text)
