"""The ASGI app: routes, and one chat completion as a row of steps."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from urllib.parse import unquote

from .answer import Answer, Latency
from .chunks import Completion, compose, identity_of
from .delivery import deliver, deliver_fault, deliver_spoiled, over_budget
from .exchange import ClientGone, Exchange, Receive, Scope, Send
from .faults import Fault, FaultBoard
from .mistake import ScriptError
from .pairing import check_pairing
from .prompt import PracticeRequest
from .recorder import Recorder
from .refusal import Refusal
from .responses import ResponseCompletion, ResponseLog, as_chat_body, conversation_of
from .script import Script
from .script_file import parse_script
from .shape import check_shape, parse_body

_STARTED = int(time.time())


class PracticeApp:
    """Answers OpenAI's chat completions and models, and `/practice/...` for tests in other processes."""

    def __init__(self, script: Script, recorder: Recorder) -> None:
        self.recorder = recorder
        self.faults = FaultBoard()
        self._random = random.Random()
        self._responses = ResponseLog()
        self.use(script)

    def use(self, script: Script) -> None:
        """Answer by `script` from the next request on; its faults, budget and seed replace the present ones."""
        self.script = script
        self.faults.start_over(script.faults, script.budget, script.seed)
        self._random.seed(script.seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # no lifespan, no web sockets
            return
        exchange = Exchange(scope, receive, send)
        try:
            await self._route(exchange)
        except Refusal as refusal:
            await exchange.refuse(refusal)
        except ClientGone:
            pass
        except asyncio.CancelledError:
            if not exchange.line.gone:  # gone: the provider stops, and a script was still thinking
                raise

    async def _route(self, exchange: Exchange) -> None:
        path = exchange.path
        if path.startswith("/practice/"):
            await self._control(exchange, path)
            return
        path = path.removeprefix("/v1")
        if path in ("/chat/completions", "/responses"):
            _only(exchange, "POST")
            await self._recorded_chat(exchange, as_response=path == "/responses")
        elif path == "/models" or path.startswith("/models/"):
            _only(exchange, "GET")
            await self._models(exchange, path.removeprefix("/models").removeprefix("/"))
        else:
            raise Refusal(f"Invalid URL ({exchange.method} {exchange.path})", status=404)

    async def _recorded_chat(self, exchange: Exchange, *, as_response: bool) -> None:
        raw = await exchange.read()
        sent, unreadable = _parsed(raw)
        body = sent
        if as_response and unreadable is None:
            body, unreadable = self._translated(sent)
        # Before anybody can hear of the request: whoever does may put in another script, for the next one.
        script = self.script
        number = self.recorder.arrived(exchange.method, exchange.path, exchange.request_headers, body)
        exchange.number = number
        identity = identity_of(raw, self.recorder.received)
        exchange.headers.append((b"x-request-id", f"req_{identity}".encode()))
        try:
            if unreadable is None:
                log = self._response_log(sent) if as_response else None
                await self._chat(exchange, body, identity, script, log)
            else:
                await self._refuse_unreadable(exchange, unreadable)
        except Refusal as refusal:
            await exchange.refuse(refusal)
        finally:
            disconnected = exchange.line.gone and not exchange.complete
            self.recorder.finished(number, exchange.status, exchange.fault, disconnected=disconnected)

    async def _refuse_unreadable(self, exchange: Exchange, refusal: Refusal) -> None:
        if await self._before_answers(exchange) is not True:
            raise refusal

    def _translated(self, sent: object) -> tuple[object, Refusal | None]:
        """A request for a response as a chat request, which is what is checked, recorded and scripted."""
        try:
            return as_chat_body(sent, self._responses), None
        except Refusal as refusal:
            return sent, refusal

    def _response_log(self, sent: object) -> Callable[[PracticeRequest, Completion], Completion]:
        """Turns an answer into a response, and remembers it for a request that names it."""
        assert isinstance(sent, dict)

        def logged(request: PracticeRequest, completion: Completion) -> Completion:
            made = ResponseCompletion.of(completion)
            said = [m for m in request.messages if m["role"] != "system" or not sent.get("instructions")]
            names = (made.response_id, conversation_of(sent))
            self._responses.remember(names, [*map(dict, said), made.message()])
            return made

        return logged

    async def _chat(
        self,
        exchange: Exchange,
        body: object,
        identity: str,
        script: Script,
        logged: Callable[[PracticeRequest, Completion], Completion] | None,
    ) -> None:
        spoiler = await self._before_answers(exchange)
        if spoiler is True:
            return
        request = self._checked(body, script)
        answer = await script.answer(request)
        if not await exchange.line.sleep(self._latency(answer.latency, script)):
            return
        fault = spoiler or self._fault_of(answer)
        completion = compose(request, answer, identity)
        self.recorder.composed(exchange.number, completion.finish_reason)
        if logged is not None:
            completion = logged(request, completion)
        await self._send(exchange, request, answer, completion, fault, script)

    async def _before_answers(self, exchange: Exchange) -> bool | Fault:
        """Budget and standing faults: True if one of them has answered, else a fault for the answer, or False."""
        if self.faults.budget is not None:
            grant = self.faults.budget.take()
            exchange.headers += grant.headers()
            if not grant.allowed:
                await exchange.refuse(over_budget(grant))
                return True
        fault = self.faults.draw()
        if fault is None:
            return False
        self._met(exchange, fault)
        if fault.spoils_answer:
            return fault
        await deliver_fault(exchange, fault)
        return True

    def _met(self, exchange: Exchange, fault: Fault) -> None:
        exchange.fault = fault.kind
        self.recorder.met(exchange.number, fault.kind)

    def _checked(self, body: object, script: Script) -> PracticeRequest:
        assert check_shape(body)
        check_pairing(body["messages"])
        request = PracticeRequest(body, self.recorder.received)
        models = script.models
        if models is not None and request.model not in models:
            raise _no_model(request.model)
        return request

    def _latency(self, latency: Latency | None, script: Script) -> float:
        seconds = script.latency if latency is None else latency
        if isinstance(seconds, int | float):
            return seconds
        low, high = seconds
        return self._random.uniform(low, high)

    def _fault_of(self, answer: Answer) -> Fault | None:
        fault = answer.fault
        assert not isinstance(fault, str)  # Answer has made a Fault of it
        return fault if fault is not None and self.faults.due(fault) else None

    async def _send(
        self,
        exchange: Exchange,
        request: PracticeRequest,
        answer: Answer,
        completion: Completion,
        fault: Fault | None,
        script: Script,
    ) -> None:
        pace = script.tokens_per_second if answer.tokens_per_second is None else answer.tokens_per_second
        usage = bool((request.body.get("stream_options") or {}).get("include_usage"))
        if fault is None:
            await deliver(exchange, completion, stream=request.stream, usage=usage, pace=pace)
            return
        self._met(exchange, fault)
        if fault.spoils_answer:
            await deliver_spoiled(exchange, completion, fault, stream=request.stream, usage=usage, pace=pace)
        else:
            await deliver_fault(exchange, fault)

    async def _models(self, exchange: Exchange, name: str) -> None:
        name = unquote(name)
        models = self.script.models
        if not name:
            listed = [_model(model) for model in models or ("practice",)]
            await exchange.respond(200, json.dumps({"object": "list", "data": listed}).encode())
        elif models is not None and name not in models:
            raise _no_model(name)
        else:
            await exchange.respond(200, json.dumps(_model(name)).encode())

    async def _control(self, exchange: Exchange, path: str) -> None:
        if path == "/practice/script":
            _only(exchange, "PUT")
            await self._replace_script(exchange)
        elif path == "/practice/requests":
            _only(exchange, "GET", "DELETE")
            await self._show_requests(exchange)
        else:
            raise Refusal(f"Invalid URL ({exchange.method} {path})", status=404)

    async def _replace_script(self, exchange: Exchange) -> None:
        raw = await exchange.read()
        try:
            self.use(parse_script(raw, "the script sent"))
        except ScriptError as error:
            raise Refusal(str(error), code="practice_script_error") from None
        await exchange.respond(200, json.dumps({"rules": len(self.script.rules)}).encode())

    async def _show_requests(self, exchange: Exchange) -> None:
        if exchange.method == "DELETE":
            self.recorder.clear()
        shown = {
            "requests": [record.as_json() for record in self.recorder.records()],
            "running": self.recorder.running,
            "peak_running": self.recorder.peak_running,
        }
        await exchange.respond(200, json.dumps(shown).encode())


def _parsed(raw: bytes) -> tuple[object, Refusal | None]:
    try:
        return parse_body(raw), None
    except Refusal as refusal:
        return None, refusal


def _only(exchange: Exchange, *methods: str) -> None:
    if exchange.method not in methods:
        exchange.headers.append((b"allow", ", ".join(methods).encode()))
        raise Refusal(f"Not allowed to {exchange.method} on {exchange.path}.", status=405)


def _no_model(name: str) -> Refusal:
    text = f"The model '{name}' does not exist or you do not have access to it."
    return Refusal(text, status=404, param="model", code="model_not_found")


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": _STARTED, "owned_by": "practice"}
