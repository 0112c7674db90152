"""Files that are named by an absolute path: the way up to the root ends there."""

from __future__ import annotations

from pathlib import Path

from turnlane.checker.rules.typescript.node_mismatch import NodeMismatch
from turnlane.checker.settings import Settings
from turnlane.checker.texts import Texts
from turnlane.checker.typescript.language import TYPESCRIPT

CODE = b'const { Agent } = require("@openai/agents");\nconst agent = new Agent({ name: "a" });\n'


def test_the_search_for_a_package_ends_at_the_root(tmp_path: Path) -> None:
    path = (tmp_path / "app" / "main.js").as_posix()
    facts = {path: TYPESCRIPT.extract(path, CODE)}

    assert facts[path].imports
    assert list(TYPESCRIPT.check(facts, Texts(), [NodeMismatch()], Settings())) == []
