# ruff: noqa: E501  -- programs of one line read better whole
"""No source, however broken, stops the check; none takes for ever."""

from __future__ import annotations

import random
import time

import pytest
from tests.checker.typescript.project_of import said

from turnlane.checker.rules import all_rules

EXAMPLES = [example.code for rule in all_rules(["typescript"]) for example in (*rule.bad, *rule.good)]
PARTS = [
    "{",
    "}",
    "(",
    ")",
    "=>",
    "`${",
    "await ",
    "class ",
    "...",
    "?.",
    "[",
    "]",
    "export ",
    "<T>",
    "</",
    "@",
    ";",
    "\n",
]


def mutated(code: str, chance: random.Random) -> str:
    """The code with a few pieces dropped, doubled or put elsewhere."""
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(code) + 1)
        end = min(len(code), start + chance.randint(0, 30))
        code = chance.choice(
            [
                code[:start] + code[end:],
                code[:start] + chance.choice(PARTS) + code[start:],
                code[:end] + code[start:end] + code[end:],
            ]
        )
    return code


@pytest.mark.parametrize("seed", range(40))
def test_mutated_examples(seed: int) -> None:
    chance = random.Random(seed)
    files = {f"app/api/a{number}/route.tsx": mutated(code, chance) for number, code in enumerate(EXAMPLES)}
    said(files)


@pytest.mark.parametrize(
    "code",
    [
        "const a = b; const b = a; a.run();",
        "const a = { ...a, ...a, ...a }; a.x.y.z();",
        "let x = {};\n" + "x = { ...x, a: x.a };\n" * 40 + "app.post('/x', () => x.a.run());",
        "export * from './main';",
        "class A extends B {} class B extends A {} new A().run();",
        "function f() { return f(); } const g = f(); g.run();",
        "const c = a" + ".b()" * 300 + ";\napp.post('/x', () => c.run());",
        "const o = {" + ",".join(f"k{number}: o.k{number + 1}" for number in range(300)) + "}; o.k0.run();",
        "this.run(); super.run(); new.target.run(); import.meta.run();",
        "module.exports = module.exports; exports.a = exports.a;",
    ],
)
def test_circles_and_chains_end(code: str) -> None:
    started = time.process_time()
    said({"main.ts": code})
    assert time.process_time() - started < 3


def test_circles_of_imports_end() -> None:
    said(
        {
            "a.ts": 'export * from "./b"; import { x } from "./b"; export const y = x; app.get("/", () => x.run());',
            "b.ts": 'export * from "./a"; import { y } from "./a"; export const x = y;',
        }
    )
