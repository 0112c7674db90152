"""The OpenAPI document, and requests generated from it against a real server (schemathesis)."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from turnlane.server.app import ALL_OPERATIONS
from turnlane.server.openapi import document

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]

DOCUMENT = document(ALL_OPERATIONS)
schema = schemathesis.openapi.from_dict(DOCUMENT)


class Background:
    """A server with its own loop in a thread, since schemathesis calls synchronously."""

    def __init__(self, serve: Any, folder: Path) -> None:
        self._serve = serve
        self._folder = folder
        self.url = ""
        self._up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        async with self._serve(self._folder, metrics=lambda: (b"up 1\n", "text/plain")) as served:
            self.url = served.url
            self._up.set()
            await self._stop.wait()

    def __enter__(self) -> str:
        self._thread.start()
        assert self._up.wait(10)
        return self.url

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, serve_in: Any) -> Iterator[str]:
    with Background(serve_in, tmp_path_factory.mktemp("openapi")) as url:
        yield url


@schema.parametrize()
@settings(
    max_examples=8,
    derandomize=True,  # the same requests every time: a red suite means a change, not luck
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_requests_from_the_document_get_documented_answers(case: Any, url: str) -> None:
    model = case.body.get("model") if isinstance(case.body, dict) else None
    if isinstance(model, str) and 1 <= len(model) <= 128:
        case.body["model"] = "echo"  # else nearly all bodies would end at "no such agent"
    case.call_and_validate(base_url=url, checks=CHECKS, timeout=20)


def test_the_document_has_every_route_once() -> None:
    names = [operation.name for operation in ALL_OPERATIONS]
    assert len(names) == len(set(names))
    paths = {(operation.method, operation.path) for operation in ALL_OPERATIONS}
    assert len(paths) == len(ALL_OPERATIONS)


def test_every_reference_in_the_document_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/(\w+)", str(DOCUMENT)):
        assert name in schemas


@pytest.mark.anyio
async def test_the_document_is_served(served: Any) -> None:
    answer = await served.http().get("/openapi.json")
    assert answer.json() == DOCUMENT
