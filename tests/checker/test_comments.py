"""Only real comments, and the statement that each stands in."""

from __future__ import annotations

import pytest

from turnlane.checker.comments import comments


def seen(path: str, text: str) -> list[tuple[int, str, int, int, bool]]:
    return [(c.line, c.text, c.first_line, c.last_line, c.alone) for c in comments(path, text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1  # a\n", [(1, "# a", 1, 1, False)]),
        ("x = (  # a\n  1,\n)  # b\n", [(1, "# a", 1, 3, False), (3, "# b", 1, 3, False)]),
        ("x = '# a'\n", []),
        ('x = """\n# a\n"""  # b\n', [(3, "# b", 1, 3, False)]),
        ("# a\n\nx = (\n 1)\n", [(1, "# a", 3, 4, True)]),
        ("def f():\n    # a\n    g()\n", [(2, "# a", 3, 3, True)]),
        ("x = (\n  # a\n  1)\n", [(2, "# a", 1, 3, False)]),
        ("if x:  # a\n    y()  # b\n", [(1, "# a", 1, 1, False), (2, "# b", 2, 2, False)]),
        ("# a", [(1, "# a", 1, 1, False)]),
        ("é = 'ü'  # a", [(1, "# a", 1, 1, False)]),
        ("x = f'{y}#'  # a\r\ny = 2\r\n", [(1, "# a", 1, 1, False)]),
        ("x = 1  # a\n)))\ny = (  # b\n", [(1, "# a", 1, 1, False), (3, "# b", 3, 3, False)]),
    ],
)
def test_python(text: str, expected: list[tuple[int, str, int, int, bool]]) -> None:
    assert seen("x.py", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f() // a\n", [(1, "// a", 1, 1, False)]),
        ("f('// a', \"// b\", `// c`)\n", []),
        ("const u = 'http://x'; // a", [(1, "// a", 1, 1, False)]),
        ("/* a */ f()\n", [(1, "/* a */", 1, 1, False)]),
        ("// a\nf()\n", [(1, "// a", 2, 2, True)]),
        ("// a\n// b\n\nf()\n", [(1, "// a", 4, 4, True), (2, "// b", 4, 4, True)]),
        ("/* a\n b */\nf()\n", [(1, "/* a\n b */", 3, 3, True)]),
        ("f(\n  1,\n) // a\n", [(3, "// a", 1, 3, False)]),
        ("f({ // a\n  b: 1,\n})\n", [(1, "// a", 1, 3, False)]),
        ("app.get('/', async () => {\n  run()\n}) // a\n", [(3, "// a", 3, 3, False)]),
        ("<p>{/* a */}</p>\n", [(1, "/* a */", 1, 1, False)]),
        ("`\n// a\n`\nf() // b\n", [(4, "// b", 4, 4, False)]),
    ],
)
def test_typescript(text: str, expected: list[tuple[int, str, int, int, bool]]) -> None:
    assert seen("x.tsx", text) == expected


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("requirements.txt", "a==1 # x\n", [(1, "# x", 1, 1, False)]),
        ("requirements.txt", "a @ git+https://x#egg=a\n", []),
        ("x.yml", "a: 'b # c' # d\n", [(1, "# d", 1, 1, False)]),
        ("x.toml", 'a = "b # c" # d\n', [(1, "# d", 1, 1, False)]),
        ("Dockerfile", "# a\nRUN x \\\n  y\n", [(1, "# a", 2, 3, True)]),
        ("package.json", '{"a": 1} # b\n', []),
        ("Makefile", "# a\n# b\nrun:\n", [(1, "# a", 3, 3, True), (2, "# b", 3, 3, True)]),
    ],
)
def test_files_of_lines(path: str, text: str, expected: list[tuple[int, str, int, int, bool]]) -> None:
    assert seen(path, text) == expected


@pytest.mark.parametrize("path", ["x.py", "x.ts", "Dockerfile"])
@pytest.mark.parametrize("text", ["", "\n", "(" * 500, "'", "/*", "\x00# a", "\t#", '"""', "\\"])
def test_nothing_is_too_strange(path: str, text: str) -> None:
    assert all(comment.line >= 1 for comment in comments(path, text))
