"""`pytest --turnlane-guard`: the guard watches the tests; one in which it sees a hazard fails with its words."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable
from typing import Any

import pytest

from turnlane.guard import GuardSettings, install
from turnlane.guard.summary import text

ALLOW = "turnlane_guard_allow"
"""The marker that lets a test show some hazards: `@pytest.mark.turnlane_guard_allow("TL401")`."""


HANDED_OVER = "turnlane_guard"


class HazardsSeen(AssertionError):
    """The guard saw hazards while a test ran; the message is the guard's summary of them."""


class GuardedTests:
    """Installs the guard for a test run and hands each hazard to the test that runs when it is seen."""

    def __init__(self, *, strict: bool) -> None:
        """
        Args:
            strict: raise `turnlane.guard.HazardError` at the place of the hazard, too.
        """
        self._seen: list[dict[str, Any]] = []
        self._outside: list[dict[str, Any]] = []
        settings = GuardSettings(output=os.devnull, strict=strict, summary=False)
        install(settings).listeners.append(self._hear)

    def _hear(self, record: dict[str, Any]) -> None:
        self._seen.append({"kind": "hazard", "pid": os.getpid(), **record})

    def _taken(self) -> list[dict[str, Any]]:
        # Without a lock: another thread may report meanwhile, and so may a collection in this one.
        return [self._seen.pop(0) for _ in range(len(self._seen))]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """What is seen between two tests, in fixtures of modules or at imports, belongs to neither."""
        self._outside += self._taken()
        result = yield
        self._outside += self._taken()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail a test that passed and showed a hazard; beside another failure, show it."""
        try:
            result = yield
        except BaseException:
            if told := _told(self._taken()):
                item.add_report_section("call", "turnlane guard", told)
            raise
        if told := _told(_unless_allowed(self._taken(), item)):
            raise HazardsSeen(told)
        return result

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker of pytest-xdist has no terminal: it hands over what was seen outside of its tests."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[HANDED_OVER] = json.dumps(self._outside + self._taken(), default=str)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker of pytest-xdist has seen."""
        self._outside += json.loads(getattr(node, "workeroutput", {}).get(HANDED_OVER, "[]"))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show what was seen outside of the tests."""
        if told := _told(self._outside + self._taken()):
            terminalreporter.section("turnlane guard: seen outside of the tests")
            terminalreporter.write_line(told)


def _unless_allowed(records: Iterable[dict[str, Any]], item: pytest.Item) -> list[dict[str, Any]]:
    allowed = {code for mark in item.iter_markers(ALLOW) for code in mark.args}
    return [record for record in records if record["code"] not in allowed]


def _told(records: list[dict[str, Any]]) -> str:
    return text(records) if records else ""
