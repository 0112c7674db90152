"""TL101 and TL102: what one file of examples can't show."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnlane.checker.finding import Finding
from turnlane.checker.languages import language
from turnlane.checker.rules.nested_loop import NestedLoop
from turnlane.checker.settings import Settings
from turnlane.checker.texts import Texts


def check(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> list[Finding]:
    """What TL101 says of `name.py` files."""
    monkeypatch.chdir(folder)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    texts = Texts()
    python = language("python")
    assert python is not None
    facts = {f"{name}.py": python.extract(f"{name}.py", text.encode()) for name, text in files.items()}
    return [one for one in python.check(facts, texts, [NestedLoop()], Settings()) if isinstance(one, Finding)]


HELPER = """\
import asyncio


async def fetch(): ...


def call():
    return asyncio.run(fetch())
"""


def test_every_async_caller_in_another_file_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = (
        "from helper import call\n\n\nasync def one():\n    call()\n\n\nasync def two():\n    call()\n    call()\n"
    )

    found = check(tmp_path, monkeypatch, helper=HELPER, main=main)

    assert sorted((one.place.path, one.place.line) for one in found) == [
        ("main.py", 5),
        ("main.py", 9),
        ("main.py", 10),
    ]


def test_the_trace_leads_from_the_async_function_to_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = "from helper import call\n\n\nasync def one():\n    call()\n\n\nasync def two():\n    call()\n"

    found = check(tmp_path, monkeypatch, helper=HELPER, main=main)

    assert ["`one` -> `call` -> `asyncio.run`" in one.message for one in sorted(found)] == [True, False]
    assert ["`two` -> `call` -> `asyncio.run`" in one.message for one in sorted(found)] == [False, True]


def test_a_function_with_callers_that_cannot_await_is_not_made_async(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = HELPER + "\n\nasync def one():\n    call()\n\n\ndef two():\n    call()\n"

    (found,) = check(tmp_path, monkeypatch, main=main)

    assert found.fix is None


def test_a_process_with_nest_asyncio_is_left_to_its_own_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = (
        "import nest_asyncio\nfrom helper import call\n\nnest_asyncio.apply()\n\n\nasync def one():\n    call()\n"
    )

    assert check(tmp_path, monkeypatch, helper=HELPER, main=main) == []


def test_an_empty_generic_is_no_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = "import asyncio\n\n\nclass Odd(tuple[()]): ...\n\n\nasync def one(x: list[()]):\n    asyncio.run(x)\n"

    assert [one.place.line for one in check(tmp_path, monkeypatch, odd=odd)] == [8]


def test_chainlit_patches_asyncio_when_its_command_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = (
        "import asyncio\n\nimport chainlit as cl\n\n\nasync def fetch(): ...\n\n\n"
        "@cl.on_chat_start\nasync def start():\n    asyncio.run(fetch())\n"
    )

    (found,) = check(tmp_path, monkeypatch, main=main)

    assert found.place.line == 11
    assert found.severity == "warning"
    assert "`chainlit run` has patched asyncio" in found.message
