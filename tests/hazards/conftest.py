"""Runs the examples of the pages against a provider on loopback: real sockets, real `openai`, scripted answers.

The provider refuses what OpenAI refuses, a tool call without its result, and keeps every request.
"""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import json
import re
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane import hazards
from turnlane.hazards import Example

Message = dict[str, Any]


@dataclass
class Answer:
    """What the provider says to one request."""

    text: str | None = None
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    """Tool calls: name and arguments."""
    finish: str | None = None
    status: int = 200
    error: str = "scripted error"
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


Script = Callable[[list[Message]], Answer]


def echo(messages: list[Message]) -> Answer:
    """Answer with the last thing that a user said."""
    return Answer(text=f"You said: {last_user_text(messages)}")


def last_user_text(messages: list[Message]) -> str:
    return next((text_of(m) for m in reversed(messages) if m["role"] == "user"), "")


def text_of(message: Message) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


@dataclass
class Provider:
    """The server, its script and what it was asked."""

    script: Script = echo
    delay: float = 0.0
    requests: list[list[Message]] = field(default_factory=list)
    connections: set[tuple[str, int]] = field(default_factory=set)
    """The client's end of every connection that it accepted."""
    running: int = 0
    most_at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer | None = None

    def say(self, text: str | None = None, **details: Any) -> Answer:
        """Return an answer for a script."""
        return Answer(text, **details)

    def calls_then(self, *calls: str, text: str = "done", **arguments: Any) -> None:
        """Script: ask for these tools after each user message, and answer with the text after the tools."""

        def script(messages: list[Message]) -> Answer:
            if messages[-1]["role"] == "user":
                return Answer(calls=tuple((call, arguments) for call in calls))
            return Answer(text)

        self.script = script

    @property
    def base_url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def user_texts(self) -> list[list[str]]:
        """What users said, per request."""
        return [[text_of(m) for m in messages if m["role"] == "user"] for messages in self.requests]

    def start(self) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                provider._serve(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that hangs up is part of several hazards

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        messages: list[Message] = body["messages"]
        with self._lock:
            self.requests.append(messages)
            self.connections.add(handler.client_address)
            self.running += 1
            self.most_at_once = max(self.most_at_once, self.running)
        try:
            answer = unpaired_call(messages) or self.script(messages)
            time.sleep(answer.delay or self.delay)
        finally:
            with self._lock:
                self.running -= 1
        payload = json.dumps(_body(answer)).encode()
        handler.send_response(answer.status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(payload)))
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(payload)


def unpaired_call(messages: list[Message]) -> Answer | None:
    """Return OpenAI's refusal when the history has a tool call without a result, or the reverse."""
    open_calls: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                return Answer(
                    status=400,
                    error="Invalid parameter: messages with role 'tool' must be a response to a preceeding "
                    "message with 'tool_calls'.",
                )
            open_calls.discard(message["tool_call_id"])
            continue
        if open_calls:
            break
        open_calls = {call["id"] for call in message.get("tool_calls") or ()}
    if not open_calls:
        return None
    return Answer(
        status=400,
        error="An assistant message with 'tool_calls' must be followed by tool messages responding to each "
        f"'tool_call_id'. The following tool_call_ids did not have response messages: "
        f"{', '.join(sorted(open_calls))}",
    )


_calls = iter(range(1, 1_000_000))


def _body(answer: Answer) -> dict[str, Any]:
    if answer.status != 200:
        return {
            "error": {
                "message": answer.error,
                "type": "invalid_request_error" if answer.status == 400 else "server_error",
                "param": "messages" if answer.status == 400 else None,
                "code": answer.code,
            }
        }
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": f"call_{next(_calls)}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for name, arguments in answer.calls
        ]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": answer.finish or ("tool_calls" if answer.calls else "stop"),
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


