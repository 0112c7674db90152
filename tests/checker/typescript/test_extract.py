"""Facts of one TypeScript or JavaScript file."""

from __future__ import annotations

import pickle

import pytest

from turnlane.checker.typescript.extract import extract
from turnlane.checker.typescript.facts import Call, Constant, Member, Module, Name, Package


def module(code: str, path: str = "main.ts") -> Module:
    return extract(path, code.encode())


def call(code: str, name: str) -> Call:
    """The first call of a function or method of this name."""
    for scope in module(code).scopes:
        for found in scope.calls:
            if getattr(found.callee, "name", getattr(found.callee, "id", "")) == name:
                return found
    raise AssertionError(f"no call of {name}")


@pytest.mark.parametrize(
    ("statement", "use"),
    [
        ("f();", "dropped"),
        ("void f();", "void"),
        ("await f();", "awaited"),
        ("await (f() as any)!;", "awaited"),
        ("const x = f();", "assigned"),
        ("this.x = f();", "assigned"),
        ("return f();", "returned"),
        ("g(f());", "argument"),
        ("f().x;", "member"),
        ("f().then(g);", "member"),
        ("f()();", "callee"),
        ("const x = [f()];", "item"),
        ("const x = { y: f() };", "item"),
        ("for (const x of f()) {}", "iterated"),
        ("for await (const x of f()) {}", "async iterated"),
        ("if (f()) {}", "tested"),
        ("ok && f();", "dropped"),
        ("ok ? f() : g();", "dropped"),
        ("const g = () => f();", "returned"),
        ("x ?? f();", "dropped"),
    ],
)
def test_use_of_a_call(statement: str, use: str) -> None:
    assert call(f"async function main() {{ {statement} }}", "f").use == use


def test_imports_of_every_form() -> None:
    found = module(
        """
import D, * as N from "a";
import { A as B, type C } from "b";
import type { T } from "c";
import "d";
import e = require("e");
const f = require("f");
const g = await import("g");
export { h } from "h";
"""
    )
    assert [(one.local, one.source, one.name, one.kind, one.types) for one in found.imports] == [
        ("D", "a", "default", "import", False),
        ("N", "a", "*", "import", False),
        ("B", "b", "A", "import", False),
        ("C", "b", "C", "import", False),
        ("T", "c", "T", "import", True),
        ("", "d", "", "import", False),
        ("e", "e", "*", "import", False),
        ("", "f", "*", "require", False),
        ("", "g", "*", "dynamic", False),
        ("", "h", "*", "import", False),
    ]


def test_exports_of_every_form() -> None:
    found = module(
        """
export const runtime = "edge", [a] = x;
export default async function main() {}
export class K {}
export { p as q, r };
export * from "w";
export * as ns from "z";
module.exports = s;
exports.t = 1;
"""
    )
    assert [one.name for one in found.exports] == [
        "runtime", "a", "default", "K", "q", "r", "*", "ns", "default", "t"
    ]  # fmt: skip


def test_names_of_a_destructuring_are_members_of_its_value() -> None:
    found = module('const { a, b: { c }, d = 1, ...rest } = require("x");')
    values = {one.target.id: one.value for one in found.scopes[0].assignments if isinstance(one.target, Name)}
    assert values["a"] == Member(Package("x"), "a")
    assert values["c"] == Member(Member(Package("x"), "b"), "c")
    assert {"d", "rest"} < set(values)


def test_a_class_has_its_members_decorators_and_constructor_properties() -> None:
    found = module(
        """
@Injectable()
export class Chat extends Base {
  history: Message[] = [];
  constructor(private readonly agent: Agent) { super(); }
  @Post("ask") async ask() { this.history = []; }
}
"""
    )
    owner, constructor, ask = found.scopes[1:4]
    assert (owner.kind, owner.name, len(owner.decorators), owner.bases) == ("class", "Chat", 1, (Name("Base"),))
    assert [entry.kind for entry in owner.assignments] == ["field", "method", "method"]
    assert Member(Name("this"), "agent") in [entry.target for entry in constructor.assignments]
    assert (ask.name, ask.is_async, len(ask.decorators)) == ("ask", True, 1)


