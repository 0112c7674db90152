"""A provider on loopback, and programs written to files of their own: the guard looks at what a program says."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from turnlane.practice import PracticeProvider, Rule


@pytest.fixture
def provider() -> Iterator[PracticeProvider]:
    """Answers everything with "hi"."""
    with PracticeProvider.in_thread([Rule(say="hi")]) as provider:
        yield provider


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, PracticeProvider], dict[str, Any]]:
    """Runs a program as a script, with the provider in its environment; gives its names."""

    def run(text: str, provider: PracticeProvider) -> dict[str, Any]:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "practice")
        file = tmp_path / "program.py"
        file.write_text(dedent(HEAD) + dedent(text))
        return runpy.run_path(str(file), run_name="__main__")

    return run


HEAD = """
import asyncio
import contextlib
import threading
import openai
from openai import AsyncOpenAI, OpenAI

async def ask(client, text="hello", **options):
    options = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **options}
    return (await client.chat.completions.create(**options)).choices[0].message.content

def ask_sync(client, text="hello"):
    options = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
    return client.chat.completions.create(**options).choices[0].message.content

"""
