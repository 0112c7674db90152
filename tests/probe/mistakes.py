"""Programs behind HTTP with one mistake each, and their right forms, for the attribution of causes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

Messages = list[dict[str, Any]]


class ModelFailed(Exception):
    """The provider answered with an error."""


class Office:
    """Every public coroutine method is a route."""

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url}/chat/completions"
        self._shared: Messages = []
        self._kept: dict[str, Messages] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._http = httpx2.AsyncClient(trust_env=False, timeout=30)

    def app(self) -> Starlette:
        names = [name for name in vars(type(self)) if not name.startswith("_") and name != "app"]
        return Starlette(routes=[Route(f"/{name}", getattr(self, name), methods=["POST"]) for name in names])

    async def right(self, request: Request) -> Response:
        """A history per conversation, one turn at a time, a deadline, one budget of retries, errors told."""
        said = await request.json()
        key = said["conversation_id"]
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = [*self._kept.get(key, []), {"role": "user", "content": said["message"]}]
            try:
                answer = await asyncio.wait_for(self._retried(kept, attempts=3), 0.6)
            except (ModelFailed, TimeoutError) as error:
                return JSONResponse({"error": f"model: {type(error).__name__} {error}"}, status_code=502)
            self._kept[key] = [*kept, {"role": "assistant", "content": answer}]
            return JSONResponse({"answer": answer})

    async def one_history(self, request: Request) -> Response:
        """The words of everybody in one list."""
        self._shared.append({"role": "user", "content": (await request.json())["message"]})
        answer = await self._ask(list(self._shared))
        self._shared.append({"role": "assistant", "content": answer})
        return JSONResponse({"answer": answer})

    async def overwrites(self, request: Request) -> Response:
        """Two messages of one conversation at once: the second to end wins."""
        said = await request.json()
        kept = [*self._kept.get(said["conversation_id"], []), {"role": "user", "content": said["message"]}]
        answer = await self._ask(kept)
        self._kept[said["conversation_id"]] = [*kept, {"role": "assistant", "content": answer}]
        return JSONResponse({"answer": answer})

    async def loops_around_loops(self, request: Request) -> Response:
        """Three tries of three tries."""
        messages = [{"role": "user", "content": (await request.json())["message"]}]
        for _ in range(3):
            try:
                return JSONResponse({"answer": await self._retried(messages, attempts=3)})
            except ModelFailed:
                continue
        return JSONResponse({"error": "ModelFailed"}, status_code=502)

    async def starts_over(self, request: Request) -> Response:
        """Whatever went wrong, the message is put into the same history again."""
        said = await request.json()
        kept = self._kept.setdefault(said["conversation_id"], [])
        for _ in range(3):
            kept.append({"role": "user", "content": said["message"]})
            try:
                answer = await self._ask(list(kept))
            except ModelFailed:
                continue
            kept.append({"role": "assistant", "content": answer})
            return JSONResponse({"answer": answer})
        return JSONResponse({"error": "ModelFailed"}, status_code=502)

    async def swallows(self, request: Request) -> Response:
        """A 500, and the cause is gone."""
        try:
            return JSONResponse({"answer": await self._ask([await self._message(request)])})
        except Exception:
            return PlainTextResponse("Something went wrong", status_code=500)

    async def bursts(self, request: Request) -> Response:
        """Twenty calls at once."""
        message = await self._message(request)
        parts = [[{"role": "system", "content": f"part {n}"}, message] for n in range(20)]
        try:
            return JSONResponse({"answer": " ".join(await asyncio.gather(*map(self._ask, parts)))})
        except ModelFailed as error:
            return JSONResponse({"error": f"ModelFailed: {error}"}, status_code=502)

    async def breaks_for_good(self, request: Request) -> Response:
        """After one failure a conversation never works again."""
        said = await request.json()
        if self._kept.get(said["conversation_id"]) == []:
            return JSONResponse({"error": "RuntimeError: stopped"}, status_code=500)
        try:
            return JSONResponse({"answer": await self._ask([{"role": "user", "content": said["message"]}])})
        except ModelFailed as error:
            self._kept[said["conversation_id"]] = []
            return JSONResponse({"error": f"ModelFailed: {error}"}, status_code=502)

    async def leaves_a_call_open(self, request: Request) -> Response:
        """What a tool was asked is kept, also when the tool failed: no later turn is let through."""
        return await self._with_tool(request, keeps_failed_turns=True)

    async def asks_a_model_in_a_tool(self, request: Request) -> Response:
        """The right form: of a turn that failed nothing is kept."""
        return await self._with_tool(request, keeps_failed_turns=False)

    async def _with_tool(self, request: Request, *, keeps_failed_turns: bool) -> Response:
        said = await request.json()
        kept = self._kept.setdefault(said["conversation_id"], [])
        turn = kept if keeps_failed_turns else list(kept)
        turn.append({"role": "user", "content": said["message"]})
        call = {"id": "call_1", "type": "function", "function": {"name": "summary", "arguments": "{}"}}
        try:
            await self._ask([{"role": "user", "content": "Is a tool needed?"}])
            turn.append({"role": "assistant", "content": None, "tool_calls": [call]})
            summary = await self._ask([{"role": "user", "content": "Sum it up."}])
            turn.append({"role": "tool", "tool_call_id": "call_1", "content": summary})
            answer = await self._ask(turn)
        except ModelFailed as error:
            return JSONResponse({"error": f"ModelFailed: {error}"}, status_code=502)
        self._kept[said["conversation_id"]] = [*turn, {"role": "assistant", "content": answer}]
        return JSONResponse({"answer": answer})

    async def says_what_is_half(self, request: Request) -> Response:
        """The right form: half an answer is given, and marked beside its text."""
        answer = await self._complete([await self._message(request)])
        return JSONResponse({"answer": answer["message"]["content"], "whole": answer["finish_reason"] == "stop"})

    async def passes_half_on(self, request: Request) -> Response:
        """Nobody looks at why the model ended, with a limit of tokens that ends every answer."""
        answer = await self._complete([await self._message(request)], max_tokens=4)
        return JSONResponse({"answer": answer["message"]["content"]})

    async def _message(self, request: Request) -> dict[str, Any]:
        return {"role": "user", "content": (await request.json())["message"]}

    async def _retried(self, messages: Messages, attempts: int) -> str:
        for left in reversed(range(attempts)):
            try:
                return await self._ask(messages)
            except ModelFailed as error:
                if not left or error.args[0] < 500:
                    raise
        raise AssertionError

    async def _complete(self, messages: Messages, **options: Any) -> dict[str, Any]:
        answer = await self._http.post(self._url, json={"model": "m", "messages": messages, **options})
        if answer.status_code != 200:
            raise ModelFailed(answer.status_code)
        choice: dict[str, Any] = json.loads(answer.content)["choices"][0]
        return choice

    async def _ask(self, messages: Messages) -> str:
        choice = await self._complete(messages)
        if choice["finish_reason"] != "stop":
            raise ModelFailed(500, choice["finish_reason"])
        text: str = choice["message"]["content"]
        return text
