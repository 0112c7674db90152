"""Small programs behind HTTP, right and wrong ones, served in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from turnlane.practice.listener import Listener

Messages = list[dict[str, str]]


class Shop:
    """A program whose routes are mistakes and their right forms."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._shared: Messages = []
        self._kept: dict[str, Messages] = {}
        self._http = httpx2.AsyncClient(trust_env=False, timeout=30)

    def app(self) -> Starlette:
        """Every public coroutine method is a route."""
        names = [name for name in vars(type(self)) if not name.startswith("_") and name not in ("app", "base_url")]
        return Starlette(routes=[Route(f"/{name}", getattr(self, name), methods=["POST"]) for name in names])

    async def right(self, request: Request) -> Response:
        """A history per conversation."""
        said = await request.json()
        return await self._answer(self._kept.setdefault(said["conversation_id"], []), said["message"])

    async def forgets(self, request: Request) -> Response:
        """No history at all."""
        return await self._answer([], (await request.json())["message"])

    async def shared(self, request: Request) -> Response:
        """One history for everybody."""
        return await self._answer(self._shared, (await request.json())["message"])

    async def loses(self, request: Request) -> Response:
        """A history that is dropped whenever two conversations run at once."""
        said = await request.json()
        kept = self._kept.setdefault(said["conversation_id"], [])
        self._busy = getattr(self, "_busy", 0) + 1
        try:
            if self._busy > 1:
                kept.clear()
            return await self._answer(kept, said["message"])
        finally:
            self._busy -= 1

    async def mixes_answers(self, request: Request) -> Response:
        """Each user gets the answer that was made before, whoever asked for it."""
        said = await request.json()
        answer = await self._ask([{"role": "user", "content": said["message"]}])
        before, self._last = getattr(self, "_last", answer), answer
        return JSONResponse({"answer": before})

    async def breaks(self, request: Request) -> Response:
        """An error that the answer names."""
        return JSONResponse({"detail": "KeyError: 'P-404'"}, status_code=500)

    async def refused(self, request: Request) -> Response:
        """A bare 500 after the provider has refused a prompt."""
        await self._post([{"role": "tool", "tool_call_id": "c", "content": "7"}])
        return PlainTextResponse("Internal Server Error", status_code=500)

    async def bare(self, request: Request) -> Response:
        """A 500, and nobody knows why."""
        return PlainTextResponse("Internal Server Error", status_code=500)

    async def page(self, request: Request) -> Response:
        return HTMLResponse("<html><head><title>Our shop</title></head><body>Welcome</body></html>")

    async def private(self, request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer secret-key":
            return JSONResponse({"detail": "no key"}, status_code=401)
        return await self.forgets(request)

    async def other_shape(self, request: Request) -> Response:
        if "question" not in await request.json():
            wrong = [{"loc": ["body", "question"], "msg": "Field required", "type": "missing"}]
            return JSONResponse({"detail": wrong}, status_code=422)
        return JSONResponse({"answer": await self._ask([{"role": "user", "content": "?"}])})

    async def no_model(self, request: Request) -> Response:
        return JSONResponse({"answer": "Hello."})

    async def halves(self, request: Request) -> Response:
        """Ends in the middle of an emoji."""
        await request.json()
        return Response(r'{"answer": "Hello \ud83d"}', media_type="application/json")

    async def stalls(self, request: Request) -> Response:
        """Answers the first message after a second, and the next never."""
        self._stalls = getattr(self, "_stalls", -1) + 1
        await asyncio.sleep(3600 * self._stalls + 1)
        return PlainTextResponse("Hello")

    async def hangs(self, request: Request) -> Response:
        await asyncio.Event().wait()
        return Response()

    async def streams(self, request: Request) -> Response:
        """An event stream in OpenAI's shape."""
        text = await self._ask([{"role": "user", "content": (await request.json())["message"]}])

        async def events() -> AsyncIterator[str]:
            for piece in text.split(" "):
                yield f'data: {{"choices": [{{"delta": {{"content": "{piece} "}}}}]}}\n\n'
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def moved(self, request: Request) -> Response:
        return RedirectResponse("/forgets", status_code=307)

    async def moved_away(self, request: Request) -> Response:
        """To an address that no machine has."""
        return RedirectResponse("http://192.0.2.7/chat", status_code=307)

    async def never_ends(self, request: Request) -> Response:
        """An event stream that says what the user before has said, and stays open."""
        said = (await request.json())["message"]
        before, self._last = getattr(self, "_last", said), said

        async def events() -> AsyncIterator[str]:
            yield f"data: {before}\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(events(), media_type="text/event-stream")

    async def wide(self, request: Request) -> Response:
        """Every answer in an encoding of its own, and for the user before."""
        said = (await request.json())["message"]
        before, self._last = getattr(self, "_last", said), said
        return Response(before.encode("utf-16"), media_type="text/plain; charset=utf-16")

    async def later(self, request: Request) -> Response:
        """Says yes at once, and asks the model afterwards."""
        said = await request.json()
        self._task = asyncio.create_task(self._ask([{"role": "user", "content": said["message"]}]))
        return JSONResponse({"answer": "accepted"}, status_code=202)

    async def _answer(self, kept: Messages, message: str) -> Response:
        kept.append({"role": "user", "content": message})
        answer = await self._ask(list(kept))
        kept.append({"role": "assistant", "content": answer})
        return JSONResponse({"answer": answer})

    async def _ask(self, messages: Messages) -> str:
        answer = await self._post(messages)
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text

    async def _post(self, messages: Messages) -> Any:
        body = {"model": "m", "messages": messages}
        return await self._http.post(f"{self.base_url}/chat/completions", json=body)


@asynccontextmanager
async def served(app: Callable[..., Any]) -> AsyncIterator[str]:
    """The app's address while it is served."""
    listener = Listener(app)
    port = await listener.open("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await listener.close()
