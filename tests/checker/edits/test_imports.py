"""Where a missing import goes, and tests for async functions that need one."""

from __future__ import annotations

from typing import Any

import pytest

from turnlane.checker import edits
from turnlane.checker.finding import Place

TESTS = [
    ("«hasattr(f, '__await__')»", "inspect.iscoroutinefunction(f)"),
    ('if not «hasattr(self.f, "__await__")»: pass', "if not inspect.iscoroutinefunction(self.f): pass"),
    ("x = «hasattr( (f), '__await__', )»", "x = inspect.iscoroutinefunction( (f), )"),
    (
        "x = «hasattr(\n    f('é'),\n    '__await__'\n)»  # c",
        "x = inspect.iscoroutinefunction(\n    f('é')\n)  # c",
    ),
    ("g = lambda f: «hasattr(f, '__await__')»", "g = lambda f: inspect.iscoroutinefunction(f)"),
    ("x = [f for f in g if «hasattr(f, '__await__')»]", "x = [f for f in g if inspect.iscoroutinefunction(f)]"),
    ("a(); «hasattr(f, '__await__')»; b()", "a(); inspect.iscoroutinefunction(f); b()"),
    ("é = «hasattr(f[0], '__await__')» and g", "é = inspect.iscoroutinefunction(f[0]) and g"),
    ("while «hasattr((f, g)[0], '__await__')»: pass", "while inspect.iscoroutinefunction((f, g)[0]): pass"),
    ("class A:\n\tx = «hasattr(f, '__await__')»", "class A:\n\tx = inspect.iscoroutinefunction(f)"),
]


@pytest.mark.parametrize(("before", "after"), TESTS)
def test_asks_inspect(rewrite: Any, before: str, after: str) -> None:
    assert rewrite(edits.coroutine_test, "import inspect\n" + before) == "import inspect\n" + after


@pytest.mark.parametrize(
    "before",
    [
        "«hasattr(f, '__call__')»",
        "«hasattr(f, name)»",
        "«hasattr(f)»",
        "«self.hasattr(f, '__await__')»",
        "«hasattr(*f, '__await__')»",
        "«hasattr(f,  # c\n'__await__')»",
        "inspect = 1\n«hasattr(f, '__await__')»",
    ],
)
def test_another_test_stays(rewrite: Any, before: str) -> None:
    assert rewrite(edits.coroutine_test, before) is None


IMPORTS = [
    ("x = 1\n", "import inspect\n\nx = 1\n"),
    ("# c\n\nx = 1\n", "# c\n\nimport inspect\n\nx = 1\n"),
    ("@a\ndef f(): pass\n", "import inspect\n\n@a\ndef f(): pass\n"),
    ("'''Doc.'''\nx = 1\n", "'''Doc.'''\n\nimport inspect\nx = 1\n"),
    ("'''Doc.'''  # c\n\nimport os\n", "'''Doc.'''  # c\n\nimport inspect\nimport os\n"),
    ("'''Doc\n'''", "'''Doc\n'''\n\nimport inspect"),
    ("from __future__ import annotations\n", "from __future__ import annotations\n\nimport inspect\n"),
    ("import asyncio\nimport json\n\nimport a\n", "import asyncio\nimport inspect\nimport json\n\nimport a\n"),
    ("import asyncio\n\nimport a\n", "import asyncio\nimport inspect\n\nimport a\n"),
    ("import asyncio\nfrom a import b\nimport z\n", "import asyncio\nimport inspect\nfrom a import b\nimport z\n"),
    ("from a import (\n  b,\n)\n", "import inspect\nfrom a import (\n  b,\n)\n"),
    ("import asyncio  # c\n", "import asyncio  # c\nimport inspect\n"),
    ("import asyncio; import z\n", "import asyncio; import z\n"),
    ("import inspect as i\n", "import inspect as i\nimport inspect\n"),
    ("import os, inspect\n", "import os, inspect\n"),
    ("if x:\n    import inspect\n", "import inspect\n\nif x:\n    import inspect\n"),
    ("def f():\n    import inspect\n", "import inspect\n\ndef f():\n    import inspect\n"),
    ("x = 1\r\ny\r\n", "import inspect\r\n\r\nx = 1\r\ny\r\n"),
    ("# %%\nx# %%\n%time y", "# %%\nimport inspect\n\nx# %%\n%time y"),
]


def add(code: edits.Code, place: Place) -> Any:
    changes = edits.add_import(code, "inspect", place.line)
    return code.fix("Import", changes, safe=True) if changes else None


@pytest.mark.parametrize(("before", "after"), IMPORTS)
def test_an_import_is_added(rewrite: Any, before: str, after: str) -> None:
    assert (rewrite(add, before) or before) == after


@pytest.mark.parametrize("before", ["'''Doc.'''; x = 1", "if x: pass\n"[:0]])
def test_no_place_is_no_import(before: str) -> None:
    code = edits.parse(_source(before))
    assert code is not None
    assert edits.add_import(code, "inspect") is None


@pytest.mark.parametrize("text", ["x = (", "x = 1\ry = 2", "x\0", "(" * 5000])
def test_what_does_not_parse_has_no_fix(text: str) -> None:
    assert edits.parse(_source(text)) is None


def _source(text: str) -> Any:
    from turnlane.checker.source import Source

    return Source("a.py", text)
