"""Web frameworks and servers."""

from __future__ import annotations

from turnlane.checker.libraries.registration import Context, Registration, methods, rows

_VERBS = "get post put delete patch head options"
_CRUD = "get post put delete patch"

# A def runs in anyio's thread pool. Event handlers of either kind, and the lifespan, run on the loop.
_FASTAPI = Context("FastAPI", "request", "threadpool")
_FASTAPI_START = Context("FastAPI", "startup", "loop", "one")
_FASTAPI_CLASSES = "fastapi.FastAPI fastapi.APIRouter"
_FASTAPI_ROUTES = f"{_VERBS} trace api_route route websocket websocket_route"

_STARLETTE = Context("Starlette", "request", "threadpool")
_STARLETTE_START = Context("Starlette", "startup", "loop", "one")
_STARLETTE_CLASSES = "starlette.applications.Starlette starlette.routing.Router"

_FASTAPI_ROWS = [
    *rows(_FASTAPI, "decorator", methods(_FASTAPI_CLASSES, _FASTAPI_ROUTES)),
    *rows(_FASTAPI, "argument", methods(_FASTAPI_CLASSES, "add_api_route"), "1 endpoint"),
    *rows(_FASTAPI, "argument", methods(_FASTAPI_CLASSES, "add_api_websocket_route"), "1 endpoint"),
    *rows(_FASTAPI, "decorator", "fastapi.FastAPI.middleware fastapi.FastAPI.exception_handler"),
    *rows(_FASTAPI, "argument", "fastapi.FastAPI.add_exception_handler", "1 handler"),
    *rows(_FASTAPI, "argument", "fastapi.Depends fastapi.Security", "0 dependency"),
    *rows(Context("FastAPI", "task", "threadpool"), "argument", "fastapi.BackgroundTasks.add_task", "0 func"),
    *rows(_FASTAPI_START, "decorator", methods(_FASTAPI_CLASSES, "on_event")),
    *rows(_FASTAPI_START, "argument", methods(_FASTAPI_CLASSES, "add_event_handler"), "1 func"),
    *rows(_FASTAPI_START, "argument", _FASTAPI_CLASSES, "lifespan on_startup on_shutdown"),
    *rows(_FASTAPI, "decorator", "fastapi_utils.tasks.repeat_every"),
]

_STARLETTE_ROWS = [
    *rows(_STARLETTE, "argument", "starlette.routing.Route starlette.routing.WebSocketRoute", "1 endpoint"),
    *rows(_STARLETTE, "argument", methods(_STARLETTE_CLASSES, "add_route add_websocket_route"), "1"),
    *rows(_STARLETTE, "decorator", methods(_STARLETTE_CLASSES, "route websocket_route exception_handler")),
    *rows(_STARLETTE_START, "argument", _STARLETTE_CLASSES, "lifespan on_startup on_shutdown"),
    *rows(_STARLETTE_START, "decorator", methods(_STARLETTE_CLASSES, "on_event")),
    *rows(_STARLETTE, "subclass", "starlette.endpoints.HTTPEndpoint", _VERBS),
    *rows(_STARLETTE, "subclass", "starlette.endpoints.WebSocketEndpoint", "on_connect on_receive on_disconnect"),
    *rows(_STARLETTE, "subclass", "starlette.middleware.base.BaseHTTPMiddleware", "dispatch"),
    *rows(
        Context("Starlette", "task", "threadpool"),
        "argument",
        "starlette.background.BackgroundTask starlette.background.BackgroundTasks.add_task",
        "0 func",
    ),
]

# An async view is driven by asgiref's async_to_sync, on a loop for this request alone.
_FLASK = Context("Flask", "request", "own", asynchronous="own loop")
_FLASK_CLASSES = "flask.Flask flask.Blueprint"
_FLASK_HOOKS = "before_request after_request teardown_request errorhandler context_processor"
_FLASK_SOCKET = Context("Flask-SocketIO", "request", "own", asynchronous="never")
_FLASK_SOCKET_TASK = Context("Flask-SocketIO", "task", "own", asynchronous="never")

