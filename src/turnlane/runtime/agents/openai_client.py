"""Everything Turnlane knows of the `openai` package and its HTTP library (httpx, or httpx2 from 3.x on).

Every `AsyncOpenAI` that is made while Turnlane serves gets one HTTP client per process and loop: a client of
its own costs 34 ms of CPU for its TLS context and, dropped without `close()`, breaks other requests (hazard
TL302). Those whose calls cross the model boundary have no retries of their own, which would multiply with the
boundary's (TL305).

A client that a tool makes for itself is out of the boundary's sight, but not of this transport's: its model
calls count against the run's bound, so that a tool which runs its own agent ends (TL402).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import json
import logging
import os
import re
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import openai
from pydantic import ValidationError

from turnlane.runtime.agent import TooManyModelCalls, current_run
from turnlane.runtime.agents import openai_messages
from turnlane.runtime.conversation import Failure
from turnlane.runtime.retry import Fault, classify
from turnlane.runtime.tool_threads import ToolThreads
from turnlane.telemetry.redact import redact

_library_name = next(
    base.__module__.partition(".")[0]
    for base in openai.DefaultAsyncHttpxClient.__mro__
    if base.__module__.startswith("httpx")
)
httpx: Any = importlib.import_module(_library_name)
"""The HTTP library of the installed openai package: `httpx` (1.x, 2.x) or `httpx2` (3.x)."""


class AnswerCut(Exception):
    """A stream ended before its end: no finish reason, no `[DONE]` (hazard TL307)."""


class AnswerEmpty(Exception):
    """The model answered nothing: no text and no tool call (hazard TL307)."""


class ToolCallCut(Exception):
    """The answer ended inside a tool call; its arguments are not whole (hazard TL307)."""


class AnswerMalformed(Exception):
    """The model was to answer in the shape of a type, and did not (hazard TL307)."""

    def __init__(self, wanted: str, error: ValidationError) -> None:
        # Without the values: they may be as long as the answer.
        reasons = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}".removeprefix(": ")
            for problem in error.errors(include_url=False, include_input=False, include_context=False)[:5]
        ]
        super().__init__(f"the model's answer is no {wanted}: {'; '.join(reasons)}")


class WatchedCall:
    """A model call that crosses the boundary, as seen on the wire.

    `seen`: its answer could be read there (it went through our transport, and not compressed). `done`: its
    stream ended with `[DONE]`. `finish_reason`: what the provider said, which frameworks report wrongly beside
    tool calls and beside usage.
    """

    __slots__ = ("_streams", "done", "finish_reason", "seen")

    def __init__(self) -> None:
        self.seen = False
        self.done = False
        self.finish_reason: str | None = None
        self._streams: list[Any] = []

    def sees(self, stream: Any) -> None:
        """An answer of the call begins to arrive."""
        self._streams.append(stream)

    async def close(self) -> None:
        """Hang up on answers that nobody reads to their end.

        A generator that is left half-way is closed when it is collected, and until then the provider writes, and
        bills, an answer that nobody wants.
        """
        for stream in self._streams:
            await stream.aclose()


_watched: ContextVar[WatchedCall | None] = ContextVar("turnlane_watched_call", default=None)


@contextmanager
def watched_call() -> Iterator[WatchedCall]:
    """Requests inside belong to a model call that the boundary has counted."""
    call = WatchedCall()
    _watched.set(call)
    try:
        yield call
    finally:
        # Not by token: a stream's generator may be closed in another context than it was begun in.
        _watched.set(None)


class _ProcessTransport(httpx.AsyncBaseTransport):  # type: ignore[misc]
    """Hands every request to the connection pool of this process and loop, made at the first request.

    So a client may be made at import, before a fork, or before there is a loop, without harm (TL301).
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()

    async def handle_async_request(self, request: Any) -> Any:
        call = _watched.get()
        if call is None:
            if (refusal := _refused_by_run(request)) is not None:
                return refusal
            self._mark_loop_of_a_tool()
        response = await self._pool().handle_async_request(request)
        if call is not None:
            call.sees(response.stream)
        if call is not None and response.status_code == 200 and "content-encoding" not in response.headers:
            call.seen = True
            response.stream = _WatchedStream(response.stream, call)
        return response

    def _mark_loop_of_a_tool(self) -> None:
        """A sync tool may run an agent in a loop of its own: the tools of that one have to know the run too."""
        loop = asyncio.get_running_loop()
        in_thread = threading.current_thread() is not threading.main_thread()
        if in_thread and current_run.get() is not None and loop not in self._pools:
            loop.set_default_executor(ToolThreads(thread_name_prefix="turnlane-inner-tool"))

    def _pool(self) -> Any:
        if self._pid != os.getpid():
            # The parent's connections are the parent's: forgotten, not closed.
            self._pid = os.getpid()
            self._pools = weakref.WeakKeyDictionary()
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = _new_pool()
        return pool

    async def close_pool(self) -> None:
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    async def aclose(self) -> None:
        """Nothing: borrowers don't close what everybody uses. See `close_pool`."""


