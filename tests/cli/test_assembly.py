"""A serving process put together and taken apart: order, environment, address, and what it tells."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from turnlane.cli.assembly import PRACTICE_KEY, complaints, running, running_in_thread
from turnlane.cli.complaint import Complaint
from turnlane.cli.engine_address import EngineAddressError
from turnlane.cli.listener import AddressUnavailable
from turnlane.runtime.app import App, AppError
from turnlane.runtime.loading import load_app
from turnlane.runtime.settings import ServeSettings
from turnlane.server.keys import KeysError
from turnlane.telemetry.events import add_sink

pytestmark = pytest.mark.anyio


@pytest.fixture
def app(echo: Path) -> App:
    return load_app([str(echo)])


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., ServeSettings]:
    """Settings on a free port with a data folder of the test's own."""

    def make(**changes: Any) -> ServeSettings:
        return ServeSettings(**{"port": 0, "data": tmp_path / "data", **changes})

    return make


@pytest.fixture
def told() -> Iterator[list[tuple[str, Mapping[str, Any]]]]:
    events: list[tuple[str, Mapping[str, Any]]] = []
    remove = add_sink(lambda name, fields: events.append((name, fields)))
    yield events
    remove()


async def ask(url: str, path: str, **body: Any) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        return await (client.post(path, json=body) if body else client.get(path))


async def test_it_serves_from_the_first_line_of_the_block_to_the_last(
    app: App, settings: Callable[..., ServeSettings], told: list[tuple[str, Mapping[str, Any]]]
) -> None:
    async with running(app, settings()) as server:
        assert (await ask(server.url, "/readyz")).status_code == 200
        answer = await ask(server.url, "/v1/responses", model="agent", input="hello")
        assert answer.json()["output"][0]["content"][0]["text"] == "echo hello"
    with pytest.raises(httpx2.ConnectError):
        await ask(server.url, "/readyz")
    names = [name for name, _ in told if name.startswith("server.")]
    assert names == ["server.started", "server.draining", "server.stopped"]
    assert dict(told)["server.started"]["address"] == server.url


async def test_same_folder_and_port_can_be_used_again_at_once(
    app: App, settings: Callable[..., ServeSettings]
) -> None:
    async with running(app, settings()) as first:
        port = int(first.url.rpartition(":")[2])
        await ask(first.url, "/healthz")
    async with running(app, settings(port=port)) as second:
        assert second.url == first.url
        assert (await ask(second.url, "/healthz")).status_code == 200


async def test_practice_provider_is_in_the_environment_before_the_app_is_loaded_and_gone_afterwards(
    app: App, settings: Callable[..., ServeSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-users-own")
    seen: list[str | None] = []

    def load() -> App:
        seen.extend(os.environ.get(name) for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"))
        return app

    async with running(load, settings(practice=True)) as server:
        assert server.practice is not None
        assert seen == [server.practice.base_url, PRACTICE_KEY]
    assert os.environ["OPENAI_API_KEY"] == "sk-the-users-own"
    assert "OPENAI_BASE_URL" not in os.environ


async def test_metrics_ask_the_engine_at_the_scrape(app: App, settings: Callable[..., ServeSettings]) -> None:
    async with running(app, settings()) as server:
        page = (await ask(server.url, "/metrics")).text
        assert "turnlane_turns_queued 0.0" in page
        assert "turnlane_conversations_active 0.0" in page


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("localhost", "localhost"), ("0.0.0.0", "127.0.0.1")]
)
async def test_shown_address_can_be_typed_into_a_client(
    app: App, settings: Callable[..., ServeSettings], host: str, shown: str
) -> None:
    async with running(app, settings(host=host, allow_anonymous=True)) as server:
        assert server.url.startswith(f"http://{shown}:")
        assert (await ask(server.url, "/healthz")).status_code == 200


async def test_ipv6_address_is_shown_in_brackets(app: App, settings: Callable[..., ServeSettings]) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with running(app, settings(host="::1")) as server:
        assert server.url.startswith("http://[::1]:")
        assert (await ask(server.url, "/healthz")).status_code == 200


async def test_what_fails_late_leaves_nothing_behind(
    app: App, settings: Callable[..., ServeSettings], echo: Path
) -> None:
    broken = App()
    broken.add(lambda: 1 / 0, name="broken")
    with pytest.raises(AppError, match="ZeroDivisionError"):
        async with running(broken, settings()):
            raise AssertionError("not reached")
    async with running(app, settings()):  # the folder is free again
        pass


@pytest.mark.parametrize(
    ("changes", "error", "status"),
    [
        ({"host": "0.0.0.0"}, KeysError, 2),
        ({"api_key_file": Path("gone")}, KeysError, 2),
        ({"host": "no.such.host.invalid"}, AddressUnavailable, 1),
        ({"engine": "redis://x"}, EngineAddressError, 2),
        ({"no_worker": True}, EngineAddressError, 2),
    ],
)
async def test_what_it_refuses_becomes_a_sentence_and_a_status(
    app: App, settings: Callable[..., ServeSettings], changes: dict[str, Any], error: type[Exception], status: int
) -> None:
    with pytest.raises(Complaint) as caught, complaints():
        async with running(app, settings(**changes)):
            raise AssertionError("not reached")
    assert isinstance(caught.value.__cause__, error)
    assert caught.value.status == status


async def test_framework_that_is_not_installed_names_the_extra(
    app: App, settings: Callable[..., ServeSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "turnlane.runtime.agents.agentchat", None)
    with pytest.raises(AppError, match="pip install"):
        async with running(app, settings()):
            raise AssertionError("not reached")


def test_thread_tells_what_went_wrong_while_it_started(settings: Callable[..., ServeSettings]) -> None:
    def load() -> App:
        raise AppError("not today")

    with pytest.raises(AppError, match="not today"), running_in_thread(load, settings()):
        raise AssertionError("not reached")


def test_thread_serves(app: App, settings: Callable[..., ServeSettings]) -> None:
    with running_in_thread(app, settings()) as server:
        assert httpx2.get(f"{server.url}/readyz", trust_env=False).status_code == 200