class ExamplePages:
    """Runs the examples of the pages, as they stand there."""

    def bad(self, code: str, title: str | None = None) -> ModuleType:
        return self._module(code, hazards.get(code).bad, title)

    def good(self, code: str, title: str | None = None) -> ModuleType:
        return self._module(code, hazards.get(code).good, title)

    def _module(self, code: str, examples: tuple[Example, ...], title: str | None) -> ModuleType:
        example = pick(examples, title)
        module = ModuleType(f"{code}_example")
        exec(compile(example.code, f"<{code} {example.title}>", "exec"), module.__dict__)
        return module

    async def cell(self, code: str, kind: str) -> dict[str, Any]:
        """Run a notebook cell the way Jupyter does: on a running loop, with `await` allowed at its top."""
        example = pick(getattr(hazards.get(code), kind), None)
        names: dict[str, Any] = {}
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        awaited = eval(compile(example.code, f"<{code} cell>", "exec", flags=flags), names)
        if inspect.iscoroutine(awaited):
            await awaited
        return names


def pick(examples: tuple[Example, ...], title: str | None) -> Example:
    return next(e for e in examples if e.language == "python" and title in (None, e.title))


def documented(code: str, error: BaseException | str) -> bool:
    """Is this what the page says people see? Addresses and call ids differ from run to run."""
    seen = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return any(steady(symptom) in steady(seen) for symptom in hazards.get(code).symptoms)


def steady(text: str) -> str:
    """Drop what differs between runs and between versions of `openai`."""
    text = re.sub(r"0x[0-9a-f]+|call_\d+|Thread-\d+|ThreadPoolExecutor-\d+_\d+", "…", text)
    text = re.sub(r"\bopenai\.(\w+Error)", r"\1", text)
    return re.sub(r"Error code: \d+ - ", "", text)


@asynccontextmanager
async def serving(module: ModuleType) -> AsyncIterator[ModuleType]:
    """Start and stop an example's app, as the web server does; its handlers are called directly."""
    lifespan = getattr(module.app, "lifespan", None) or module.app.router.lifespan_context
    async with lifespan(module.app):
        yield module


def _fastapi_stand_in() -> ModuleType:
    """Return a `fastapi` that keeps handlers as plain functions; FastAPI itself is no dependency of ours."""

    class FastAPI:
        def __init__(self, lifespan: Any = None) -> None:
            self.lifespan = lifespan
            self.state = SimpleNamespace()

        def post(self, path: str) -> Callable[[Any], Any]:
            return lambda handler: handler

    class HTTPException(Exception):
        def __init__(self, status_code: int, detail: Any = None) -> None:
            super().__init__(f"{status_code}: {detail}")
            self.status_code, self.detail = status_code, detail

    module = ModuleType("fastapi")
    module.__dict__.update(FastAPI=FastAPI, HTTPException=HTTPException)
    return module


@pytest.fixture(scope="session")
def _warm() -> None:
    """Run one turn: the first one in a process takes a third of a second, which time-outs here would notice."""
    warm = Provider()
    warm.start()

    async def turn() -> None:
        client = OpenAIChatCompletionClient(model="gpt-4o-mini", base_url=warm.base_url, api_key="not-a-key")
        await AssistantAgent("support", client).run(task="warm up")
        await client.close()

    asyncio.run(turn())
    warm.stop()


@pytest.fixture
def provider(_warm: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A running provider that every `openai` client in this test talks to."""
    provider = Provider()
    provider.start()
    monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    yield provider
    provider.stop()


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> ExamplePages:
    """The examples of the pages, ready to run."""
    if importlib.util.find_spec("fastapi") is None:
        monkeypatch.setitem(sys.modules, "fastapi", _fastapi_stand_in())
    return ExamplePages()


@pytest.fixture
def model(provider: Provider) -> Callable[[], Any]:
    """Make a client of the provider: `async with model() as client`."""

    @asynccontextmanager
    async def client() -> AsyncIterator[OpenAIChatCompletionClient]:
        made = OpenAIChatCompletionClient(model="gpt-4o-mini", max_retries=0)
        yield made
        await made.close()

    return client


@pytest.fixture(name="documented")
def documented_fixture() -> Callable[..., bool]:
    return documented


@pytest.fixture(name="serving")
def serving_fixture() -> Callable[..., Any]:
    return serving
