"""Model calls go to another provider, and say which request of the program makes them: for `turnlane probe`.

Most programs read their provider's address from the environment. Some have it in their source or in a file; here
it is changed on the wire.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

from turnlane.guard import imports, journals, requests

TAG: Final = "x-turnlane-request"
"""Header of a redirected call: the id of the request of the program that makes it."""

ANY: Final = "*"
"""In place of an address: every call of a chat model, wherever it goes."""

_MODEL_CALLS: Final = ("/chat/completions", "/responses", "/completions")
_replaced: list[tuple[type, str, Any]] = []
_OPENAI: Final = ("api.openai.com", ".openai.azure.com", ".services.ai.azure.com")


def install() -> None:
    """Change where model calls go, if the settings ask for it."""
    rules = dict(journals.settings().redirect)
    if not rules:
        return
    for name in ("httpx", "httpx2"):
        imports.when_imported(name, functools.partial(_patch_httpx, rules))
    imports.when_imported("requests.adapters", functools.partial(_patch_requests, rules))
    imports.when_imported("aiohttp.client", functools.partial(_patch_aiohttp, rules))


def uninstall() -> None:
    """Let calls go where they want again. For tests."""
    while _replaced:
        setattr(*_replaced.pop())


def redirected(url: str, rules: Mapping[str, str]) -> str | None:
    """Where a call to `url` goes instead; the same if it goes there already, None for one that is left alone.

    Args:
        rules: the beginning of an address, or `*` for any, and what stands in its place; empty text leaves the
            call alone. The longest beginning that fits holds.
    """
    parts = urlsplit(url)
    if any(_same_origin(parts, target) for target in rules.values() if target):
        return url
    fitting = [start for start in rules if start != ANY and _begins(url, start)]
    if fitting:
        start = max(fitting, key=len)
        return rules[start].rstrip("/") + url[len(start.rstrip("/")) :] if rules[start] else None
    if rules.get(ANY) and _is_model_call(parts):
        return rules[ANY].rstrip("/") + _call_of(parts)
    return None


def _begins(url: str, start: str) -> bool:
    start = start.rstrip("/")
    return url.startswith(start) and url[len(start) : len(start) + 1] in ("", "/", "?")


def _same_origin(parts: SplitResult, target: str) -> bool:
    other = urlsplit(target)
    return (parts.scheme, parts.netloc) == (other.scheme, other.netloc)


def _is_model_call(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    return parts.path.endswith(_MODEL_CALLS) or host.endswith(_OPENAI)


def _call_of(parts: SplitResult) -> str:
    """The path after the provider's base address: `/chat/completions`, also of Azure's longer one."""
    known = next((call for call in _MODEL_CALLS if parts.path.endswith(call)), None)
    if known is not None:
        return known
    path = "/" + parts.path.lstrip("/").removeprefix("v1/")
    return urlunsplit(("", "", path, parts.query, ""))


def _patch_httpx(rules: Mapping[str, str], module: Any) -> None:
    def change(request: Any) -> None:
        place = redirected(str(request.url), rules)
        if place is None:
            return
        if place != str(request.url):
            request.url = module.URL(place)
            request.headers["host"] = urlsplit(place).netloc
        _tag(request.headers)

    for client in (module.Client, module.AsyncClient):
        _before(client, "send", change)


def _patch_requests(rules: Mapping[str, str], module: Any) -> None:
    def change(request: Any) -> None:
        place = redirected(request.url, rules)
        if place is not None:
            request.url = place
            _tag(request.headers)

    _before(module.HTTPAdapter, "send", change)


def _patch_aiohttp(rules: Mapping[str, str], module: Any) -> None:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def request(self: Any, method: str, url: Any, **options: Any) -> Any:
            place = _quietly(lambda: redirected(str(url), rules))
            if place is not None:
                headers = dict(options.get("headers") or {})
                _tag(headers)
                url, options["headers"] = type(url)(place), headers
            return await original(self, method, url, **options)

        return request

    _put(module.ClientSession, "_request", make)


def _before(owner: type, name: str, change: Callable[[Any], None]) -> None:
    """Let `change` see the request of every call of `owner.name` before it is sent."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def send_async(self: Any, request: Any, *args: Any, **options: Any) -> Any:
                _quietly(lambda: change(request))
                return await original(self, request, *args, **options)

            return send_async

        @functools.wraps(original)
        def send(self: Any, request: Any, *args: Any, **options: Any) -> Any:
            _quietly(lambda: change(request))
            return original(self, request, *args, **options)

        return send

    _put(owner, name, make)


def _put(owner: type, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Wrap `owner.name`, also around another wrapper of the guard, which `patching.replace` would not do."""
    original = vars(owner)[name]
    _replaced.append((owner, name, original))
    setattr(owner, name, make(original))


def _tag(headers: MutableMapping[str, str]) -> None:
    request = requests.current.get()
    if request is not None:
        headers[TAG] = request.id


def _quietly(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        journals.trouble("redirect", error)
        return None