_QUART = Context("Quart", "request", "threadpool")
_QUART_START = Context("Quart", "startup", "threadpool", "one")
_QUART_CLASSES = "quart.Quart quart.Blueprint"

_FLASK_ROWS = [
    *rows(_FLASK, "decorator", methods(_FLASK_CLASSES, f"route {_CRUD} {_FLASK_HOOKS}")),
    *rows(_FLASK, "decorator", "flask.Flask.before_first_request"),
    *rows(
        _FLASK, "decorator", methods("flask.Blueprint", "before_app_request after_app_request app_errorhandler")
    ),
    *rows(_FLASK, "argument", methods(_FLASK_CLASSES, "add_url_rule"), "2 view_func"),
    *rows(_FLASK, "subclass", "flask.views.MethodView flask_restful.Resource flask_restx.Resource", _CRUD),
    *rows(_FLASK, "subclass", "flask.views.View", "dispatch_request"),
    *rows(Context("Flask", "script", "own", "one", "never"), "decorator", "flask.Flask.cli.command"),
    *rows(_FLASK_SOCKET, "decorator", "flask_socketio.SocketIO.on flask_socketio.SocketIO.event"),
    *rows(_FLASK_SOCKET, "argument", "flask_socketio.SocketIO.on_event", "1 handler"),
    *rows(Context("Flask-Sock", "request", "own", asynchronous="never"), "decorator", "flask_sock.Sock.route"),
    *rows(_FLASK_SOCKET, "subclass", "flask_socketio.Namespace", "on_*"),
    *rows(_FLASK_SOCKET_TASK, "argument", "flask_socketio.SocketIO.start_background_task", "0 target"),
    *rows(
        _QUART, "decorator", methods(_QUART_CLASSES, f"route {_CRUD} websocket {_FLASK_HOOKS} before_websocket")
    ),
    *rows(_QUART, "argument", methods(_QUART_CLASSES, "add_url_rule"), "2 view_func"),
    *rows(_QUART_START, "decorator", methods("quart.Quart", "before_serving after_serving while_serving")),
    *rows(Context("Quart", "task", "threadpool"), "argument", "quart.Quart.add_background_task", "0 func"),
]

# Under WSGI a view has its own thread, an async one a loop for itself; under ASGI both share the server's loop.
_DJANGO = Context("Django", "request", "own")
_DJANGO_VIEW = "get post put delete patch dispatch"
_DJANGO_COMMAND = Context("Django", "script", "own", "one", "never")
_DRF = Context("Django REST framework", "request", "own", asynchronous="never")
_CHANNELS = Context("Django Channels", "request", "loop")
_CHANNELS_SYNC = Context("Django Channels", "request", "threadpool", asynchronous="never")

