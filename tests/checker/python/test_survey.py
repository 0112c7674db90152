"""The cheap look at a file agrees with what parsing it finds."""

from __future__ import annotations

import random
import sysconfig
from pathlib import Path

import pytest

from turnlane.checker.python.extract import extract
from turnlane.checker.python.survey import survey


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (b"import a", ("a",)),
        (b"import a.b as c, d", ("a.b", "d")),
        (b"from a import b", ("a", "a.b")),
        (b"from a.b import (\n  c as d,  # e\n  f,\n)", ("a.b", "a.b.c", "a.b.f")),
        (b"from a import b, \\\n  c", ("a", "a.b", "a.c")),
        (b"from . import a", (".", ".a")),
        (b"from .. a import b", ("..a", "..a.b")),
        (b"from a import *", ("a",)),
        (b"from.a import(b)", (".a", ".a.b")),
        (b"try: import a\nexcept B: import c; from d import e", ("a", "c", "d", "d.e")),
        (b"    import a\r\n\timport b\r\n", ("a", "b")),
        (b"x = importlib.import_module('a.b')", ("a.b",)),
        (b"imported = 1\nfrom_a = 2", ()),
        (b"", ()),
    ],
)
def test_imports(code: bytes, expected: tuple[str, ...]) -> None:
    assert survey(code).imports == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (b"import nest_asyncio", True),
        (b"import autogen", True),
        (b"user.initiate_chat(x)", True),
        (b"a = 1", False),
    ],
)
def test_mentions(code: bytes, expected: bool) -> None:
    assert survey(code).mentions is expected


def test_every_import_of_the_standard_library_is_seen() -> None:
    folder = Path(sysconfig.get_path("stdlib"))
    for path in random.Random(3).sample(sorted(folder.glob("*.py")) + sorted(folder.glob("asyncio/*.py")), 60):
        data = path.read_bytes()
        seen = set(survey(data).imports)
        for one in extract(path.name, data).imports:
            assert (one.whole or one.module) in seen, f"{path}:{one.line}"
