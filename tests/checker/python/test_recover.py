"""Files that do not parse: as much of them as possible is checked, and the rest is said."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest
from tests.checker.python.conformity import faults
from tests.checker.python.writing_out import assignments, bare_calls, blocks, calls

from turnlane.checker.python.extract import extract
from turnlane.checker.python.facts import Module
from turnlane.checker.source import Unreadable, decode


def recovered(code: str) -> Module:
    """The facts of a program that the running Python refuses."""
    text = dedent(code)
    found = extract("broken.py", text.encode())
    assert found.recovered
    assert not faults(found, text)
    return found


def all_calls(module: Module) -> list[str]:
    return [call for scope in module.scopes for call in bare_calls(scope)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("a()\nb(\nc()\n", ["a()", "c()"], id="open bracket"),
        pytest.param("a()\nb(1,\n  2\nc()\n", ["a()", "c()"], id="open bracket of several lines"),
        pytest.param("a()\nb)\nc()\n", ["a()", "c()"], id="stray bracket"),
        pytest.param("a()\nb.\nc()\n", ["a()", "c()"], id="half an attribute"),
        pytest.param("a()\nx =\nc()\n", ["a()", "c()"], id="half an assignment"),
        pytest.param("a()\nx = 'abc\nc()\n", ["a()", "c()"], id="open text"),
        pytest.param("def f():\n  a()\n\ndef g(\n  b()\n\nc()\n", ["c()", "a()", "b()"], id="half a definition"),
        pytest.param("def f(x, :\n  a()\nb()\n", ["b()", "a()"], id="broken parameters"),
        pytest.param("class A(:\n  def f(self): a()\nb()\n", ["b()", "a()"], id="broken bases"),
        pytest.param("if a()\n  b()\nc()\n", ["a()", "b()", "c()"], id="no colon"),
        pytest.param("if a(:\n  b()\nelse:\n  c()\n", ["b()", "c()"], id="broken condition"),
        pytest.param("if a():\nb()\n", ["a()", "b()"], id="no body"),
        pytest.param("def f():\n", [], id="only a header"),
        pytest.param("a()\n    b()\nc()\n", ["a()", "c()"], id="indented too far"),
        pytest.param("def f():\n    a()\n  b()\nc()\n", ["c()", "a()"], id="indented too little"),
        pytest.param("try:\n  a()\nb()\n", ["a()", "b()"], id="try without handler"),
        pytest.param("f(a(),\n  b() c(),\n  d())\ne()\n", ["a()", "d()", "f(#0, #1)", "e()"], id="no comma"),
        pytest.param("a()\n%time b()\nc()\n", ["a()", "c()"], id="stray magic"),
        pytest.param("a()\n\0\nc()\n", ["a()", "c()"], id="null byte"),
        pytest.param("def f():\n\ta()\n        b()\n\tc()\n", ["a()", "b()", "c()"], id="tabs and spaces"),
        pytest.param(
            "<<<<<<< HEAD\na()\n=======\nb()\n>>>>>>> other\nc()\n", ["a()", "b()", "c()"], id="merge conflict"
        ),
    ],
)
def test_one_slip_costs_one_statement(code: str, expected: list[str]) -> None:
    assert all_calls(recovered(code)) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print a()", ["a()", "print(#0)"]),
        ("print >>a(), b(), 'c'\nprint 'd'", ["a()", "b()", "print(#0, #1, 'c')", "print('d')"]),
        ("if a: print b() % c()", ["b()", "c()", "print(~(#0, #1))"]),
        ("exec 'a' in b()", ["b()"]),
        ("try: a()\nexcept B, e: c()", ["a()", "c()"]),
        ("raise A, b()\na()", ["a()"]),
        ("a(0777, 10L)", ["a(777, 10)"]),
        ("a() <> b()", ["a()", "b()"]),
        ("a(ur'b')", ["a('b')"]),
        ("print 'a', \\\n  b()\nc()", ["b()", "print('a', #0)", "c()"]),
    ],
)
def test_python_2(code: str, expected: list[str]) -> None:
    assert all_calls(recovered(code)) == expected


def test_the_exception_of_python_2_has_its_name() -> None:
    scope = recovered("try: a()\nexcept B, e: c()\nexcept (C, D), f: d()").scopes[0]
    assert [line.split(" ", 1)[1].rsplit(" in ")[0] for line in blocks(scope)[1:]] == ["B e 2-2", "C D f 3-3"]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python reads it")
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f[T: (int, str)](a: T) -> T: b()", ["b()"]),
        ("class A[T]:\n    def f[S](self): b()", ["b()"]),
        ("a(f'{b['c']} {d(\"e\")}')", ["d('e')", "a(text(b['c'], #0))"]),
        ('a(f"{b("x\\n")}")', ["b('x_n')", "a(text(#0))"]),
    ],
)
def test_python_3_12(code: str, expected: list[str]) -> None:
    assert all_calls(recovered(code)) == expected


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python reads it")
def test_a_type_alias_is_an_assignment() -> None:
    assert assignments(recovered("if a:\n    type A[T] = list[T]\n").scopes[0]) == ["A = list[T] after 0 in if"]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python reads it")
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("try: a()\nexcept B, C: c()", ["a()", "c()"]),
        ("a(t'{b()}')", ["b()", "a(text(#0))"]),
    ],
)
def test_python_3_14(code: str, expected: list[str]) -> None:
    assert all_calls(recovered(code)) == expected


def test_lines_and_columns_stay() -> None:
    found = recovered("x = (\n\nasync def f():\n    print 'é'; a()\n    await b()\n")
    assert [tuple(call.span) for call in found.scopes[1].calls][-1] == (5, 10, 5, 13)
    assert found.scopes[1].is_async


def test_what_is_not_checked_is_said_with_its_line() -> None:
    ((line, text),) = recovered("a()\n\nb(\n").problems
    assert line == 3
    assert text == "line 3 does not parse ('(' was never closed): the rest of the file was checked"


def test_a_file_of_nothing_else_is_not_checked() -> None:
    found = extract("broken.py", b"\xff\xfe(")
    assert not found.scopes[0].calls
    assert found.problems


@pytest.mark.parametrize(
    "code",
    [
        "(" * 10_000 + "\na()\n",
        "x = " + "(" * 150 + ")" * 150 + "\na()\n",
        "x = " + "y + " * 10_000 + "y\na()\n",
        "x = y" + ".b" * 10_000 + "\na()\n",
        "x = y" + "[0]" * 3_000 + "\na()\n",
        "x = y" + "()" * 3_000 + "\na()\n",
        "x = y" + ".b()" * 800 + "\na()\n",
        "x = " + "not " * 3_000 + "y\na()\n",
        "x = " + "-" * 3_000 + "y\na()\n",
        "x = " + "lambda: " * 500 + "y\na()\n",
        "x = " + "y if z else " * 2_000 + "y\na()\n",
        "x = " + "[" * 100 + "]" * 100 + "\na()\n",
        "x = f" + '"{' * 200 + "\na()\n",
        "if b: c\n" + "elif b: c\n" * 3_000 + "a()\n",
        "".join(" " * depth + "if b:\n" for depth in range(95)) + " " * 95 + "c\na()\n",
        "".join(" " * depth + "def f():\n" for depth in range(95)) + " " * 95 + "c\na()\n",
        "x: '" + "(" * 300 + "'\na()\n",
        "x: '" + "[" * 100 + "]" * 100 + "'\na()\n",
        "x = " + "9" * 10_000 + "\na()\n",
        "x = {" + "**y, " * 5_000 + "}\na()\n",
        "match x:\n case " + "[" * 100 + "y" + "]" * 100 + ": b\na()\n",
    ],
    ids=lambda code: f"{code[:12]!r}... of {len(code)}",
)
def test_depth_costs_a_statement_at_most(code: str) -> None:
    found = extract("deep.py", code.encode())
    assert not faults(found, code)
    assert "a() dropped" in calls(found.scopes[0])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xff\xfe\x00",
        b"\x80\x81",
        b"# coding: latin-1\nx = '\xe9'; a()",
        b"# coding: nonsense\na()",
        b"# coding: utf-16\na()",
        b"# coding: rot13\nn()",
        b"# coding: utf-7\nx = '+2AA-'; a()",
        b"\r\ra()\r",
        b"a()\x0c\n\x0cb()\x1a",
        b"x = '\\ud800'\na()",
        b"x = '\\N{nonsense}'\na()",
        "ｘ = a()\nµ = '\u2028'".encode(),
        "a()\n\u2028b(\n\x85c()".encode(),
        b"'''" * 3,
        b"\\",
        b"x = \\\n",
        b"\t" * 200 + b"a()",
        bytes(range(256)),
        bytes(range(256)) * 40,
    ],
    ids=repr,
)
@pytest.mark.parametrize("path", ["a.py", "a.ipynb"])
def test_no_bytes_raise(path: str, data: bytes) -> None:
    found = extract(path, data)
    assert found.scopes[0].kind == "module"
    try:
        text = decode(data)
    except Unreadable:
        assert found.problems
    else:
        assert not faults(found, "" if path.endswith(".ipynb") else text)