_DJANGO_ROWS = [
    *rows(_DJANGO, "argument", "django.urls.path django.urls.re_path django.conf.urls.url", "1 view"),
    *rows(_DJANGO, "subclass", "django.views.View django.views.generic.TemplateView", _DJANGO_VIEW),
    *rows(_DJANGO, "subclass", "django.views.generic.ListView django.views.generic.DetailView", _DJANGO_VIEW),
    *rows(_DJANGO, "subclass", "django.views.generic.FormView", f"{_DJANGO_VIEW} form_valid"),
    *rows(_DJANGO, "subclass", "django.views.generic.CreateView", f"{_DJANGO_VIEW} form_valid"),
    *rows(_DJANGO, "subclass", "django.views.generic.UpdateView", f"{_DJANGO_VIEW} form_valid"),
    *rows(_DJANGO, "decorator", methods("django.views.decorators.http", "require_http_methods require_safe")),
    *rows(_DJANGO, "decorator", methods("django.views.decorators.http", "require_POST require_GET")),
    *rows(_DJANGO, "decorator", "django.views.decorators.csrf.csrf_exempt"),
    *rows(_DJANGO, "decorator", "django.contrib.auth.decorators.login_required"),
    *rows(Context("Django", "callback", "own"), "decorator", "django.dispatch.receiver"),
    *rows(
        Context("Django", "script", "own", "one", "never"),
        "subclass",
        "django.core.management.BaseCommand",
        "handle",
    ),
    *rows(_DRF, "decorator", "rest_framework.decorators.api_view rest_framework.decorators.action"),
    *rows(_DRF, "subclass", "rest_framework.views.APIView rest_framework.generics.GenericAPIView", _DJANGO_VIEW),
    *rows(
        _DRF,
        "subclass",
        methods("rest_framework.viewsets", "ViewSet GenericViewSet ModelViewSet ReadOnlyModelViewSet"),
        "list create retrieve update partial_update destroy perform_create perform_update",
    ),
    *rows(Context("Django Ninja", "request", "own"), "decorator", methods("ninja.NinjaAPI ninja.Router", _CRUD)),
    *rows(
        _CHANNELS,
        "subclass",
        methods("channels.generic.websocket", "AsyncWebsocketConsumer AsyncJsonWebsocketConsumer"),
        "connect disconnect receive receive_json",
    ),
    *rows(_CHANNELS, "subclass", "channels.generic.http.AsyncHttpConsumer", "handle"),
    *rows(
        _CHANNELS_SYNC,
        "subclass",
        methods("channels.generic.websocket", "WebsocketConsumer JsonWebsocketConsumer"),
        "connect disconnect receive receive_json",
    ),
]

_LITESTAR = Context("Litestar", "request", "loop")  # sync_to_thread is off unless asked for, with a warning
_LITESTAR_START = Context("Litestar", "startup", "loop", "one")
_LITESTAR_ROUTES = f"{_CRUD} head route websocket websocket_listener"
_AIOHTTP = Context("aiohttp", "request", "loop")  # a def is deprecated, and called on the loop
_AIOHTTP_START = Context("aiohttp", "startup", "loop", "one")
_AIOHTTP_ROUTERS = "aiohttp.web.Application.router aiohttp.web.UrlDispatcher"
_AIOHTTP_ADDERS = "add_get add_post add_put add_delete add_patch add_head add_options add_view"
_AIOHTTP_SIGNALS = "on_startup on_cleanup on_shutdown cleanup_ctx"
_SANIC = Context("Sanic", "request", "loop")  # a def is called on the loop
_SANIC_START = Context("Sanic", "startup", "loop", "one")
_SANIC_CLASSES = "sanic.Sanic sanic.Blueprint"
_SANIC_STARTS = "listener before_server_start after_server_start before_server_stop after_server_stop"
_TORNADO = Context("Tornado", "request", "loop")  # a def is called on the loop
_BOTTLE = Context("Bottle", "request", "own", asynchronous="never")
_ROBYN = Context("Robyn", "request", "threadpool")  # a def runs on a thread of the Rust server
_ROBYN_START = Context("Robyn", "startup", "loop", "one")
_PLAIN_SERVER = Context("http.server", "request", "own", asynchronous="never")
_SOCKETIO = Context("Socket.IO", "request", "loop")  # a def is called on the loop
_SOCKETIO_SYNC = Context("Socket.IO", "request", "own", asynchronous="never")
_WEBSOCKETS = Context("websockets", "request", "loop")