# In the text of an answer quotes and line ends are escaped, so these find only the real ones.
_FINISH_REASON = re.compile(rb'"finish_reason"\s*:\s*"(\w+)"')
_DONE = re.compile(rb"\ndata: ?\[DONE\]")


class _WatchedStream(httpx.AsyncByteStream):  # type: ignore[misc]
    def __init__(self, inner: Any, watch: WatchedCall) -> None:
        self._inner = inner
        self._watch = watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        tail = b"\n"
        async for data in self._inner:
            tail += data
            for reason in _FINISH_REASON.findall(tail):
                self._watch.finish_reason = reason.decode()
            if _DONE.search(tail):
                self._watch.done = True
            tail = tail[-64:]  # either mark may come in two pieces
            yield data

    async def aclose(self) -> None:
        await self._inner.aclose()


_MODEL_CALLS = ("/chat/completions", "/completions", "/responses")
TOO_MANY_CALLS = "too_many_model_calls"


def _refused_by_run(request: Any) -> Any | None:
    """The answer to a request that the run it comes from may not make; None: let it pass.

    An answer and not an exception: the openai package would take that for a broken connection, and try again.
    """
    run = current_run.get()
    if run is None:
        return None
    if run.stop:
        return _refusal(request, "turn_stopped", f"the turn was stopped: {run.stop.reason}")
    if not request.url.path.endswith(_MODEL_CALLS):
        return None
    try:
        run.count_model_call()
    except TooManyModelCalls as error:
        return _refusal(request, TOO_MANY_CALLS, str(error))
    return None


def _refusal(request: Any, code: str, text: str) -> Any:
    error = {"message": text, "type": "invalid_request_error", "param": None, "code": code}
    return httpx.Response(400, json={"error": error}, headers={"x-should-retry": "false"}, request=request)


def http_client_of(model_client: Any) -> Any | None:
    """The HTTP client below a framework's model client that uses the openai package; None: another package."""
    client = getattr(model_client, "_client", None)
    return client._client if isinstance(client, openai.AsyncOpenAI) else None


def leave_retries_to_the_boundary(model_client: Any) -> None:
    """Two who retry multiply (TL305): an openai client behind the boundary does not."""
    client = getattr(model_client, "_client", None)
    if isinstance(client, openai.AsyncOpenAI):
        client.max_retries = 0


def _new_pool() -> Any:
    limits = httpx.Limits(max_connections=2000, max_keepalive_connections=200, keepalive_expiry=30.0)
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return httpx.AsyncHTTPTransport(limits=limits)
    return _ProxiedPool(limits)


class _ProxiedPool:
    """With proxies in the environment, routing is left to a whole client of the library."""

    def __init__(self, limits: Any) -> None:
        self._client = httpx.AsyncClient(limits=limits, follow_redirects=False)

    async def handle_async_request(self, request: Any) -> Any:
        return await self._client.send(request, stream=True)

    async def aclose(self) -> None:
        await self._client.aclose()


class SharedHttpClient(openai.DefaultAsyncHttpxClient):  # type: ignore[misc, valid-type, unused-ignore]
    """The one HTTP client. `aclose` by a borrower does nothing."""

    def __init__(self, transport: _ProcessTransport) -> None:
        super().__init__(transport=transport)

    async def aclose(self) -> None:
        """Nothing; see `_ProcessTransport.aclose`."""


