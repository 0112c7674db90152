"""Which file an import means."""

from __future__ import annotations

import pytest

from turnlane.checker.python.names import Names

FILES = (
    "main.py",
    "agents/__init__.py",
    "agents/writer.py",
    "web/api.py",
    "src/app/core.py",
    "other/agents/writer.py",
    "other/main.py",
)


@pytest.mark.parametrize("root", ["", "/srv/trees/", "../elsewhere/"])
@pytest.mark.parametrize(
    ("dotted", "importer", "expected"),
    [
        ("agents.writer", "main.py", "agents/writer.py"),
        ("agents.writer", "web/api.py", "agents/writer.py"),
        ("agents", "web/api.py", "agents/__init__.py"),
        ("agents.writer", "other/main.py", "other/agents/writer.py"),
        (".writer", "agents/__init__.py", "agents/writer.py"),
        ("..agents", "web/api.py", "agents/__init__.py"),
        ("app.core", "main.py", "src/app/core.py"),
        ("json", "main.py", None),
        ("agents.reader", "main.py", None),
    ],
)
def test_an_import_goes_to_the_nearest_file_of_that_name(
    root: str, dotted: str, importer: str, expected: str | None
) -> None:
    names = Names([root + path for path in FILES])

    assert names.module(dotted, root + importer) == (None if expected is None else root + expected)


def test_a_framework_is_never_a_file_of_the_project() -> None:
    names = Names(["main.py", "autogen_agentchat/agents.py"])

    assert names.module("autogen_agentchat.agents", "main.py") is None


def test_a_file_named_as_the_library_it_wraps_does_not_import_itself() -> None:
    names = Names(["memory/__init__.py", "memory/mem0.py", "main.py"])

    assert names.module("mem0", "memory/mem0.py") is None
    assert names.module("memory.mem0", "main.py") == "memory/mem0.py"
