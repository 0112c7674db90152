"""Every piece of Python in the docs compiles; complete apps are served; programs print what the page says."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from openai import OpenAI

from turnlane.cli.serve import greeting
from turnlane.runtime.loading import load_app

from .pages import README, ROOT, Block, all_blocks, app_before, blocks, output_after
from .serving import ADDRESS_IN_DOCS, PATIENCE, run_python, served

TUTORIAL = ROOT / "docs/tutorial/from-notebook-to-service.md"
TESTING = ROOT / "docs/how-to/test-your-agents.md"


@pytest.mark.parametrize("block", all_blocks("python"), ids=str)
def test_it_compiles(block: Block) -> None:
    # Cells of a notebook await at their top level.
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("block", all_blocks("python", "app"), ids=str)
def test_an_app_is_served_and_answers(block: Block, tmp_path: Path) -> None:
    target = saved(block, tmp_path)
    assert load_app([str(target)]).agents
    with served(target, tmp_path / "data") as server:
        client = OpenAI(base_url=f"{server.url}/v1", api_key="none needed on loopback")
        for agent in server.app.agents:
            answer = client.responses.create(model=agent, input="Hello!")
            assert answer.status == "completed"
            assert answer.output_text


@pytest.mark.parametrize("block", all_blocks("python", "run"), ids=str)
def test_a_program_prints_what_the_page_says(block: Block, tmp_path: Path) -> None:
    named = block.use.partition(" ")[2]
    target = ROOT / named if "/" in named else saved(app_before(block), tmp_path)
    with served(target, tmp_path / "data") as server:
        assert ADDRESS_IN_DOCS in block.text
        printed = run_python("-c", block.text.replace(ADDRESS_IN_DOCS, server.url))
    assert printed.strip() == output_after(block).strip()


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    [app] = [block for block in blocks(TESTING) if block.use == "app"]
    (tmp_path / "support.py").write_text(app.text)
    tests = [block for block in blocks(TESTING) if block.use == "test"]
    for number, block in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(block.text)
    # Of its own, not of the run around it: options, the worker's name.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--rootdir={tmp_path}",
        str(tmp_path),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert re.search(rf"^{count_of(tests)} passed", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_the_tutorial_ends_with_the_tests_that_were_run() -> None:
    written = [block.text for block in blocks(TESTING) if block.use == "test"]
    assert [block.text for block in blocks(TUTORIAL) if "def test_" in block.text] == written[:1]


def test_the_readme_shows_what_the_server_prints(tmp_path: Path) -> None:
    shown = next(block.text for block in blocks(README) if "listening on" in block.text)
    with served(ROOT / "examples/support.py", tmp_path) as server:
        printed = greeting(server)
    assert without_places(shown) == without_places(printed)


def without_places(text: str) -> str:
    """Ports, and the path of the data folder, differ from run to run."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    return re.sub(r"(?m)^(  data +).*$", r"\1FOLDER", text).strip()


def saved(block: Block, folder: Path) -> Path:
    """The block as a file whose module name no other test uses: an imported module stays."""
    path = folder / f"{re.sub('[^a-z]', '_', block.page.lower())}_{block.line}.py"
    path.write_text(block.text)
    return path


def count_of(tests: list[Block]) -> int:
    return sum(block.text.count("\ndef test_") for block in tests)
