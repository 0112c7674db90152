"""Where calls run: the ways to them, the surroundings, the branches that a call rules out."""

from __future__ import annotations

import pytest
from tests.checker.python.programs import Checked

HEAD = "from fastapi import FastAPI\napp = FastAPI()\nclass Agent: pass\nshared = Agent()\n"
CHAT = "@app.post('/')\nasync def chat(text):\n    "


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("look()", ["chat"]),
        ("f()\ndef f(): look()", ["chat > f"]),
        ("f()\ndef f(): g()\ndef g(): look()", ["chat > f > g"]),
        ("await f()\nasync def f(): look()", ["chat > f"]),
        ("S().f()\nclass S:\n    def f(self): look()", ["chat > S.f"]),
        ("S()\nclass S:\n    def __init__(self): look()", ["chat > S.__init__"]),
        (
            "S()\nfrom dataclasses import dataclass\n@dataclass\nclass S:\n    def __post_init__(self): look()",
            ["chat > S.__post_init__"],
        ),
        ("S()()\nclass S:\n    def __call__(self): look()", ["chat > S.__call__"]),
        (
            "S().f()\nclass B:\n    def f(self): self.g()\n    def g(self): pass\n"
            "class S(B):\n    def g(self): look()",
            ["chat > B.f > S.g"],
        ),
        (
            "S().f()\nclass B:\n    def f(self): look()\nclass S(B):\n    def f(self): super().f()",
            ["chat > S.f > B.f"],
        ),
        ("def inner(): look()\n    inner()", ["chat > chat.inner"]),
        ("[f() for _ in text]\ndef f(): look()", ["chat > f"]),
        ("TABLE['a']()\ndef f(): look()\nTABLE = {'a': f}", ["chat > f"]),
        ("f(g)\ndef f(call): call()\ndef g(): look()", ["chat > f > g"]),
        ("f()\ndef f(): f(); look()", ["chat > f"]),
        ("f()\ndef f(): g()\ndef g(): f(); look()", ["chat > f > g"]),
        ("class Local:\n        look()", ["chat.Local"]),
    ],
)
def test_the_way_to_a_call(code: str, expected: list[str]) -> None:
    assert Checked(HEAD + CHAT + code).ways("chat") == expected


def test_a_function_that_nobody_calls_is_explored_as_a_library() -> None:
    program = Checked("def plain(): look()\nasync def later(): look()\n")

    assert program.situations() == [
        "library library, maybe loop, unknown users",
        "library library, loop, unknown users",
    ]


def test_a_function_that_somebody_calls_is_not_a_library() -> None:
    program = Checked(f"{HEAD}{CHAT}f()\ndef f(): look()\n")

    assert program.situations() == ["FastAPI request, loop, many users"]


def test_each_situation_of_a_function_is_kept() -> None:
    program = Checked(
        f"{HEAD}{CHAT}f()\n@app.get('/two')\ndef two(): f()\ndef f(): look()\n"
        "if __name__ == '__main__':\n    f()\n"
    )

    assert sorted(program.situations()) == [
        "FastAPI request, loop, many users",
        "FastAPI request, no loop, many users, own thread",
        "script, no loop, one user",
    ]


# --- Branches ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "call", "expected"),
    [
        ("    if flag:\n        look(1)\n    else:\n        look(2)", "f(True)", ["1"]),
        ("    if flag:\n        look(1)\n    else:\n        look(2)", "f(False)", ["2"]),
        ("    if flag:\n        look(1)\n    else:\n        look(2)", "f()", ["1", "2"]),
        ("    if flag:\n        look(1)\n    else:\n        look(2)", "f(None)", ["2"]),
        ("    if flag:\n        look(1)\n    else:\n        look(2)", "f(text)", ["1", "2"]),
        ("    if flag:\n        look(1)\n    else:\n        look(2)", "f(flag=True)", ["1"]),
        ("    if flag:\n        for x in y:\n            look(1)", "f(False)", []),
        ("    flag = other()\n    if flag:\n        look(1)", "f(False)", ["1"]),
        ("    if not flag:\n        look(1)", "f(True)", ["1"]),
        ("    if flag:\n        return\n    if other:\n        look(1)", "f(True)", []),
        ("    if flag:\n        return\n    if other:\n        look(1)", "f(False)", ["1"]),
        ("    if flag:\n        raise Error\n    with other:\n        look(1)", "f(True)", []),
        ("    with other:\n        look(1)\n    if flag:\n        return", "f(True)", ["1"]),
    ],
)
def test_branches_that_constant_arguments_rule_out(body: str, call: str, expected: list[str]) -> None:
    program = Checked(f"{HEAD}{CHAT}{call}\ndef f(flag=unknown()):\n{body}\n")

    assert program.met("chat") == expected


def test_a_constant_that_is_handed_on_is_not_the_default() -> None:
    program = Checked(
        f"{HEAD}{CHAT}f(False)\ndef f(flag=True): g(flag)\ndef g(flag):\n    if flag: pass\n    else: look()\n"
    )

    assert program.ways("chat") == ["chat > f > g"]


def test_a_branch_is_open_when_the_callers_are_not_known() -> None:
    assert Checked("def f(flag=False):\n    if flag:\n        look(1)\n").met() == ["1"]


# --- What is met there -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("f(shared)\ndef f(a): look(a)", ["Agent module"]),
        ("f(Agent())\ndef f(a): look(a)", ["Agent"]),
        (
            "S(shared).f()\nclass S:\n    def __init__(self, a): self.a = a\n    def f(self): look(self.a)",
            ["Agent module"],
        ),
        (
            "S(Agent()).f()\nclass S:\n    def __init__(self, a): self.a = a\n    def f(self): look(self.a)",
            ["Agent"],
        ),
        (
            "s.f()\nclass S:\n    def __init__(self): self.a = Agent()\n    def f(self): look(self.a)\ns = S()",
            ["Agent module"],
        ),
    ],
)
def test_values_on_the_way(code: str, expected: list[str]) -> None:
    assert Checked(HEAD + CHAT + code).met("chat") == expected


def test_calls_are_found_by_the_symbols_they_call() -> None:
    program = Checked(
        "import asyncio, time as t\nasync def f():\n    t.sleep(1)\n    asyncio.run(g())\n    unknown.sleep()\n"
    )

    found = program.exploration.calls_of(["time.sleep", "asyncio.run", "nothing.at_all"])

    assert [site.call.span.line for site in found] == [3, 4]


def test_a_route_has_all_arrivals_of_one_step() -> None:
    program = Checked(f"{HEAD}{CHAT}f()\n    g()\ndef f(): h(1)\ndef g(): h(2)\ndef h(x): look()\n")
    (site,) = program.sites("chat")

    arrivals = program.exploration.arrivals[site.route.frame, site.route.situation]

    assert [one.previous.frame.scope.name for one in arrivals if one.previous] == ["f", "g"]


def test_a_way_does_not_grow_without_end() -> None:
    rows = "\n".join(f"def f{n}(): f{n + 1}()" for n in range(40))
    program = Checked(f"{HEAD}{CHAT}f0()\n{rows}\ndef f40(): look()\n")

    assert program.ways("chat") == []
    assert program.ways() == [" > ".join(f"f{n}" for n in range(40 - len(program.ways()[0].split(" > ")) + 1, 41))]
