"""What the tests of this folder share: files given as texts, checked as a run would."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from turnlane.checker.deployment.language import DEPLOYMENT
from turnlane.checker.finding import Finding, Note
from turnlane.checker.rules import all_rules
from turnlane.checker.settings import Settings
from turnlane.checker.texts import Texts

Check = Callable[[Mapping[str, str | bytes]], list[Finding | Note]]


@pytest.fixture
def check() -> Check:
    """Check files by path; findings and notes in the order of their places."""

    def run(files: Mapping[str, str | bytes]) -> list[Finding | Note]:
        data = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
        facts = {path: DEPLOYMENT.extract(path, content) for path, content in data.items()}
        return list(DEPLOYMENT.check(facts, Texts({}), all_rules(("deployment",)), Settings()))

    return run
