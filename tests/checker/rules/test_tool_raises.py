"""TL401: which `except` keeps an exception inside the tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnlane.checker.finding import Finding
from turnlane.checker.languages import language
from turnlane.checker.rules.tool_raises import ToolRaises
from turnlane.checker.settings import Settings
from turnlane.checker.texts import Texts

TOOL = """\
import contextlib

import requests
from autogen_agentchat.agents import AssistantAgent


class Refused(Exception):
    pass


def tool(number: int) -> str:
    {opening}:
        raise {raised}
    {closing}


agent = AssistantAgent("support", None, tools=[tool])
"""


def lines(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str = "main.py") -> list[int]:
    monkeypatch.chdir(folder)
    (folder / name).write_text(text)
    python = language("python")
    assert python is not None
    found = python.check({name: python.extract(name, text.encode())}, Texts(), [ToolRaises()], Settings())
    return [one.place.line for one in found if isinstance(one, Finding)]


@pytest.mark.parametrize(
    ("opening", "raised", "closing", "leaves"),
    [
        ("try", "ValueError('no')", "except ValueError:\n        return ''", False),
        ("try", "KeyError('no')", "except LookupError:\n        return ''", False),
        ("try", "ValueError('no')", "except (OSError, ValueError):\n        return ''", False),
        ("try", "ValueError('no')", "except OSError:\n        return ''", True),
        ("try", "ValueError('no')", "except requests.RequestException:\n        return ''", True),
        ("try", "Refused('no')", "except Refused:\n        return ''", False),
        ("try", "Refused('no')", "except OSError:\n        return ''", False),  # what it inherits is not looked up
        ("try", "ValueError('no')", "except:\n        return ''", False),
        ("try", "ValueError('no')", "finally:\n        print('done')", True),
        ("with contextlib.suppress(ValueError)", "ValueError('no')", "return ''", False),
        ("with open('log')", "ValueError('no')", "return ''", True),
        ("if number < 0", "ValueError", "return ''", True),
        ("if number < 0", "NotImplementedError", "return ''", False),
    ],
)
def test_what_leaves_a_tool(
    opening: str, raised: str, closing: str, leaves: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TOOL.format(opening=opening, raised=raised, closing=closing)

    assert lines(tmp_path, monkeypatch, text) == ([13] if leaves else [])


def test_a_test_of_tools_may_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TOOL.format(opening="if number < 0", raised="ValueError", closing="return ''")

    assert lines(tmp_path, monkeypatch, text, "test_tools.py") == []


@pytest.mark.parametrize(
    ("registered", "says"),
    [
        ("from autogen_core.tools import FunctionTool\nFunctionTool(tool, description='')", "user's answer"),
        (
            "from autogen import ConversableAgent\nConversableAgent('a').register_for_llm(description='')(tool)",
            "not what it may do now",
        ),
    ],
)
def test_what_the_user_is_told_depends_on_the_framework(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registered: str, says: str
) -> None:
    text = (
        "def tool(n: int) -> int:\n    if n < 0:\n        raise ValueError\n    raise KeyError\n\n\n"
        + registered
        + "\n"
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.py").write_text(text)
    python = language("python")
    assert python is not None
    found = python.check(
        {"main.py": python.extract("main.py", text.encode())}, Texts(), [ToolRaises()], Settings()
    )
    (finding,) = [one for one in found if isinstance(one, Finding)]
    assert says in finding.message
    assert "(and at 1 more place below)" in finding.message
