"""The pytest plugin: fixtures for tests of your own agents. It imports no framework until a fixture is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from turnlane.cli.assembly import RunningServer
    from turnlane.practice import PracticeProvider
    from turnlane.probe.report import Report


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--turnlane-guard` and `--turnlane-guard-strict`: two flags, since a value could be taken for a path."""
    group = parser.getgroup("turnlane")
    group.addoption(
        "--turnlane-guard",
        action="store_true",
        help="watch the tests with the guard: a test that shows a hazard fails with its words",
    )
    group.addoption(
        "--turnlane-guard-strict",
        action="store_true",
        help="the same, and raise turnlane.guard.HazardError at the hazard's place",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Put the guard in before the tests are imported, if it is asked for."""
    config.addinivalue_line("markers", "turnlane_guard_allow(*codes): hazards that this test may show")
    strict = bool(config.getoption("--turnlane-guard-strict"))
    if strict or config.getoption("--turnlane-guard"):
        from turnlane.testing.guarded_tests import GuardedTests

        config.pluginmanager.register(GuardedTests(strict=strict), "turnlane-guard")


@pytest.fixture
def practice_provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[PracticeProvider]:
    """A practice provider in a thread of its own; `OPENAI_BASE_URL` and `OPENAI_API_KEY` point at it.

    `practice_provider.requests` holds what your agents sent; give it rules of your own with
    `practice_provider.use([Rule(...)])`.
    """
    from turnlane.practice import PracticeProvider

    with PracticeProvider.in_thread() as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "practice")
        yield provider


@pytest.fixture(scope="session")
def turnlane_probe() -> Callable[..., Report]:
    """Lets simulated users talk to a program: `turnlane_probe("my_app:handler").no_leaks`.

    Takes the function or ASGI app itself too; keyword arguments are the options of `turnlane probe`.
    """
    from turnlane.testing.probing import probed

    return probed


@pytest.fixture
def serve_agents(practice_provider: PracticeProvider, tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Serves agents for the length of a test, against `practice_provider`.

    Call it with an `App`, or with one or more factories; keyword arguments are those of `ServeSettings`.
    The server's address is `serve_agents(build).url`.
    """
    from turnlane.cli.assembly import running_in_thread
    from turnlane.runtime.app import App
    from turnlane.runtime.settings import ServeSettings

    with ExitStack() as stack:

        def serve(*agents: App | Callable[..., Any], **settings: Any) -> RunningServer:
            app = next((agent for agent in agents if isinstance(agent, App)), App())
            for factory in agents:
                if not isinstance(factory, App):
                    app.add(factory)
            chosen = ServeSettings(**{"port": 0, "data": tmp_path / "turnlane", **settings})
            return stack.enter_context(running_in_thread(app, chosen))

        yield serve