def test_directives() -> None:
    found = module('"use server";\nasync function f() { "use server"; await g(); }')
    assert found.scopes[0].directives == ("use server",)
    assert found.scopes[1].directives == ("use server",)


def test_columns_are_bytes() -> None:
    assert call('const x = "äö"; f();', "f").span.column == 18


@pytest.mark.parametrize("path", ["a.ts", "a.tsx", "a.js", "a.jsx", "a.mjs", "a.cjs", "a.mts", "a.cts"])
def test_every_suffix_is_read(path: str) -> None:
    assert extract(path, b"run();").scopes[0].calls[0].callee == Name("run")


def test_elements_of_jsx_hold_functions() -> None:
    found = extract("a.tsx", b"const A = () => <B onClick={() => run()}>{list.map((x) => <C />)}</B>;")
    assert sum(len(scope.calls) for scope in found.scopes) == 2


def test_facts_survive_pickling() -> None:
    found = module("const a = new Agent({ tools: [b] }); app.post('/x', async (q) => { await a.run(q); });")
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_long_text_is_cut() -> None:
    entry = module(f'const a = "{"x" * 5000}";').scopes[0].assignments[0]
    assert entry.value == Constant("x" * 200)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("types.d.ts", b"export declare function f(): void;"),
        ("app.min.js", b"run();"),
        ("app.test.ts", b"run();"),
        ("film.ts", b"G\x00\x00binary"),
        ("app_de.ts", b'<?xml version="1.0"?><!DOCTYPE TS><TS></TS>'),
        ("bundle.js", b"a=1;" * 5000),
    ],
)
def test_what_is_no_program_of_the_user_is_left_out_quietly(path: str, data: bytes) -> None:
    assert extract(path, data) == Module(())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"run();\n" * 300_000, "not read"),
        (b"x = " + b"[\n" * 4000 + b"]\n" * 4000 + b";\n", "nested too deeply"),
        (b"const ok = 1;\nfunction ( {{{\n", "does not parse"),
    ],
)
def test_what_was_not_read_is_said(data: bytes, said: str) -> None:
    assert said in extract("a.ts", data).problems[0][1]


def test_what_stands_before_an_error_is_read() -> None:
    found = extract("a.ts", b"export const runtime = 'edge';\nfoo(;\n")
    assert [one.name for one in found.exports] == ["runtime"]
    assert found.problems[0][0] == 2


def test_a_sum_of_thousands_is_no_deep_nest() -> None:
    found = extract("a.ts", b"const a = " + b"\n  + ".join([b"f()"] * 3000) + b";\n")
    assert (len(found.scopes[0].calls), found.problems) == (3000, ())


def test_other_encodings() -> None:
    for data in ("run();".encode("utf-16"), b"\xef\xbb\xbfrun();", b"// \xff\xfe\nrun();"):
        assert len(extract("a.ts", data).scopes[0].calls) == 1, data


@pytest.mark.parametrize(
    "code",
    [
        "const A = () => <p>Drag & drop, read & write</p>;\nrun();",
        'const A = () => <a href="https://example.org/?a=1&b=2">x</a>;\nrun();',
        "const A = () => (\n  <p>\n    Q&A\n  </p>\n);\nconst B = () => <b>C & D</b>;\nrun();",
        "export type * from './types';\nrun();",
        "let a: import('./types').A[] | undefined;\nrun();",
        "interface A { b?: import('./types').B[] }\nconst flags = a & b;\nrun();",
    ],
)
def test_what_only_the_grammar_refuses_is_no_problem(code: str) -> None:
    found = extract("a.tsx", code.encode())
    assert found.problems == ()
    last = found.scopes[0].calls[-1]
    assert (last.callee, last.span.line) == (Name("run"), len(code.splitlines()))
