"""What the generator reads from a framework's source."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from turnlane.checker.libraries.packages import Packages
from turnlane.checker.libraries.signatures import Table, describe

AGENTS = """
from __future__ import annotations
from abc import ABC, abstractmethod
from typing import AsyncGenerator, Awaitable, Optional, Self, overload

class ChatAgent(ABC):
    @abstractmethod
    def run_stream(self, task: str) -> AsyncGenerator[str, None]: ...

class BaseChatAgent(ChatAgent):
    def __init__(self, name: str, *, tools: list | None = None, **kwargs) -> None: ...
    async def run(self, task: str) -> str: ...
    async def run_stream(self, task: str):
        async def inner():
            return 1
        yield task
    def reset(self) -> None: ...
    async def a_reset(self) -> None: ...
    def on_messages(self) -> Awaitable[str]: ...
    def stop(self) -> "Optional[BaseChatAgent]": ...
    @classmethod
    def load(cls) -> Self: ...
    @property
    def name(self) -> str: ...
    @property
    def parent(self) -> "BaseChatAgent": ...
    def _private(self): ...

class NotAnAgent:
    def run(self): ...
"""


@pytest.fixture
def table(tmp_path: Path) -> Table:
    wheel = tmp_path / "autogen_agentchat-0.9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("autogen_agentchat/__init__.py", "")
        archive.writestr("autogen_agentchat/base.py", "from ._agents import ChatAgent\n")
        archive.writestr(
            "autogen_agentchat/agents/__init__.py", "from .._agents import *\nAlias = BaseChatAgent\n"
        )
        archive.writestr("autogen_agentchat/_agents.py", AGENTS)
        archive.writestr("autogen_agentchat/template.py", "{{ not python }}")
    packages = Packages()
    packages.add_wheel(wheel)
    return describe(packages)


def test_methods(table: Table) -> None:
    methods = table.classes["autogen_agentchat._agents.BaseChatAgent"][6]

    assert methods == {
        "run": "a!",
        "run_stream": "g!",
        "reset": "s ~a_reset",
        "a_reset": "a",
        "on_messages": "a!",
        "stop": "s >autogen_agentchat._agents.BaseChatAgent",
        "load": "sc >Self",
        "parent": "p >autogen_agentchat._agents.BaseChatAgent",
    }


def test_class(table: Table) -> None:
    distribution, family, role, state, bases, parameters, _ = table.classes[
        "autogen_agentchat._agents.BaseChatAgent"
    ]

    assert (distribution, family, role, state) == ("autogen-agentchat", "agentchat", "agent", 1)
    assert bases == ["autogen_agentchat._agents.ChatAgent"]
    assert parameters == ["name", "*", "tools", "**"]


def test_an_abstract_stream_is_a_stream(table: Table) -> None:
    assert table.classes["autogen_agentchat._agents.ChatAgent"][6] == {"run_stream": "g!"}


def test_other_classes_are_left_out(table: Table) -> None:
    assert "autogen_agentchat._agents.NotAnAgent" not in table.classes


def test_aliases(table: Table) -> None:
    assert table.aliases["autogen_agentchat.agents"] == {
        "Alias": "autogen_agentchat._agents.BaseChatAgent",
        "BaseChatAgent": "autogen_agentchat._agents",
        "ChatAgent": "autogen_agentchat._agents",
    }
