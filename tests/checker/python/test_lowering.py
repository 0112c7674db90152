"""Small programs and the facts that must be kept of them, construct by construct."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest
from tests.checker.python.writing_out import assignments, blocks, calls, expression, reads

from turnlane.checker.python.extract import extract
from turnlane.checker.python.facts import CallRef, Import, Module, Parameter, Scope, Span


def module(code: str) -> Module:
    """The facts of a program that has no problems."""
    found = extract("program.py", dedent(code).encode())
    assert not found.problems
    return found


def top(code: str) -> Scope:
    return module(code).scopes[0]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("f()", ["f() dropped"]),
        ("f(g(a), b=h())", ["g(a) argument 2", "h() argument 2", "f(#0, b=#1) dropped"]),
        ("f(*a, g(), **h())", ["g() argument 2", "h() argument 2", "f(*a, #0, **#1) dropped"]),
        ("f()()", ["f() callee 1", "#0() dropped"]),
        ("f().g().h", ["f() attribute", "#0.g() attribute"]),
        ("f()[g()]", ["f() subscript", "g() other"]),
        ("x = f()", ["f() assigned 0"]),
        ("x = y = f()", ["f() assigned 0"]),
        ("x.y[k()] = f()", ["f() assigned 0", "k() other"]),
        ("x = [a for a in f()]; y = g()", ["f() iterated", "g() assigned 2"]),
        ("x = (f())", ["f() assigned 0"]),
        ("x = f() if g() else h()", ["g() tested", "f() assigned 0", "h() assigned 0"]),
        ("x = f() or g()", ["f() assigned 0", "g() assigned 0"]),
        ("r(f() or g())", ["f() argument 2", "g() argument 2", "r((#0 | #1)) dropped"]),
        ("x += f()", ["f() assigned 0"]),
        ("x: int = f()", ["f() assigned 0"]),
        ("a, b = f()", ["f() assigned 0"]),
        ("a, b = f(), g()", ["f() assigned 0", "g() assigned 1"]),
        ("a, *b = f(), g()", ["f() item", "g() item"]),
        ("() = f()", ["f() assigned"]),
        ("(x := f())", ["f() assigned 0"]),
        ("g(x := f())", ["f() assigned 0", "g(#0) dropped"]),
        ("y = [(x := f())]", ["f() assigned 0"]),
        ("if f(): pass", ["f() tested"]),
        ("while f(): g()", ["f() tested in while", "g() dropped in while"]),
        ("assert f(), g()", ["f() tested", "g() other"]),
        ("not f()", ["f() tested"]),
        ("f() < g() <= h()", ["f() tested", "g() tested", "h() tested"]),
        ("f() + g() * h()", ["f() other", "g() other", "h() other"]),
        ("-f()", ["f() other"]),
        ("[f(), {g(): h()}]", ["f() item", "g() item", "h() item"]),
        ("[*f(), (g(),)]", ["f() item", "g() item"]),
        ("raise f() from g()", ["f() raised", "g() raised"]),
        ("del f()[0], x[g()]", ["f() subscript", "g() other"]),
        ("for x in f(): g(x)", ["f() iterated", "g(x) dropped in for"]),
        ("with f() as x, g(): h()", ["f() entered", "g() entered", "h() dropped in with"]),
        ("f'{f():{g()}} {h()!r}'", ["f() other", "g() other", "h() other"]),
        ("[f(x) for x in g() if h(x)]", ["g() iterated", "h(x) tested in for", "f(x) item in for"]),
        ("{f(): g() for x in y}", ["f() item in for", "g() item in for"]),
        ("x[f():g()]", ["f() other", "g() other"]),
        ("@f(g())\ndef h(): pass", ["g() argument 1", "f(#0) decorator"]),
        ("def h(a=f(), *, b=g()): pass", ["f() default", "g() default"]),
        ("def h(a: f()) -> g(): pass", ["f() other", "g() other"]),
        ("class A(f(), k=g()): pass", ["f() other", "g() other"]),
        ("global x; x = f()", ["f() assigned 0"]),
        (
            "try: f()\nexcept g(): h()\nelse: i()\nfinally: j()",
            [
                "f() dropped in try",
                "g() other",
                "h() dropped in except",
                "i() dropped in else of try",
                "j() dropped in finally",
            ],
        ),
        ("match f():\n case A(b=c) if g(): h()", ["f() tested", "g() tested in if", "h() dropped in if"]),
        ("'a'.join(x)", ["'a'.join(x) dropped"]),
        ("a.b.c(d)", ["a.b.c(d) dropped"]),
    ],
)
def test_calls_are_in_the_order_of_evaluation_with_their_use(code: str, expected: list[str]) -> None:
    assert calls(top(code)) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("await f()", ["f() awaited"]),
        ("x = await f()", ["f() awaited"]),
        ("g(await f(h()))", ["h() argument 1", "f(#0) awaited", "g(await #1) dropped"]),
        ("await (f() or g())", ["f() awaited", "g() awaited"]),
        ("await (x := f())", ["f() awaited"]),
        ("return f(), await g()", ["f() item", "g() awaited"]),
        ("return f() if x else g()", ["f() returned", "g() returned"]),
        ("yield f()", ["f() yielded"]),
        ("async for x in f(): pass", ["f() async iterated"]),
        ("async with f() as x: pass", ["f() async entered"]),
        ("[x async for x in f()]", ["f() async iterated"]),
    ],
)
def test_calls_in_a_coroutine(code: str, expected: list[str]) -> None:
    scope = module(f"async def k():\n    {code}\n").scopes[1]
    assert scope.is_async
    assert calls(scope) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = 1", ["x = 1 after 0"]),
        ("x = -1.5", ["x = -1.5 after 0"]),
        ("x = None, True, b'1', 2j, ...", ["x = (None, True, ~, ~, ~) after 0"]),
        (f"x = '{'a' * 500}'", [f"x = '{'a' * 200}' after 0"]),
        (f"x = {10**40}", ["x = ~ after 0"]),
        ("x = a.b[c](d)", ["x = #0 after 1"]),
        ("x = y = f()", ["x = #0 after 1", "y = #0 after 1"]),
        ("x.y = z[0] = f()", ["x.y = #0 after 1", "z[0] = #0 after 1"]),
        ("x += f()", ["x += #0 after 1"]),
        ("x: A", ["x: A = ~ after 0"]),
        ("x: A = f()", ["x: A = #0 after 1"]),
        ("a, b = b, a", ["a = b after 0", "b = a after 0"]),
        (
            "a, (b, *c, d) = f()",
            [
                "a = part 0 of #0 after 1",
                "b = part 0 of part 1 of #0 after 1",
                "c = part 1 of #0[~] after 1",
                "d = part -1 of part 1 of #0 after 1",
            ],
        ),
        ("y = f(x := g())", ["x = #0 after 1", "y = #1 after 2"]),
        (
            "for a, b in c: pass",
            ["a = part 0 of each of c after 0 in for", "b = part 1 of each of c after 0 in for"],
        ),
        (
            "with f() as (a, b): pass",
            ["a = part 0 of entered #0 after 1 in with", "b = part 1 of entered #0 after 1 in with"],
        ),
        ("x = [f(a) for a in b]", ["a = each of b after 0 in for", "x = [#0...] after 1"]),
        (
            "x = {a: b for a, b in c.items()}",
            [
                "a = part 0 of each of #0 after 1 in for",
                "b = part 1 of each of #0 after 1 in for",
                "x = {a: b...} after 1",
            ],
        ),
        ("x = list(a for a in b)", ["a = each of b after 0 in for", "x = #0 after 1"]),
        ("x = {**a, 'k': b}", ["x = {None: a, 'k': b} after 0"]),
        ("x = {a, *b}", ["x = {a, *b} after 0"]),
        ("x = a if b else c if d else e", ["x = (a | c | e) after 0"]),
        ("x = a or b", ["x = (a | b) after 0"]),
        ("x = a is None", ["x = ~(a, None) after 0"]),
        ("x = not a", ["x = ~(a) after 0"]),
        ("x = a + b + 1", ["x = ~(a, b) after 0"]),
        ("x = 'a' + b", ["x = text(b) after 0"]),
        ("x = 'a %s' % b", ["x = text(b) after 0"]),
        ("x = f'a {b} {c.d!r:>{e}}'", ["x = text(b, c.d, e) after 0"]),
        ("x = f'plain'", ["x = text() after 0"]),
        ("x = a[1:b]", ["x = a[~(b)] after 0"]),
        ("x = lambda a: a", ["x = lambda 1 after 0"]),
        (
            "match a:\n case [b, *c, {'k': d, **e}]: pass",
            [
                "b = part 0 of a after 0 in if",
                "c = a[~] after 0 in if",
                "d = part -1 of a['k'] after 0 in if",
                "e = ~(part -1 of a) after 0 in if",
            ],
        ),
        (
            "match a:\n case (A(b, c=d) as e) | {'k': e}: pass",
            ["b = ~(a) after 0 in if", "d = a.c after 0 in if", "e = a after 0 in if", "e = a['k'] after 0 in if"],
        ),
    ],
)
def test_assignments(code: str, expected: list[str]) -> None:
    assert assignments(top(code)) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("a", ["a dropped"]),
        ("a.b", ["a.b attribute"]),
        ("a.b.c", ["a.b attribute"]),
        ("a()", ["a callee 0"]),
        ("a.b()", ["a.b callee 0"]),
        ("a.b.c()", ["a.b attribute"]),
        ("f(a, b.c, k=d)", ["f callee 0", "a argument 0", "b.c attribute", "d argument 0"]),
        ("f(g(a))", ["f callee 1", "g callee 0", "a argument 0"]),
        ("a[b]", ["a subscript", "b other"]),
        ("x = a", ["a assigned 0"]),
        ("a.b = c", ["c assigned 0", "a.b attribute"]),
        ("a[0] += b", ["b assigned 0", "a subscript"]),
        ("del a, (b, c.d)", ["a deleted", "b deleted", "c.d attribute"]),
        ("if a and not b: pass", ["a tested", "b tested"]),
        ("for x in a: pass", ["a iterated"]),
        ("with a: pass", ["a entered"]),
        ("[a, (b,)]", ["a item", "b item"]),
        ("raise a from b", ["a raised", "b raised"]),
        ("@a\n@b.c\ndef f(): pass", ["a decorator", "b.c attribute"]),
        ("def f(x=a): pass", ["a default"]),
        ("class A(b.C): pass", ["b.C attribute"]),
        ("f(*a)", ["f callee 0", "a argument 0"]),
        ("try: pass\nexcept (A, B): pass", ["A other", "B other"]),
    ],
)
def test_reads_say_how_the_name_is_used(code: str, expected: list[str]) -> None:
    assert reads(top(code)) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "if a:\n b\nelif c:\n d\nelse:\n e",
            ["if a 1-2 in 0", "else a 3-6 in 0 with 1", "if c 3-4 in 2", "else c 6-6 in 2 with 3"],
        ),
        ("while a:\n b\nelse:\n c", ["while a 1-2 in 0", "else of loop 4-4 in 0 with 1"]),
        ("for a in b:\n for c in d:\n  e", ["for b 1-3 in 0", "for d 2-3 in 1"]),
        ("with a, b as c:\n d", ["with a b 1-2 in 0"]),
        (
            "try:\n a\nexcept (b, c) as d:\n e\nexcept:\n f\nelse:\n g\nfinally:\n h",
            [
                "try 1-2 in 0",
                "except b c d 3-4 in 0 with 1",
                "except 5-6 in 0 with 1",
                "else of try 8-8 in 0 with 1",
                "finally 10-10 in 0 with 1",
            ],
        ),
        ("try:\n a\nexcept* b:\n c", ["try 1-2 in 0", "except b 3-4 in 0 with 1"]),
        ("[a for b in c for d in e]", ["for c 1-1 in 0", "for e 1-1 in 1"]),
        ("match a:\n case 1:\n  b\n case _:\n  c", ["if a 2-3 in 0", "if a 4-5 in 0"]),
    ],
)
def test_blocks(code: str, expected: list[str]) -> None:
    assert blocks(top(code)) == expected


# --- Scopes --------------------------------------------------------------------------------------------------


def test_scopes_stand_after_their_parents_with_names_as_python_gives_them() -> None:
    scopes = module(
        """
        class Service:
            def run(self):
                async def helper():
                    yield 1
                return lambda: helper()
        """
    ).scopes
    assert [(one.kind, one.qualname, one.parent, one.is_async, one.is_generator) for one in scopes] == [
        ("module", "", -1, False, False),
        ("class", "Service", 0, False, False),
        ("function", "Service.run", 1, False, False),
        ("function", "Service.run.helper", 2, True, True),
        ("lambda", "Service.run.<lambda>", 2, False, False),
    ]
    assert scopes[3].name == "helper"
    assert [expression(one.value) for one in scopes[2].results] == ["lambda 4"]
    assert calls(scopes[4]) == ["helper() returned"]


def test_parameters_of_every_kind() -> None:
    scope = module("def f(a, /, b: int, c=1, *d, e, g=x, **h): pass").scopes[1]
    shown = [(one.name, one.kind, expression(one.annotation), expression(one.default)) for one in scope.parameters]
    assert shown == [
        ("a", "positional", "nothing", "nothing"),
        ("b", "positional", "int", "nothing"),
        ("c", "positional", "nothing", "1"),
        ("d", "*", "nothing", "nothing"),
        ("e", "keyword", "nothing", "nothing"),
        ("g", "keyword", "nothing", "x"),
        ("h", "**", "nothing", "nothing"),
    ]


def test_decorators_defaults_and_annotations_belong_to_the_scope_around() -> None:
    outer, inner = module("@app.get('/')\nasync def f(a: Annotated[int, Depends(g)] = h()) -> A: k()").scopes
    assert calls(outer) == ["app.get('/') decorator", "h() default", "Depends(g) item"]
    assert inner.decorators == (CallRef(0),)
    assert inner.parameters == (Parameter("a", "positional", inner.parameters[0].annotation, CallRef(1)),)
    assert expression(inner.parameters[0].annotation) == "Annotated[(int, #2)]"
    assert expression(inner.returns) == "A"
    assert calls(inner) == ["k() dropped"]


def test_a_function_starts_at_its_decorators_and_names_the_line_of_its_def() -> None:
    scope = module("if x:\n    @a\n    @b\n    def f():\n        pass\n").scopes[1]
    assert scope.span == Span(2, 4, 5, 12)
    assert scope.line == 4
    assert scope.parent_block == 1


def test_spans_count_bytes() -> None:
    assert top("x = 'é', f(\n  1)").calls[0].span == Span(1, 10, 2, 4)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("A", "A"),
        ("'A'", "A"),
        ("'a.A'", "a.A"),
        ("Optional['A']", "Optional[A]"),
        ("'Optional[A]'", "Optional[A]"),
        ("dict[str, 'A']", "dict[(str, A)]"),
        ("'A' | None", "(A | None)"),
        ("'A | B'", "(A | B)"),
        ("Literal['A']", "Literal['A']"),
        ("Annotated['A', 'text']", "Annotated[(A, 'text')]"),
        ("'not a type'", "'not a type'"),
        ("Callable[['A'], B]", "Callable[([A], B)]"),
    ],
)
def test_annotations_in_quotes_are_read(annotation: str, expected: str) -> None:
    assert expression(module(f"def f(a: {annotation}): pass").scopes[1].parameters[0].annotation) == expected


def test_globals_and_nonlocals_are_kept() -> None:
    scopes = module("def f():\n    global a, b\n    c = 1\n    def g():\n        nonlocal c\n").scopes
    assert scopes[1].globals == ("a", "b")
    assert scopes[2].nonlocals == ("c",)


@pytest.mark.parametrize(("code", "expected"), [("'''doc'''\nx", True), ("x", False), ("1", False), ("", False)])
def test_docstrings(code: str, expected: bool) -> None:
    assert top(code).docstring is expected


def test_results_yields_and_raises() -> None:
    scope = module("def f():\n    if a:\n        return\n    yield b\n    c = yield from d\n    raise\n").scopes[1]
    assert [(expression(one.value), one.block) for one in scope.results] == [("None", 1)]
    assert [expression(one.value) for one in scope.yields] == ["b", "d"]
    assert [(expression(one.value), one.cause) for one in scope.raises] == [("None", None)]


# --- Imports and the module ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import a", Import("a", "a", "", 1, 0, 0)),
        ("import a.b", Import("a", "a", "", 1, 0, 0, "a.b")),
        ("import a.b as c", Import("c", "a.b", "", 1, 0, 0)),
        ("from a import b", Import("b", "a", "b", 1, 0, 0)),
        ("from a.b import c as d", Import("d", "a.b", "c", 1, 0, 0)),
        ("from . import a", Import("a", ".", "a", 1, 0, 0)),
        ("from ..a import b", Import("b", "..a", "b", 1, 0, 0)),
        ("from a import *", Import("*", "a", "*", 1, 0, 0)),
        ("if TYPE_CHECKING:\n from a import b", Import("b", "a", "b", 2, 0, 1)),
        ("def f():\n import a", Import("a", "a", "", 2, 1, 0)),
        ("import_module('a.b')", Import("", "a.b", "", 1, 0, 0, "a.b")),
        ("import importlib\nx = importlib.import_module('.a')", Import("", ".a", "", 2, 0, 0, ".a")),
        ("__import__('a')", Import("", "a", "", 1, 0, 0, "a")),
    ],
)
def test_imports(code: str, expected: Import) -> None:
    assert module(code).imports[-1] == expected


def test_an_import_of_a_computed_name_is_said() -> None:
    found = extract("a.py", b"import importlib\n\nimportlib.import_module(name)\n")
    assert [line for line, _ in found.problems] == [3]
    assert "was not followed" in found.problems[0][1]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("if __name__ == '__main__':\n if a:\n  b", (1, 2)),
        ("if '__main__' == __name__: pass", (1,)),
        ("if a and __name__ == '__main__': pass", (1,)),
        ("if __name__ != '__main__': pass\nelse: pass", (2,)),
        ("if a: pass\nelif __name__ == '__main__': pass", (3,)),
        ("if __name__ == 'main': pass", ()),
        ("if a or __name__ == '__main__': pass", ()),
        ("def f():\n if __name__ == '__main__': pass", ()),
    ],
)
def test_what_runs_as_a_script_only(code: str, expected: tuple[int, ...]) -> None:
    assert module(code).main_guard == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("__all__ = ['a', 'b']", ("a", "b")),
        ("__all__: list[str] = ['a']", ("a",)),
        ("__all__ = ('a',)\n__all__ += ['b']", ("a", "b")),
        ("__all__ = names()", ()),
        ("def f():\n __all__ = ['a']", ()),
    ],
)
def test_exports(code: str, expected: tuple[str, ...]) -> None:
    assert module(code).exports == expected


@pytest.mark.skipif(sys.version_info < (3, 12), reason="syntax of Python 3.12")
def test_type_parameters_and_aliases() -> None:
    outer, inner = module("type A[T] = list['B']\ndef f[T: C](a: T): pass\n").scopes
    assert assignments(outer) == ["A = list[B] after 0"]
    assert inner.parameters[0].name == "a"
    assert [one.name for one in outer.reads] == ["list", "B", "T", "C"]


# --- Notebooks -----------------------------------------------------------------------------------------------


def test_a_notebook_is_one_program_with_await_at_its_top() -> None:
    cells = [
        '{"cell_type": "code", "metadata": {}, "source": ["x = await f()\\n"], "outputs": []}',
        '{"cell_type": "markdown", "metadata": {}, "source": "text"}',
        '{"cell_type": "code", "metadata": {}, "source": "%time\\ng(x)", "outputs": []}',
    ]
    text = '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [' + ",".join(cells) + "]}"
    found = extract("a.ipynb", text.encode())
    assert found.kind == "notebook"
    assert not found.problems
    assert calls(found.scopes[0]) == ["f() awaited", "g(x) dropped"]
    assert [(cell.number, cell.first_line) for cell in found.cells] == [(1, 1), (3, 2)]
