"""The modules of a tree together: which scope owns a name, what is stored where, who imports whom."""

from __future__ import annotations

import pytest
from tests.checker.python.programs import Checked

from turnlane.checker.python.facts import Attribute, CallRef, Name, Subscript
from turnlane.checker.python.program import ModuleView, root_name


def view(code: str) -> ModuleView:
    return Checked(code).program["main.py"]


def owners(code: str, name: str) -> set[str]:
    """The qualified names of the scopes that own a variable."""
    seen = view(code)
    return {seen.scopes[scope].qualname for scope, variable in seen.assigned if variable == name}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = 1", {""}),
        ("def f(): x = 1", {"f"}),
        ("def f():\n    global x\n    x = 1", {""}),
        ("def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = 2", {"f"}),
        ("def f(x):\n    def g():\n        nonlocal x\n        x = 2", {"f"}),
        (
            "def f():\n    x = 1\n    def g():\n        nonlocal x\n"
            "        def h():\n            nonlocal x\n            x = 2",
            {"f"},
        ),
        ("class C: x = 1", {"C"}),
        ("def f():\n    def g():\n        nonlocal x\n        x = 2", {""}),
    ],
)
def test_an_assignment_binds_the_variable_of_its_owner(code: str, expected: set[str]) -> None:
    assert owners(code, "x") == expected


def test_the_last_definition_counts_but_a_setter_hides_nothing() -> None:
    seen = view(
        "def f(a): pass\ndef f(b): pass\n"
        "class C:\n    @property\n    def p(self): pass\n    @p.setter\n    def p(self, value): pass\n"
    )

    assert [p.name for p in seen.definitions[0, "f"].parameters] == ["b"]
    assert len(seen.definitions[3, "p"].parameters) == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("class C:\n    def f(self): self.x = 1", {"f"}),
        ("class C:\n    def f(this): this.x = 1", {"f"}),
        ("class C:\n    @classmethod\n    def f(cls): cls.x = 1", {"f"}),
        ("class C:\n    def f(self):\n        def g(): self.x = 1", {"g"}),
        ("class C:\n    def f(self, other): other.x = 1", set()),
        ("class C:\n    def f(self):\n        def g(self): self.x = 1", set()),
        ("def f(self): self.x = 1", set()),
    ],
)
def test_attributes_of_self_belong_to_the_class(code: str, expected: set[str]) -> None:
    seen = view(code)

    found = {seen.scopes[n].name for rows in seen.self_attributes.values() for n, _ in rows}

    assert found == expected


@pytest.mark.parametrize(
    ("code", "key", "keyed"),
    [
        ("a['k'] = v", ("name", "a"), True),
        ("self.a[k] = v", ("attribute", "a"), True),
        ("a.append(v)", ("name", "a"), False),
        ("a.add(v)", ("name", "a"), False),
        ("a.setdefault(k, v)", ("name", "a"), True),
        ("a.insert(0, v)", ("name", "a"), False),
        ("a.setdefault(k)", None, False),
        ("f()[k] = v", None, False),
    ],
)
def test_what_is_put_into_a_container_is_found_by_its_name(
    code: str, key: tuple[str, str] | None, keyed: bool
) -> None:
    stored = view(f"def f(): {code}").stored

    if key is None:
        assert Name("v") not in [value for rows in stored.values() for _, value, _ in rows]
    else:
        assert [(value, by_key) for _, value, by_key in stored[key]] == [(Name("v"), keyed)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("KEY = 'k'\nlook(KEY)", "k"),
        ("look('k')", "k"),
        ("KEY = 'k'\nKEY = 'l'\nlook(KEY)", None),
        ("look(3)", None),
        ("look(KEY)", None),
    ],
)
def test_a_text_is_a_literal_or_a_constant_assigned_once(code: str, expected: str | None) -> None:
    seen = view(code)

    assert seen.text(seen.scopes[0].calls[0].arguments[0]) == expected


def test_blocks_under_the_main_guard_are_guarded_with_what_is_in_them() -> None:
    seen = view("x = 1\nif __name__ == '__main__':\n    for y in x:\n        f()\nif x:\n    g()\n")

    assert {seen.scopes[0].blocks[number].line for number in seen.guarded_blocks} == {2, 3}


def test_enclosing_functions_come_innermost_first_and_without_classes() -> None:
    seen = view("def f():\n    class C:\n        def g(self):\n            def h(): pass\n")

    assert [scope.name for scope in seen.enclosing(seen.scopes[4])] == ["g", "f"]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("import b", {"b.py"}),
        ("from b import x", {"b.py"}),
        ("from p import m", {"p/__init__.py", "p/m.py"}),
        ("import p.m", {"p/m.py"}),
        ("from p.m import x", {"p/m.py"}),
        ("from . import b", {"b.py"}),
        ("from .b import x", {"b.py"}),
        ("import json", set()),
    ],
)
def test_an_import_runs_files(statement: str, expected: set[str]) -> None:
    program = Checked(f"{statement}\n# file: b.py\n# file: p/__init__.py\n# file: p/m.py\n").program

    assert {path for path, importers in program.imported_by.items() if "main.py" in importers} == expected


def test_states_and_sessions_are_indexed_by_name() -> None:
    program = Checked(
        "app.state.bot = 1\nst.session_state.one = 2\nst.session_state['two'] = 3\n"
        "cl.user_session.set('three', 4)\nconfig.set('a', 'b', 'c')\nother.bot = 5\n"
    ).program

    assert set(program.app_state) == {"bot"}
    assert set(program.session_state) == {"one", "two"}
    assert set(program.session_values) == {"three"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (Name("a"), "a"),
        (Attribute(Attribute(Name("a"), "b"), "c"), "a"),
        (Subscript(Name("a"), Name("k")), "a"),
        (Attribute(CallRef(0), "x"), "f"),
    ],
)
def test_the_root_of_an_expression(expression: Name, expected: str) -> None:
    assert root_name(expression, view("f(1)").scopes[0]) == expected
