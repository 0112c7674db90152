"""In which context a host calls a registered function, by every name that user code registers it with."""

from __future__ import annotations

import pytest

from turnlane.checker.libraries import hosts
from turnlane.checker.libraries.host_tables import REGISTRATIONS


@pytest.mark.parametrize(
    ("symbol", "how", "host", "sync"),
    [
        ("fastapi.FastAPI.get", "decorator", "FastAPI", "threadpool"),
        ("fastapi.routing.APIRouter.post", "decorator", "FastAPI", "threadpool"),
        ("fastapi.FastAPI.on_event", "decorator", "FastAPI", "loop"),
        ("fastapi.Depends", "argument", "FastAPI", "threadpool"),
        ("fastapi.BackgroundTasks.add_task", "argument", "FastAPI", "threadpool"),
        ("starlette.routing.Route", "argument", "Starlette", "threadpool"),
        ("flask.Flask.route", "decorator", "Flask", "own"),
        ("quart.Quart.route", "decorator", "Quart", "threadpool"),
        ("litestar.get", "decorator", "Litestar", "loop"),
        ("aiohttp.web.get", "argument", "aiohttp", "loop"),
        ("aiohttp.web.Application.router.add_post", "argument", "aiohttp", "loop"),
        ("sanic.Sanic.get", "decorator", "Sanic", "loop"),
        ("websockets.serve", "argument", "websockets", "loop"),
        ("gradio.Interface", "argument", "Gradio", "threadpool"),
        ("gradio.Button.click", "argument", "Gradio", "threadpool"),
        ("gradio.components.Textbox.submit", "argument", "Gradio", "threadpool"),
        ("chainlit.on_message", "decorator", "Chainlit", "loop"),
        ("streamlit.button", "argument", "Streamlit", "own"),
        ("streamlit.sidebar.button", "argument", "Streamlit", "own"),
        ("panel.chat.ChatInterface", "argument", "Panel", "threadpool"),
        ("panel.widgets.Button.on_click", "argument", "Panel", "loop"),
        ("nicegui.ui.button", "argument", "NiceGUI", "loop"),
        ("celery.shared_task", "decorator", "Celery", "own"),
        ("ray.serve.deployment", "class decorator", "Ray Serve", "loop"),
        ("azure.functions.FunctionApp.route", "decorator", "Azure Functions", "threadpool"),
        ("discord.ext.commands.Bot.command", "decorator", "Discord", "loop"),
        ("telegram.ext.CommandHandler", "argument", "Telegram", "loop"),
        ("mcp.server.fastmcp.FastMCP.tool", "decorator", "MCP server", "loop"),
        ("autogen_agentchat.agents.AssistantAgent", "argument", "AutoGen tool", "threadpool"),
        ("autogen_core.message_handler", "decorator", "AutoGen runtime", "loop"),
        ("autogen.register_function", "argument", "AutoGen tool", "own"),
        ("agent_framework.Agent", "argument", "Agent Framework tool", "threadpool"),
        ("pytest.fixture", "decorator", "pytest", "own"),
        ("click.command", "decorator", "command line", "own"),
    ],
)
def test_by_symbol(symbol: str, how: str, host: str, sync: str) -> None:
    found = {(row.how, row.context.host, row.context.sync) for row in hosts.by_symbol(symbol)}

    assert (how, host, sync) in found


def test_methods_of_agents_are_found_through_their_bases() -> None:
    by_subclass = hosts.by_symbol("autogen.agentchat.assistant_agent.AssistantAgent.register_for_llm")

    assert by_subclass
    assert by_subclass == hosts.by_symbol("autogen.ConversableAgent.register_for_llm")


def test_constructors_of_agents_are_found_through_their_bases() -> None:
    (row,) = hosts.by_symbol("autogen.UserProxyAgent")

    assert "function_map" in row.where


@pytest.mark.parametrize("symbol", ["fastapi.FastAPI.include_router", "gradio.Blocks", "mymodule.get", "x", ""])
def test_symbols_that_register_nothing(symbol: str) -> None:
    assert hosts.by_symbol(symbol) == ()


@pytest.mark.parametrize(
    ("base", "method", "host"),
    [
        ("starlette.endpoints.HTTPEndpoint", "get", "Starlette"),
        ("django.views.generic.View", "post", "Django"),
        ("tornado.web.RequestHandler", "get", "Tornado"),
        ("http.server.BaseHTTPRequestHandler", "do_POST", "http.server"),
        ("botbuilder.core.ActivityHandler", "on_message_activity", "Bot Framework"),
        ("chat_pb2_grpc.ChatServicer", "*", "gRPC"),
        ("threading.Thread", "run", "thread"),
    ],
)
def test_by_base(base: str, method: str, host: str) -> None:
    assert [row.context.host for row in hosts.by_base(base) if method in row.where] == [host]


def test_an_unknown_base_registers_nothing() -> None:
    assert hosts.by_base("myproject.Base") == ()


def test_a_streamlit_script_runs_for_each_user_without_a_loop() -> None:
    (row,) = [row for row in hosts.module_rows() if row.symbol == "streamlit"]

    assert (row.context.kind, row.context.sync, row.context.asynchronous) == ("session", "own", "never")


def test_a_lambda_handler_is_found_by_its_name_or_parameters() -> None:
    rows = [row for row in hosts.name_rows() if row.context.host == "AWS Lambda"]

    assert {(row.where, row.parameters) for row in rows} == {
        (("lambda_handler",), ()),
        (("*",), ("event", "context")),
    }


def test_an_async_flask_view_has_a_loop_of_its_own() -> None:
    (row,) = hosts.by_symbol("flask.Flask.route")

    assert row.context.asynchronous == "own loop"


@pytest.mark.parametrize("method", ["get", "post", "route", "websocket"])
def test_a_route_of_an_unknown_framework(method: str) -> None:
    context = hosts.route_by_shape(method, "/chat")

    assert context is not None
    assert (context.kind, context.sync) == ("request", "threadpool")


@pytest.mark.parametrize(("method", "argument"), [("get", "name"), ("get", None), ("fetch", "/chat"), ("get", 1)])
def test_what_is_no_route(method: str, argument: object) -> None:
    assert hosts.route_by_shape(method, argument) is None


def test_rows_are_complete() -> None:
    for row in REGISTRATIONS:
        assert row.symbol, row
        assert row.where or row.how in ("decorator", "module"), row
        assert all(isinstance(place, str) for place in row.where) or row.how == "argument", row


def test_no_row_stands_twice() -> None:
    assert len(set(REGISTRATIONS)) == len(REGISTRATIONS)
