"""The smoke part: what must work wherever Turnlane is installed. It needs pytest and the wheel, nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest
from openai import OpenAI

import turnlane

pytestmark = pytest.mark.smoke

EXAMPLE = Path(__file__).parents[2] / "examples" / "support.py"


def turnlane_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "turnlane.cli.main", *arguments]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of a real `turnlane serve` of the support example."""
    command = turnlane_command(
        "serve", str(EXAMPLE), "--practice", "--port", "0", "--data", str(tmp_path / "data")
    )
    server = subprocess.Popen(
        [*command, "--log-format", "text"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    try:
        found = next((match for line in server.stdout if (match := re.match(r"listening on (\S+)", line))), None)
        assert found is not None, "the server ended before it listened"
        yield found[1]
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert server.returncode == 0


def test_the_version_is_the_packages() -> None:
    said = subprocess.run(turnlane_command("--version"), capture_output=True, text=True, check=True)
    assert said.stdout.strip() == version("turnlane") == turnlane.__version__


def test_a_hazard_is_explained() -> None:
    said = subprocess.run(turnlane_command("explain", "TL201"), capture_output=True, text=True, check=True)
    assert "shared-agent" in said.stdout


def test_what_is_no_code_is_in_the_package_too() -> None:
    package = files("turnlane")
    assert (package / "py.typed").is_file()
    assert (package / "practice" / "default.yaml").is_file()
    assert any(page.name.startswith("TL201") for page in (package / "hazards" / "pages").iterdir())


def test_a_served_agent_remembers_and_streams(address: str) -> None:
    client = OpenAI(base_url=f"{address}/v1", api_key="none needed")
    conversation = client.conversations.create()
    client.responses.create(model="support", conversation=conversation.id, input="My name is Ann.")
    stream = client.responses.create(
        model="support", conversation=conversation.id, input="What is my name?", stream=True
    )
    events = list(stream)
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert "Ann" in text
    assert events[-1].type == "response.completed"


def test_the_practice_provider_is_a_fixture(practice_provider: object) -> None:
    client = OpenAI()
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello!"}])
    assert answer.choices[0].message.content
    assert len(practice_provider.requests) == 1  # type: ignore[attr-defined]
