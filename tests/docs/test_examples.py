"""The examples are served for real, and talked to by the clients that stand beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .pages import ROOT, all_blocks
from .serving import ADDRESS_IN_DOCS, run, run_python, served

EXAMPLES = ROOT / "examples"
APPS = sorted(path for path in EXAMPLES.glob("*.py") if path.name != "client.py")
TYPESCRIPT = EXAMPLES / "typescript"
ASKED = ("> Hello! My name is Ann.", "> Where is my order 1001?", "> What is my name?")

needs_node_modules = pytest.mark.skipif(
    shutil.which("npm") is None or not (TYPESCRIPT / "node_modules").is_dir(),
    reason="run: npm ci --prefix examples/typescript",
)


@pytest.mark.parametrize("example", APPS, ids=lambda path: path.name)
def test_an_example_answers_the_client_of_the_examples(example: Path, tmp_path: Path) -> None:
    with served(example, tmp_path) as server:
        for agent in server.app.agents:
            printed = run_python(str(EXAMPLES / "client.py"), server.url, agent)
            parts = [printed.partition(asked)[2].partition("\n> ")[0].strip() for asked in ASKED]
            assert parts[0], f"{agent} did not answer: {printed}"


def test_the_support_example_looks_up_an_order_and_remembers(tmp_path: Path) -> None:
    with served(EXAMPLES / "support.py", tmp_path) as server:
        assert_support(run_python(str(EXAMPLES / "client.py"), server.url, "support"))


@needs_node_modules
def test_the_typescript_client_is_told_the_same(tmp_path: Path, built_client: Path) -> None:
    with served(EXAMPLES / "support.py", tmp_path) as server:
        assert_support(run(["node", str(built_client), server.url, "support"]))


@needs_node_modules
def test_the_typescript_of_the_docs_resumes_a_stream(tmp_path: Path) -> None:
    [block] = all_blocks("ts")
    with served(EXAMPLES / "support.py", tmp_path / "data") as server:
        program = built(block.text.replace(ADDRESS_IN_DOCS, server.url), tmp_path / "resume")
        printed = run(["node", str(program)])
    assert printed.startswith("I am the support agent of a small shop")
    assert printed.endswith("hand you over to a human.")


@needs_node_modules
def test_the_typescript_package_can_do_everything(tmp_path: Path) -> None:
    with served(EXAMPLES / "support.py", tmp_path / "data") as server:
        program = built((ROOT / "tests/typescript/surface.ts").read_text(), tmp_path / "surface")
        printed = run(["node", str(program), server.url, "support"])
    told = {found.pop("step"): found for found in map(json.loads, printed.splitlines())}
    assert told["plain"] == {"status": "completed", "text": "You have not told me your name yet. What is it?"}
    assert told["stream"] == {
        "text": "Your name is Ann.",
        "last": "response.completed",
        "items": ["message"] * 4,
        "metadata": {"from": "typescript"},
    }
    assert told["previous"] == {"text": "Your name is Bob."}
    assert told["resume"] == {"status": "completed", "without_gaps": True, "same_text": True, "left": 9}
    assert told["cancel"] == {"status": "cancelled"}
    assert told["chat"]["same_text"]
    assert told["chat"]["text"].startswith("Your order 1001 is shipped.")
    assert told["unknown"] == {"param": "previous_response_id", "code": "not_found"}
    assert told["models"] == {"models": ["support"]}


def assert_support(printed: str) -> None:
    assert '[look_up_order({"order_id": "1001"})] Your order 1001 is shipped.' in printed
    assert printed.endswith("> What is my name?\nYour name is Ann.\n")


@pytest.fixture
def built_client(tmp_path: Path) -> Path:
    return built((TYPESCRIPT / "client.ts").read_text(), tmp_path / "client")


def built(source: str, folder: Path) -> Path:
    """The program that `npm start` would build, in a folder of its own: tests run beside each other."""
    folder.mkdir()
    (folder / "client.ts").write_text(source)
    for name in ("package.json", "tsconfig.json"):
        shutil.copy(TYPESCRIPT / name, folder)
    (folder / "node_modules").symlink_to(TYPESCRIPT / "node_modules", target_is_directory=True)
    run(["node", "node_modules/typescript/bin/tsc"], folder)
    return folder / "dist" / "client.js"
