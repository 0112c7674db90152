"""TL505: answers of 500 that hide their cause, and those that do not."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, jsonify
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.guard.asgi_calls import call
from tests.guard.conftest import Watched

from turnlane.guard import objects, requests, runs, stacks

log = logging.getLogger("shop")
Endpoint = Callable[[HttpRequest], Awaitable[Response]]


class ProviderDown(Exception):
    """What the model's client raises."""


class Agent:
    name = "support"


def agent_run(error: Exception | None = None) -> str:
    """A run of an agent, as the frameworks' watchers tell of it."""
    run = runs.begin(Agent(), "agent", "run", stacks.capture(0))
    assert run is not None
    try:
        if error is not None:
            raise error
    except Exception as raised:
        runs.end(run, "failed", raised)
        raise
    runs.end(run, "ended")
    return "answer"


def broken() -> str:
    return agent_run(ProviderDown("the quota of sk-live is used up"))


async def bare(_: HttpRequest) -> Response:
    try:
        broken()
    except Exception:
        raise HTTPException(500) from None
    return Response()


async def vague_log(_: HttpRequest) -> Response:
    try:
        broken()
    except Exception:
        log.error("chat failed")
        raise HTTPException(500, "Something went wrong") from None
    return Response()


async def after_the_handler(_: HttpRequest) -> Response:
    answer = None
    try:
        answer = broken()
    except Exception:
        answer = None
    return Response(answer, status_code=200 if answer else 500)


async def any_5xx(_: HttpRequest) -> Response:
    try:
        broken()
    except:  # noqa: E722 - people write it
        return JSONResponse({"error": "try later"}, 503)
    return Response()


async def no_run_at_all(_: HttpRequest) -> Response:
    try:
        return JSONResponse({"price": {}["price"]})
    except Exception:
        raise HTTPException(500, "internal error") from None


@pytest.mark.anyio
@pytest.mark.parametrize("endpoint", [bare, vague_log, after_the_handler, any_5xx, no_run_at_all])
async def test_a_hidden_cause_is_told(endpoint: Endpoint, watched: Watched) -> None:
    await call(Starlette(routes=[Route("/", endpoint, methods=["POST"])]), "/", headers={"x-request-id": "R1"})
    hazard = watched.hazard("TL505")
    cause = "KeyError" if endpoint is no_run_at_all else "ProviderDown"
    assert cause in hazard["measures"]["exception"]
    assert cause in hazard["message"]
    assert hazard["request"] == "R1"
    assert hazard["place"]["file"] == __file__
    assert hazard["place"]["function"] == endpoint.__name__
    line = Path(__file__).read_text().splitlines()[hazard["place"]["line"] - 1]
    assert "except" in line


async def logged(_: HttpRequest) -> Response:
    try:
        broken()
    except Exception:
        log.exception("chat failed")
        raise HTTPException(500) from None
    return Response()


async def logged_as_text(_: HttpRequest) -> Response:
    try:
        broken()
    except Exception as error:
        log.warning("chat failed: %s", error)
        raise HTTPException(500) from None
    return Response()


async def logged_as_extra(_: HttpRequest) -> Response:
    try:
        broken()
    except Exception as error:
        log.error("chat failed", extra={"cause": repr(error)})
        raise HTTPException(500) from None
    return Response()


async def printed(_: HttpRequest) -> Response:
    try:
        broken()
    except Exception:
        traceback.print_exc()
        raise HTTPException(500) from None
    return Response()


async def told_to_the_caller(_: HttpRequest) -> Response:
    try:
        broken()
    except Exception as error:
        raise HTTPException(502, f"{type(error).__name__} in support") from error
    return Response()


async def one_kind_of_failure(_: HttpRequest) -> Response:
    try:
        broken()
    except ProviderDown:
        raise HTTPException(503, "the model is not available, try again in a minute") from None
    return Response()


async def escapes(_: HttpRequest) -> Response:
    return Response(broken())


async def wrapped_and_logged(_: HttpRequest) -> Response:
    try:
        try:
            broken()
        except ProviderDown as error:
            raise RuntimeError("no answer") from error
    except Exception as error:
        log.error("chat failed", exc_info=error)
        raise HTTPException(500) from None
    return Response()