_OTHER_ROWS = [
    *rows(_LITESTAR, "decorator", methods("litestar litestar.handlers", _LITESTAR_ROUTES)),
    *rows(_LITESTAR, "argument", "litestar.di.Provide", "0 dependency"),
    *rows(_LITESTAR_START, "argument", "litestar.Litestar", "on_startup on_shutdown lifespan"),
    *rows(
        _AIOHTTP, "argument", methods("aiohttp.web", "get post put delete patch head options view"), "1 handler"
    ),
    *rows(_AIOHTTP, "argument", "aiohttp.web.route", "2 handler"),
    *rows(_AIOHTTP, "argument", methods(_AIOHTTP_ROUTERS, _AIOHTTP_ADDERS), "1 handler"),
    *rows(_AIOHTTP, "argument", methods(_AIOHTTP_ROUTERS, "add_route"), "2 handler"),
    *rows(_AIOHTTP, "decorator", methods("aiohttp.web.RouteTableDef", f"{_VERBS} view route")),
    *rows(_AIOHTTP, "decorator", "aiohttp.web.middleware"),
    *rows(_AIOHTTP, "subclass", "aiohttp.web.View", _VERBS),
    *rows(
        _AIOHTTP_START,
        "argument",
        methods(" ".join(methods("aiohttp.web.Application", _AIOHTTP_SIGNALS)), "append extend"),
        "0",
    ),
    *rows(
        _SANIC, "decorator", methods(_SANIC_CLASSES, f"{_VERBS} route websocket middleware on_request on_response")
    ),
    *rows(_SANIC, "argument", methods(_SANIC_CLASSES, "add_route add_websocket_route"), "0 handler"),
    *rows(_SANIC_START, "decorator", methods(_SANIC_CLASSES, _SANIC_STARTS)),
    *rows(Context("Sanic", "task", "loop"), "argument", "sanic.Sanic.add_task", "0 task"),
    *rows(_SANIC, "subclass", "sanic.views.HTTPMethodView", _VERBS),
    *rows(_TORNADO, "subclass", "tornado.web.RequestHandler", f"{_VERBS} prepare on_finish"),
    *rows(_TORNADO, "subclass", "tornado.websocket.WebSocketHandler", f"open on_message on_close {_VERBS}"),
    *rows(_BOTTLE, "decorator", methods("bottle bottle.Bottle", f"route {_CRUD}")),
    *rows(_ROBYN, "decorator", methods("robyn.Robyn robyn.SubRouter", f"{_VERBS} before_request after_request")),
    *rows(_ROBYN_START, "argument", methods("robyn.Robyn", "startup_handler shutdown_handler"), "0 handler"),
    *rows(Context("Falcon", "request", "own"), "name", "falcon", "on_get on_post on_put on_delete on_patch"),
    *rows(
        _PLAIN_SERVER,
        "subclass",
        methods("http.server", "BaseHTTPRequestHandler SimpleHTTPRequestHandler"),
        "do_GET do_POST do_PUT do_DELETE do_PATCH do_HEAD do_OPTIONS",
    ),
    *rows(_PLAIN_SERVER, "subclass", methods("socketserver", "BaseRequestHandler StreamRequestHandler"), "handle"),
    *rows(_WEBSOCKETS, "argument", "websockets.serve websockets.unix_serve websockets.server.serve", "0 handler"),
    *rows(_WEBSOCKETS, "argument", "websockets.asyncio.server.serve websockets.legacy.server.serve", "0 handler"),
    *rows(
        Context("websockets", "request", "own", asynchronous="never"),
        "argument",
        "websockets.sync.server.serve",
        "0 handler",
    ),
    *rows(_SOCKETIO, "decorator", methods("socketio.AsyncServer socketio.AsyncClient", "on event")),
    *rows(_SOCKETIO_SYNC, "decorator", methods("socketio.Server socketio.Client", "on event")),
    *rows(_SOCKETIO, "subclass", "socketio.AsyncNamespace socketio.AsyncClientNamespace", "on_*"),
    *rows(_SOCKETIO_SYNC, "subclass", "socketio.Namespace socketio.ClientNamespace", "on_*"),
    *rows(
        Context("asyncio server", "request", "loop"),
        "argument",
        "asyncio.start_server asyncio.start_unix_server",
        "0 client_connected_cb",
    ),
    *rows(Context("gRPC", "request", "threadpool"), "subclass", "*Servicer", "*"),
    *rows(
        Context("A2A server", "request", "loop"),
        "subclass",
        "a2a.server.agent_execution.AgentExecutor",
        "execute cancel",
    ),
]

ROWS: list[Registration] = [*_FASTAPI_ROWS, *_STARLETTE_ROWS, *_FLASK_ROWS, *_DJANGO_ROWS, *_OTHER_ROWS]