_transport = _ProcessTransport()
_shared: SharedHttpClient | None = None
_original_init: Callable[..., None] | None = None


def shared_http_client() -> SharedHttpClient:
    """The HTTP client of this process, for agents' own use too."""
    global _shared
    if _shared is None:
        _shared = SharedHttpClient(_transport)
    return _shared


@functools.lru_cache(maxsize=64)
def _parsed(url: str) -> Any:
    """A URL in the form the openai package wants; parsing it is a third of what a client costs."""
    return httpx.URL(url if url.endswith("/") else f"{url}/")


@functools.cache
def _platform() -> Any:
    """What the openai package tells the provider of this machine. None: it finds out by itself."""
    from openai import _base_client

    find = getattr(_base_client, "get_platform", None)
    return find() if callable(find) else None


def install() -> None:
    """Make every new `AsyncOpenAI` (and Azure's) use the shared HTTP client. Idempotent.

    Only the public parameter `http_client` is set, and one of the user's own is kept.
    """
    global _original_init
    if _original_init is not None:
        return
    openai_messages.install()
    original = _original_init = openai.AsyncOpenAI.__init__

    @functools.wraps(original)
    def with_shared_client(self: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("http_client") is None:
            kwargs["http_client"] = shared_http_client()
        if isinstance(kwargs.get("base_url"), str):
            kwargs["base_url"] = _parsed(kwargs["base_url"])
        original(self, *args, **kwargs)
        # Each client would ask a thread for it at its first request, which costs more than the client itself.
        self._platform = _platform()

    openai.AsyncOpenAI.__init__ = with_shared_client  # type: ignore[method-assign]


def uninstall() -> None:
    """Undo `install`; clients made meanwhile keep the shared HTTP client."""
    global _original_init
    if _original_init is not None:
        openai.AsyncOpenAI.__init__ = _original_init  # type: ignore[method-assign]
        _original_init = None
        openai_messages.uninstall()


_SAID: dict[str, Any] = {"role": "assistant", "content": "-"}
_HEAD = {"id": "-", "created": 0, "model": "-"}
_END = {"index": 0, "finish_reason": "stop"}
_COMPLETION = json.dumps(
    {**_HEAD, "object": "chat.completion", "choices": [{**_END, "message": _SAID}]},
)
_CHUNK = json.dumps(
    {**_HEAD, "object": "chat.completion.chunk", "choices": [{**_END, "delta": _SAID}]},
)
_STREAM = f"data: {_CHUNK}\n\ndata: [DONE]\n\n"


class _Canned(httpx.AsyncBaseTransport):  # type: ignore[misc]
    """Answers every request itself, with an empty chat completion."""

    async def handle_async_request(self, request: Any) -> Any:
        streamed = json.loads(request.content).get("stream")
        kind, text = ("text/event-stream", _STREAM) if streamed else ("application/json", _COMPLETION)
        return httpx.Response(200, content=text.encode(), headers={"content-type": kind}, request=request)


_warm = False


async def warm_up() -> None:
    """Pay before the first turn what the packages put off to their first use: types, imports, TLS.

    It is 0.1 to 0.3 s, in which the loop would stand still for every turn (TL108). Nothing leaves the machine: a
    client is answered in the process, and a connection is tried to port 0, where nobody can listen.
    """
    global _warm
    _transport._pool()
    if _warm:
        return
    _warm = True
    quiet = logging.getLogger(_library_name)
    was_disabled, quiet.disabled = quiet.disabled, True
    try:
        # Where it does not work, the first turn pays as it did before.
        with contextlib.suppress(Exception):
            await _ask_ourselves()
            await _connect_to_nobody()
    finally:
        quiet.disabled = was_disabled


async def _ask_ourselves() -> None:
    async with httpx.AsyncClient(transport=_Canned()) as http_client:
        client = openai.AsyncOpenAI(api_key="-", base_url="http://localhost/v1", http_client=http_client)
        asked: Any = {"model": "-", "messages": [{"role": "user", "content": "-"}]}
        (await client.chat.completions.create(**asked)).model_dump()
        async for chunk in await client.chat.completions.create(**asked, stream=True):
            chunk.model_dump()


@functools.cache
def warm_up_structured() -> None:
    """The same for structured output, whose client brings half the openai package with it: 0.3 s and more."""
    with contextlib.suppress(ImportError):
        importlib.import_module("openai.resources.beta.beta")


async def _connect_to_nobody() -> None:
    transport = httpx.AsyncHTTPTransport(verify=False)
    try:
        await transport.handle_async_request(httpx.Request("GET", "http://127.0.0.1:0/"))
    except httpx.TransportError:
        return
    finally:
        await transport.aclose()


async def close() -> None:
    """Close the connections of this loop."""
    await _transport.close_pool()


def fault(error: Exception) -> Fault:
    """What an error of the openai package, or of its HTTP library below a stream, means for a retry."""
    if isinstance(error, openai.APIStatusError):
        headers = {name.lower(): value for name, value in error.response.headers.items()}
        return classify(error.status_code, _code(error), headers)
    if isinstance(error, openai.APIResponseValidationError):
        return Fault("transient")
    if isinstance(error, openai.APIError):  # connection, time-out, or an error inside a stream
        return classify(None, _code(error), {})
    transient = (TimeoutError, json.JSONDecodeError, AnswerCut, AnswerEmpty, httpx.TransportError, _Malformed)
    return Fault("transient" if isinstance(error, transient) else "deterministic")


def failure(error: Exception, fault: Fault, *, agent: str | None, provider: str) -> Failure:
    """The same error as users and operators see it. Its text is the provider's, with secrets taken out."""
    code, hazard, text = _describe(error, provider)
    # What neither the openai package nor we raised comes out of a client of the user's own, or its library.
    unknown = code == "provider_error" and not isinstance(error, openai.OpenAIError)
    return Failure(
        type=type(error).__name__.lstrip("_"),
        message=text,
        kind="provider",
        code=code,
        hazard=hazard,
        agent=agent,
        retryable=fault.kind != "deterministic",
        private=unknown,
    )


class _Malformed(Exception):
    """The provider's answer is not what its API promises (HTML, JSON of another shape)."""


def malformed(error: Exception, wanted: object = None) -> Exception:
    """The error to raise when a framework stumbled over an answer of the wrong shape.

    `wanted` is the type of which the answer was to be, if any.
    """
    if isinstance(error, ValidationError) and isinstance(wanted, type):
        return AnswerMalformed(wanted.__name__, error)
    shape_errors = (AttributeError, TypeError, IndexError, KeyError)
    if isinstance(error, shape_errors):
        return _Malformed(f"the answer is not a chat completion ({type(error).__name__}: {error})")
    return error


def _describe(error: Exception, provider: str) -> tuple[str, str | None, str]:
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return "provider_timeout", "TL306", f"{provider} did not answer in time"
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        return "provider_unreachable", None, redact(f"{provider} can't be reached: {cause}")
    if isinstance(error, openai.APIStatusError):
        hazard = "TL303" if error.status_code == 429 else None
        code = _code(error) or {401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(error.status_code)
        text = f"{provider} answered {error.status_code}: {_provider_text(error)}"
        return code or "provider_error", hazard, redact(text)
    if isinstance(error, AnswerCut | AnswerEmpty | ToolCallCut):
        return f"answer_{'empty' if isinstance(error, AnswerEmpty) else 'cut'}", "TL307", str(error)
    if isinstance(error, AnswerMalformed):
        return "answer_malformed", "TL307", redact(str(error))
    if isinstance(error, httpx.TransportError):
        return "answer_cut", "TL307", redact(f"the connection to {provider} broke during the answer: {error}")
    if isinstance(error, json.JSONDecodeError | openai.APIResponseValidationError | _Malformed):
        return "answer_malformed", "TL307", redact(f"{provider} sent something that is no answer: {error}")
    return "provider_error", None, redact(f"{provider}: {error}")


def _provider_text(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    text = error.response.text.strip()
    if text.startswith("<"):
        return "an HTML page instead of JSON"
    return text[:300]


def _code(error: openai.APIError) -> str | None:
    code = getattr(error, "code", None)
    if isinstance(code, str):
        return code
    kind = getattr(error, "type", None)
    return kind if kind == "insufficient_quota" else None