async def made_good(_: HttpRequest) -> Response:
    try:
        broken()
    except Exception:
        agent_run()
    return Response("too many", status_code=500)


async def refused_on_purpose(_: HttpRequest) -> Response:
    raise HTTPException(503, "the queue is full")


async def not_found(_: HttpRequest) -> Response:
    try:
        return JSONResponse({}["item"])
    except KeyError:
        raise HTTPException(404) from None


RIGHT = [
    logged, logged_as_text, logged_as_extra, printed, told_to_the_caller, one_kind_of_failure, escapes,
    wrapped_and_logged, made_good, refused_on_purpose, not_found,
]  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("endpoint", RIGHT)
async def test_a_cause_that_is_told_is_no_hazard(endpoint: Endpoint, watched: Watched) -> None:
    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
    try:
        answer = await call(app, "/")
    except ProviderDown:  # the server gets it, and logs it
        assert endpoint is escapes
    else:
        assert answer.status >= 400
    assert watched.hazards == []


@pytest.mark.anyio
async def test_a_registered_handler_for_everything(watched: Watched) -> None:
    """Starlette answers with it, and raises the exception anew for the server to log."""

    async def sorry(_: HttpRequest, error: Exception) -> Response:
        return JSONResponse({"detail": "sorry"}, 500)

    app = Starlette(routes=[Route("/", escapes, methods=["POST"])], exception_handlers={Exception: sorry})
    with pytest.raises(ProviderDown):
        await call(app, "/")
    assert watched.hazards == []


class AgentFailed(Exception):
    """What a program makes of it."""


async def wraps_everything(_: HttpRequest) -> Response:
    try:
        return Response(broken())
    except Exception as error:
        raise AgentFailed from error


async def wraps_one_kind(_: HttpRequest) -> Response:
    try:
        return Response(broken())
    except ProviderDown as error:
        raise AgentFailed from error


async def wraps_and_logs(_: HttpRequest) -> Response:
    try:
        return Response(broken())
    except Exception as error:
        log.exception("chat failed")
        raise AgentFailed from error


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("endpoint", "hidden"), [(wraps_everything, True), (wraps_one_kind, False), (wraps_and_logs, False)]
)
async def test_an_error_of_the_programs_own(endpoint: Endpoint, hidden: bool, watched: Watched) -> None:
    """A status was chosen for it, and what it stands for may be anything."""

    async def unavailable(_: HttpRequest, error: Exception) -> Response:
        return JSONResponse({"detail": "not available"}, 503)

    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])], exception_handlers={AgentFailed: unavailable})
    await call(app, "/")
    assert watched.codes == ({"TL505"} if hidden else set())
    if hidden:
        assert watched.hazard("TL505")["place"]["function"] == "wraps_everything"


def flask_app(view: Any) -> Flask:
    app = Flask(__name__)
    app.add_url_rule("/", view_func=view)
    return app


def test_flask_that_hides_it(watched: Watched) -> None:
    def view() -> Any:
        try:
            return broken()
        except Exception:
            return jsonify(error="Internal error"), 500

    assert flask_app(view).test_client().get("/").text
    assert "ProviderDown" in watched.hazard("TL505")["message"]


def test_flask_whose_error_handler_hides_it(watched: Watched) -> None:
    app = flask_app(broken)
    app.register_error_handler(Exception, lambda error: ({"error": "Internal error"}, 500))
    assert app.test_client().get("/").text
    assert "ProviderDown" in watched.hazard("TL505")["message"]


def test_flask_logs_what_nobody_catches(watched: Watched) -> None:
    assert flask_app(broken).test_client().get("/").text
    assert watched.hazards == []


def test_nothing_of_a_request_is_kept_alive(watched: Watched) -> None:
    app = flask_app(broken)
    assert app.test_client().get("/").text
    assert not [request for request in requests.active if request.host != "pytest"]
    assert not [thing for thing, _ in objects.every("agent") if isinstance(thing, Agent)]
