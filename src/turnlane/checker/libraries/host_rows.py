"""The rows of `hosts`: one block for each framework, with what its source says of where functions run."""

from __future__ import annotations

from collections.abc import Iterable

from turnlane.checker.libraries.hosts import Context, How, Registration

VERBS = ("get", "post", "put", "delete", "patch", "head", "options")


def _rows(
    context: Context, how: How, symbols: str | Iterable[str], *where: int | str, prefix: str = ""
) -> list[Registration]:
    """One row for each symbol; `symbols` as a text is split at spaces."""
    names = symbols.split() if isinstance(symbols, str) else symbols
    return [Registration(prefix + name, how, where, context) for name in names]


def _methods(classes: str, methods: Iterable[str]) -> list[str]:
    return [f"{name}.{method}" for name in classes.split() for method in methods]


# --- FastAPI and Starlette: a def runs in anyio's thread pool; event handlers and lifespan run on the loop -----

_FASTAPI = Context("FastAPI", "request", "threadpool")
_FASTAPI_START = Context("FastAPI", "startup", "loop", "one")
_STARLETTE = Context("Starlette", "request", "threadpool")
_FASTAPI_CLASSES = "fastapi.FastAPI fastapi.APIRouter fastapi.applications.FastAPI fastapi.routing.APIRouter"
_STARLETTE_CLASSES = "starlette.applications.Starlette starlette.routing.Router"

_WEB_ASYNC = [
    *_rows(
        _FASTAPI,
        "decorator",
        _methods(_FASTAPI_CLASSES, (*VERBS, "trace", "api_route", "route", "websocket", "websocket_route")),
    ),
    *_rows(_FASTAPI, "decorator", _methods(_FASTAPI_CLASSES, ("middleware", "exception_handler"))),
    *_rows(
        _FASTAPI,
        "argument",
        _methods(_FASTAPI_CLASSES, ("add_api_route", "add_api_websocket_route")),
        1,
        "endpoint",
    ),
    *_rows(_FASTAPI, "argument", "fastapi.Depends fastapi.Security fastapi.params.Depends", 0, "dependency"),
    *_rows(
        Context("FastAPI background task", "task", "threadpool"),
        "argument",
        "fastapi.BackgroundTasks.add_task fastapi.background.BackgroundTasks.add_task",
        0,
        "func",
    ),
    *_rows(_FASTAPI_START, "decorator", _methods(_FASTAPI_CLASSES, ("on_event",))),
    *_rows(_FASTAPI_START, "argument", _methods(_FASTAPI_CLASSES, ("add_event_handler",)), 1, "func"),
    *_rows(_FASTAPI_START, "argument", _FASTAPI_CLASSES, "lifespan", "on_startup", "on_shutdown"),
    *_rows(_STARLETTE, "argument", "starlette.routing.Route starlette.routing.WebSocketRoute", 1, "endpoint"),
    *_rows(
        _STARLETTE, "argument", _methods(_STARLETTE_CLASSES, ("add_route", "add_websocket_route")), 1, "endpoint"
    ),
    *_rows(_STARLETTE, "decorator", _methods(_STARLETTE_CLASSES, ("route", "websocket_route"))),
    *_rows(
        Context("Starlette", "startup", "loop", "one"),
        "argument",
        _STARLETTE_CLASSES,
        "lifespan",
        "on_startup",
        "on_shutdown",
    ),
    *_rows(_STARLETTE, "subclass", "starlette.endpoints.HTTPEndpoint fastapi.HTTPEndpoint", *VERBS),
    *_rows(
        _STARLETTE,
        "subclass",
        "starlette.endpoints.WebSocketEndpoint",
        "on_connect",
        "on_receive",
        "on_disconnect",
    ),
    *_rows(_STARLETTE, "subclass", "starlette.middleware.base.BaseHTTPMiddleware", "dispatch"),
    *_rows(
        Context("Starlette background task", "task", "threadpool"),
        "argument",
        "starlette.background.BackgroundTask starlette.background.BackgroundTasks.add_task",
        0,
        "func",
    ),
]

# --- Flask, Quart ------------------------------------------------------------------------------------------

# An async view is driven by asgiref's async_to_sync: a loop of its own for each request.
_FLASK = Context("Flask", "request", "own", asynchronous="own loop")
_QUART = Context("Quart", "request", "threadpool")
_FLASK_HOOKS = (
    "before_request",
    "after_request",
    "teardown_request",
    "errorhandler",
    "before_app_request",
    "context_processor",
    "before_first_request",
)

_FLASK_LIKE = [
    *_rows(
        _FLASK,
        "decorator",
        _methods("flask.Flask flask.Blueprint", ("route", "get", "post", "put", "delete", "patch", *_FLASK_HOOKS)),
    ),
    *_rows(_FLASK, "argument", _methods("flask.Flask flask.Blueprint", ("add_url_rule",)), 2, "view_func"),
    *_rows(
        _FLASK,
        "subclass",
        "flask.views.MethodView flask_restful.Resource flask_restx.Resource",
        "get",
        "post",
        "put",
        "delete",
        "patch",
    ),
    *_rows(_FLASK, "subclass", "flask.views.View", "dispatch_request"),
    *_rows(Context("Flask command", "script", "own", "one", "never"), "decorator", "flask.Flask.cli.command"),
    *_rows(
        _QUART,
        "decorator",
        _methods(
            "quart.Quart quart.Blueprint", ("route", *VERBS[:5], "websocket", *_FLASK_HOOKS, "before_websocket")
        ),
    ),
    *_rows(_QUART, "argument", _methods("quart.Quart quart.Blueprint", ("add_url_rule",)), 2, "view_func"),
    *_rows(
        Context("Quart", "startup", "threadpool", "one"),
        "decorator",
        _methods("quart.Quart quart.Blueprint", ("before_serving", "after_serving", "while_serving")),
    ),
    *_rows(
        Context("Quart background task", "task", "threadpool"),
        "argument",
        "quart.Quart.add_background_task",
        0,
        "func",
    ),
    *_rows(
        Context("Flask-SocketIO", "request", "own", asynchronous="never"),
        "decorator",
        "flask_socketio.SocketIO.on flask_socketio.SocketIO.event",
    ),
    *_rows(
        Context("Flask-SocketIO", "task", "own", asynchronous="never"),
        "argument",
        "flask_socketio.SocketIO.start_background_task",
        0,
        "target",
    ),
]

# --- Django ------------------------------------------------------------------------------------------------

# Under WSGI a view has its own thread and an async view a loop for itself; under ASGI they share the server's loop.
_DJANGO = Context("Django", "request", "own")
_DRF = Context("Django REST framework", "request", "own", asynchronous="never")
_VIEW_METHODS = ("get", "post", "put", "delete", "patch", "dispatch")

_DJANGO_ROWS = [
    *_rows(_DJANGO, "argument", "django.urls.path django.urls.re_path django.conf.urls.url", 1, "view"),
    *_rows(
        _DJANGO,
        "subclass",
        "django.views.View django.views.generic.View django.views.generic.TemplateView "
        "django.views.generic.ListView django.views.generic.DetailView django.views.generic.FormView "
        "django.views.generic.CreateView django.views.generic.UpdateView django.views.generic.base.View",
        *_VIEW_METHODS,
        "form_valid",
    ),
    *_rows(_DJANGO, "decorator", "django.views.decorators.http.require_http_methods"),
    *_rows(
        _DJANGO,
        "decorator",
        "django.views.decorators.http.require_POST django.views.decorators.http.require_GET "
        "django.views.decorators.http.require_safe django.views.decorators.csrf.csrf_exempt "
        "django.contrib.auth.decorators.login_required",
    ),
    *_rows(_DRF, "decorator", "rest_framework.decorators.api_view rest_framework.decorators.action"),
    *_rows(
        _DRF, "subclass", "rest_framework.views.APIView rest_framework.generics.GenericAPIView", *_VIEW_METHODS
    ),
    *_rows(
        _DRF,
        "subclass",
        "rest_framework.viewsets.ViewSet rest_framework.viewsets.GenericViewSet rest_framework.viewsets.ModelViewSet",
        "list",
        "create",
        "retrieve",
        "update",
        "partial_update",
        "destroy",
        "perform_create",
        "perform_update",
    ),
    *_rows(
        Context("Django Ninja", "request", "own"),
        "decorator",
        _methods("ninja.NinjaAPI ninja.Router", ("get", "post", "put", "delete", "patch", "api_operation")),
    ),
    *_rows(
        Context("Channels", "request", "loop"),
        "subclass",
        "channels.generic.websocket.AsyncWebsocketConsumer channels.generic.websocket.AsyncJsonWebsocketConsumer "
        "channels.generic.http.AsyncHttpConsumer channels.consumer.AsyncConsumer",
        "connect",
        "disconnect",
        "receive",
        "receive_json",
        "handle",
    ),
    *_rows(
        Context("Channels", "request", "threadpool", asynchronous="never"),
        "subclass",
        "channels.generic.websocket.WebsocketConsumer channels.generic.websocket.JsonWebsocketConsumer "
        "channels.consumer.SyncConsumer",
        "connect",
        "disconnect",
        "receive",
        "receive_json",
    ),
    *_rows(
        Context("Django command", "script", "own", "one", "never"),
        "subclass",
        "django.core.management.base.BaseCommand django.core.management.BaseCommand",
        "handle",
    ),
    *_rows(Context("Django signal", "callback", "own"), "decorator", "django.dispatch.receiver"),
]

# --- Other web frameworks ------------------------------------------------------------------------------------

_LITESTAR = Context("Litestar", "request", "loop")  # unless sync_to_thread=True: it warns of that
_AIOHTTP = Context("aiohttp", "request", "loop")
_SANIC = Context("Sanic", "request", "loop")
_TORNADO = Context("Tornado", "request", "loop")
_BOTTLE = Context("Bottle", "request", "own", asynchronous="never")
_ROBYN = Context("Robyn", "request", "threadpool")

_WEB_OTHERS = [
    *_rows(
        _LITESTAR,
        "decorator",
        "get post put delete patch head route websocket websocket_listener handlers.get handlers.post handlers.put "
        "handlers.delete handlers.patch handlers.route",
        prefix="litestar.",
    ),
    *_rows(
        Context("Litestar", "startup", "loop", "one"),
        "argument",
        "litestar.Litestar",
        "on_startup",
        "on_shutdown",
        "lifespan",
    ),
    *_rows(_LITESTAR, "argument", "litestar.di.Provide", 0, "dependency"),
    *_rows(_AIOHTTP, "argument", [f"aiohttp.web.{verb}" for verb in (*VERBS, "view")], 1, "handler"),
    *_rows(_AIOHTTP, "argument", "aiohttp.web.route", 2, "handler"),
    *_rows(
        _AIOHTTP,
        "argument",
        _methods(
            "aiohttp.web.Application.router aiohttp.web.UrlDispatcher",
            [f"add_{verb}" for verb in (*VERBS, "view")],
        ),
        1,
        "handler",
    ),
    *_rows(
        _AIOHTTP,
        "argument",
        "aiohttp.web.Application.router.add_route aiohttp.web.UrlDispatcher.add_route",
        2,
        "handler",
    ),
    *_rows(_AIOHTTP, "decorator", _methods("aiohttp.web.RouteTableDef", (*VERBS, "view", "route"))),
    *_rows(_AIOHTTP, "decorator", "aiohttp.web.middleware"),
    *_rows(_AIOHTTP, "subclass", "aiohttp.web.View", *VERBS),
    *_rows(
        Context("aiohttp", "startup", "loop", "one"),
        "argument",
        [
            f"aiohttp.web.Application.{signal}.{verb}"
            for signal in ("on_startup", "on_cleanup", "on_shutdown", "cleanup_ctx")
            for verb in ("append", "extend")
        ],
        0,
    ),
    *_rows(
        _SANIC,
        "decorator",
        _methods(
            "sanic.Sanic sanic.Blueprint",
            (*VERBS, "route", "websocket", "middleware", "on_request", "on_response"),
        ),
    ),
    *_rows(
        _SANIC,
        "argument",
        _methods("sanic.Sanic sanic.Blueprint", ("add_route", "add_websocket_route")),
        0,
        "handler",
    ),
    *_rows(
        Context("Sanic", "startup", "loop", "one"),
        "decorator",
        _methods(
            "sanic.Sanic sanic.Blueprint",
            ("listener", "before_server_start", "after_server_start", "before_server_stop", "after_server_stop"),
        ),
    ),
    *_rows(_SANIC, "subclass", "sanic.views.HTTPMethodView", *VERBS),
    *_rows(_TORNADO, "subclass", "tornado.web.RequestHandler", *VERBS, "prepare", "on_finish"),
    *_rows(
        _TORNADO,
        "subclass",
        "tornado.websocket.WebSocketHandler",
        "open",
        "on_message",
        "on_close",
        *VERBS,
    ),
    *_rows(
        _BOTTLE, "decorator", _methods("bottle bottle.Bottle", ("route", "get", "post", "put", "delete", "patch"))
    ),
    *_rows(
        _ROBYN, "decorator", _methods("robyn.Robyn robyn.SubRouter", (*VERBS, "before_request", "after_request"))
    ),
    *_rows(
        Context("Robyn", "startup", "loop", "one"),
        "decorator",
        "robyn.Robyn.startup_handler robyn.Robyn.shutdown_handler",
    ),
    *_rows(
        Context("Falcon", "request", "own"),
        "name",
        "falcon",
        "on_get",
        "on_post",
        "on_put",
        "on_delete",
        "on_patch",
    ),
    *_rows(
        Context("http.server", "request", "own", asynchronous="never"),
        "subclass",
        "http.server.BaseHTTPRequestHandler http.server.SimpleHTTPRequestHandler "
        "socketserver.BaseRequestHandler socketserver.StreamRequestHandler",
        *(f"do_{verb.upper()}" for verb in VERBS),
        "handle",
    ),
    *_rows(
        Context("websockets", "request", "loop"),
        "argument",
        _methods("websockets", ("serve", "unix_serve")),
        0,
        "handler",
    ),
    *_rows(
        Context("websockets", "request", "loop"),
        "argument",
        "websockets.server.serve websockets.asyncio.server.serve websockets.legacy.server.serve",
        0,
        "handler",
    ),
    *_rows(
        Context("websockets", "request", "own", asynchronous="never"),
        "argument",
        "websockets.sync.server.serve",
        0,
        "handler",
    ),
    *_rows(
        Context("Socket.IO", "request", "loop"),
        "decorator",
        "socketio.AsyncServer.on socketio.AsyncServer.event socketio.AsyncClient.on socketio.AsyncClient.event",
    ),
    *_rows(
        Context("Socket.IO", "request", "own", asynchronous="never"),
        "decorator",
        "socketio.Server.on socketio.Server.event socketio.Client.on socketio.Client.event",
    ),
    *_rows(Context("Socket.IO", "request", "loop"), "subclass", "socketio.AsyncNamespace", "on_*"),
    *_rows(Context("Socket.IO", "request", "own"), "subclass", "socketio.Namespace", "on_*"),
    *_rows(
        Context("asyncio server", "request", "loop"),
        "argument",
        "asyncio.start_server asyncio.start_unix_server",
        0,
        "client_connected_cb",
    ),
]

# --- User interfaces -----------------------------------------------------------------------------------------

_STREAMLIT = Context("Streamlit", "session", "own", asynchronous="never")
_STREAMLIT_EVENT = Context("Streamlit", "callback", "own", asynchronous="never")
_GRADIO = Context("Gradio", "request", "threadpool")
_CHAINLIT = Context("Chainlit", "callback", "loop")
_PANEL = Context("Panel", "callback", "loop")
_PANEL_CHAT = Context("Panel", "callback", "threadpool")
_NICEGUI = Context("NiceGUI", "callback", "loop")
_GRADIO_EVENTS = (
    "click",
    "submit",
    "change",
    "input",
    "load",
    "then",
    "success",
    "select",
    "upload",
    "stream",
    "tick",
    "blur",
    "release",
    "like",
    "retry",
    "undo",
    "edit",
    "clear",
    "start_recording",
    "stop_recording",
    "unload",
)
_NICEGUI_EVENTS = ("on_click", "on_change", "on_upload", "on_value_change", "on_submit", "on_select", "on_enter")

_INTERFACES = [
    *_rows(_STREAMLIT, "module", "streamlit"),
    *_rows(
        _STREAMLIT_EVENT,
        "argument",
        [
            f"streamlit.{widget}"
            for widget in (
                "button",
                "form_submit_button",
                "download_button",
                "checkbox",
                "toggle",
                "radio",
                "selectbox",
                "multiselect",
                "slider",
                "select_slider",
                "text_input",
                "text_area",
                "number_input",
                "date_input",
                "time_input",
                "file_uploader",
                "camera_input",
                "color_picker",
                "chat_input",
                "data_editor",
                "audio_input",
                "pills",
                "segmented_control",
                "feedback",
            )
        ],
        "on_click",
        "on_change",
        "on_submit",
    ),
    *_rows(_STREAMLIT_EVENT, "argument", "streamlit.*.button streamlit.*.form_submit_button", "on_click"),
    *_rows(_STREAMLIT, "decorator", "streamlit.fragment streamlit.dialog streamlit.experimental_fragment"),
    *_rows(_STREAMLIT, "argument", "streamlit.Page", 0, "page"),
    *_rows(_GRADIO, "argument", "gradio.Interface gradio.ChatInterface", 0, "fn"),
    *_rows(_GRADIO, "argument", "gradio.on", 1, "fn"),
    *_rows(_GRADIO, "decorator", "gradio.on gradio.render"),
    *_rows(_GRADIO, "argument", [f"gradio.*.{event}" for event in _GRADIO_EVENTS], 0, "fn"),
    *_rows(_GRADIO, "decorator", [f"gradio.*.{event}" for event in _GRADIO_EVENTS]),
    *_rows(_GRADIO, "argument", "gradio.api gradio.Timer.tick", 0, "fn"),
    *_rows(
        _CHAINLIT,
        "decorator",
        "on_message on_chat_start on_chat_end on_chat_resume on_stop on_window_message on_audio_start on_audio_chunk "
        "on_audio_end on_settings_update on_settings_edit action_callback author_rename set_chat_profiles set_starters "
        "password_auth_callback header_auth_callback oauth_callback on_logout on_feedback",
        prefix="chainlit.",
    ),
    *_rows(Context("Chainlit", "callback", "loop"), "decorator", "chainlit.step chainlit.on_mcp_connect"),
    *_rows(
        Context("Chainlit", "startup", "loop", "one"),
        "decorator",
        "chainlit.on_app_startup chainlit.on_app_shutdown",
    ),
    *_rows(
        _PANEL_CHAT,
        "argument",
        "panel.chat.ChatInterface panel.chat.ChatFeed panel.chat.interface.ChatInterface panel.chat.feed.ChatFeed",
        "callback",
    ),
    *_rows(_PANEL, "argument", "panel.bind panel.Param panel.depends", 0, "function"),
    *_rows(_PANEL, "decorator", "panel.depends panel.io.state.onload"),
    *_rows(_PANEL, "argument", "panel.*.on_click panel.*.param.watch panel.*.watch", 0, "fn", "callback"),
    *_rows(
        _PANEL,
        "argument",
        "panel.state.onload panel.state.add_periodic_callback panel.state.schedule_task panel.state.execute",
        0,
        1,
        "callback",
    ),
    *_rows(Context("Panel", "session", "loop"), "argument", "panel.serve", 0, "panels"),
    *_rows(_NICEGUI, "decorator", "nicegui.ui.page nicegui.ui.refreshable nicegui.ui.timer"),
    *_rows(
        _NICEGUI,
        "argument",
        [
            f"nicegui.ui.{element}"
            for element in (
                "button",
                "input",
                "textarea",
                "select",
                "checkbox",
                "switch",
                "slider",
                "number",
                "radio",
                "toggle",
                "upload",
                "menu_item",
                "item",
                "tabs",
                "chat_message",
                "icon",
                "chip",
                "fab_action",
            )
        ],
        *_NICEGUI_EVENTS,
    ),
    *_rows(_NICEGUI, "argument", "nicegui.ui.timer", 1, "callback"),
    *_rows(_NICEGUI, "argument", "nicegui.*.on", 1, "handler"),
    *_rows(
        _NICEGUI, "argument", "nicegui.*.on_click nicegui.*.on_value_change nicegui.*.on_upload", 0, "callback"
    ),
    *_rows(
        Context("NiceGUI", "startup", "loop", "one"),
        "argument",
        "nicegui.app.on_startup nicegui.app.on_shutdown",
        0,
        "handler",
    ),
    *_rows(_NICEGUI, "argument", "nicegui.app.on_connect nicegui.app.on_disconnect", 0, "handler"),
    *_rows(Context("NiceGUI", "request", "threadpool"), "decorator", _methods("nicegui.app", VERBS)),
    *_rows(Context("Reflex", "callback", "loop"), "subclass", "reflex.State reflex.state.State", "*"),
    *_rows(Context("Reflex", "callback", "loop"), "decorator", "reflex.event"),
    *_rows(Context("Mesop", "request", "own", asynchronous="own loop"), "decorator", "mesop.page"),
    *_rows(
        Context("Mesop", "callback", "own", asynchronous="own loop"),
        "argument",
        "mesop.labs.chat mesop.labs.text_to_text",
        0,
        "transform",
    ),
    *_rows(
        Context("Mesop", "callback", "own", asynchronous="own loop"),
        "argument",
        "mesop.button mesop.input mesop.textarea mesop.select mesop.checkbox mesop.radio mesop.uploader",
        "on_click",
        "on_blur",
        "on_input",
        "on_enter",
        "on_change",
        "on_selection_change",
        "on_upload",
    ),
    *_rows(
        Context("Shiny", "callback", "loop"),
        "decorator",
        "reactive.effect reactive.Effect reactive.event reactive.calc reactive.Calc reactive.extended_task render.text "
        "render.ui render.express render.code render.data_frame render.table render.plot render.image render.download "
        "ui.Chat.on_user_submit",
        prefix="shiny.",
    ),
    *_rows(Context("Shiny", "session", "loop"), "argument", "shiny.App", 1, "server"),
    *_rows(
        Context("Dash", "request", "own", asynchronous="own loop"),
        "decorator",
        "dash.Dash.callback dash.callback dash.dash.Dash.callback dash.Dash.long_callback",
    ),
    *_rows(
        Context("Taipy", "callback", "own"),
        "argument",
        "taipy.gui.invoke_long_callback taipy.gui.Gui",
        1,
        "user_function",
        "on_init",
        "on_change",
        "on_action",
        "on_navigate",
    ),
    *_rows(Context("Solara", "session", "own"), "decorator", "solara.component"),
    *_rows(
        Context("Solara", "callback", "own"),
        "argument",
        "solara.Button solara.InputText solara.Select solara.lab.ChatInput",
        "on_click",
        "on_value",
        "send_callback",
    ),
    *_rows(Context("Solara", "callback", "loop"), "decorator", "solara.lab.task solara.lab.use_task"),
]

# --- Queues, schedulers, workflows ---------------------------------------------------------------------------

_CELERY = Context("Celery", "task", "own", asynchronous="never")
_SCHEDULER = Context("APScheduler", "task", "own")

_QUEUES = [
    *_rows(
        _CELERY,
        "decorator",
        "celery.Celery.task celery.shared_task celery.app.shared_task celery.app.base.Celery.task celery.task.task",
    ),
    *_rows(_CELERY, "subclass", "celery.Task celery.app.task.Task", "run"),
    *_rows(
        Context("RQ", "task", "own", asynchronous="own loop"),
        "argument",
        "rq.Queue.enqueue rq.Queue.enqueue_call rq.queue.Queue.enqueue",
        0,
        "f",
        "func",
    ),
    *_rows(
        Context("RQ", "task", "own", asynchronous="own loop"),
        "argument",
        "rq.Queue.enqueue_in rq.Queue.enqueue_at",
        1,
    ),
    *_rows(Context("RQ", "task", "own", asynchronous="own loop"), "decorator", "rq.decorators.job"),
    *_rows(Context("Dramatiq", "task", "own"), "decorator", "dramatiq.actor"),
    *_rows(
        Context("Huey", "task", "own", asynchronous="never"),
        "decorator",
        _methods(
            "huey.RedisHuey huey.SqliteHuey huey.MemoryHuey huey.FileHuey huey.PriorityRedisHuey huey.contrib.djhuey huey.Huey",
            ("task", "periodic_task", "on_startup", "db_task", "db_periodic_task"),
        ),
    ),
    *_rows(
        Context("arq", "task", "loop"),
        "argument",
        "arq.worker.func arq.func arq.cron arq.worker.Worker",
        0,
        "coroutine",
        "functions",
    ),
    *_rows(
        Context("Taskiq", "task", "threadpool"),
        "decorator",
        "taskiq.*.task taskiq_redis.*.task taskiq_aio_pika.*.task",
    ),
    *_rows(
        _SCHEDULER,
        "argument",
        _methods(
            "apscheduler.schedulers.background.BackgroundScheduler apscheduler.schedulers.blocking.BlockingScheduler",
            ("add_job",),
        ),
        0,
        "func",
    ),
    *_rows(
        _SCHEDULER,
        "decorator",
        _methods(
            "apscheduler.schedulers.background.BackgroundScheduler apscheduler.schedulers.blocking.BlockingScheduler",
            ("scheduled_job",),
        ),
    ),
    *_rows(
        Context("APScheduler", "task", "threadpool"),
        "argument",
        "apscheduler.schedulers.asyncio.AsyncIOScheduler.add_job",
        0,
        "func",
    ),
    *_rows(
        Context("APScheduler", "task", "threadpool"),
        "decorator",
        "apscheduler.schedulers.asyncio.AsyncIOScheduler.scheduled_job",
    ),
    *_rows(
        Context("schedule", "task", "own", "one", "never"),
        "argument",
        "schedule.Job.do schedule.*.do",
        0,
        "job_func",
    ),
    *_rows(
        Context("Airflow", "task", "own", "one"),
        "decorator",
        "airflow.decorators.task airflow.decorators.task.python airflow.sdk.task",
    ),
    *_rows(
        Context("Airflow", "task", "own", "one"),
        "argument",
        "airflow.operators.python.PythonOperator airflow.providers.standard.operators.python.PythonOperator",
        "python_callable",
    ),
    *_rows(Context("Prefect", "task", "own", "one"), "decorator", "prefect.flow prefect.task"),
    *_rows(
        Context("FastStream", "task", "threadpool"),
        "decorator",
        _methods(
            "faststream.rabbit.RabbitBroker faststream.kafka.KafkaBroker faststream.nats.NatsBroker "
            "faststream.redis.RedisBroker faststream.confluent.KafkaBroker",
            ("subscriber",),
        ),
    ),
    *_rows(Context("Temporal", "task", "threadpool"), "decorator", "temporalio.activity.defn"),
    *_rows(
        Context("Pika", "task", "own", asynchronous="never"),
        "argument",
        "pika.*.basic_consume",
        1,
        "on_message_callback",
    ),
]

# --- Functions as a service ----------------------------------------------------------------------------------

_LAMBDA = Context("AWS Lambda", "request", "own", asynchronous="never")
_AZURE = Context("Azure Functions", "request", "threadpool")

_SERVERLESS = [
    *_rows(_LAMBDA, "name", "", "lambda_handler"),
    *_rows(_AZURE, "name", "azure.functions", "main"),
    *_rows(
        _AZURE,
        "decorator",
        _methods(
            "azure.functions.FunctionApp azure.functions.Blueprint",
            (
                "route",
                "function_name",
                "queue_trigger",
                "timer_trigger",
                "schedule",
                "blob_trigger",
                "event_grid_trigger",
                "event_hub_message_trigger",
                "service_bus_queue_trigger",
                "service_bus_topic_trigger",
                "cosmos_db_trigger",
                "generic_trigger",
                "activity_trigger",
                "mcp_tool_trigger",
            ),
        ),
    ),
    *_rows(
        Context("Google Cloud Functions", "request", "own", asynchronous="never"),
        "decorator",
        "functions_framework.http functions_framework.cloud_event functions_framework.typed "
        "firebase_functions.https_fn.on_request firebase_functions.https_fn.on_call",
    ),
    *_rows(
        Context("Modal", "request", "threadpool"),
        "decorator",
        "modal.App.function modal.Stub.function modal.method modal.web_endpoint modal.fastapi_endpoint",
    ),
    *_rows(Context("Ray Serve", "request", "loop"), "class decorator", "ray.serve.deployment", "__call__"),
    *_rows(Context("Ray", "task", "own"), "decorator", "ray.remote"),
    *_rows(Context("BentoML", "request", "threadpool"), "decorator", "bentoml.api bentoml.Service.api"),
]

# --- Chat platforms ------------------------------------------------------------------------------------------

_DISCORD = Context("Discord", "callback", "loop")
_TELEGRAM = Context("Telegram", "callback", "loop")
_SLACK = Context("Slack", "callback", "own", asynchronous="never")
_SLACK_ASYNC = Context("Slack", "callback", "loop")
_TEAMS = Context("Bot Framework", "callback", "loop")
_DISCORD_CLIENTS = (
    "discord.Client discord.Bot discord.ext.commands.Bot nextcord.Client nextcord.ext.commands.Bot "
    "disnake.Client disnake.ext.commands.Bot"
)
_SLACK_EVENTS = ("event", "message", "command", "action", "shortcut", "view", "options", "middleware")

_CHAT = [
    *_rows(
        _DISCORD,
        "decorator",
        _methods(_DISCORD_CLIENTS, ("event", "command", "slash_command", "listen", "hybrid_command")),
    ),
    *_rows(
        _DISCORD,
        "decorator",
        "discord.app_commands.CommandTree.command discord.app_commands.command discord.ext.commands.command "
        "discord.ext.commands.Cog.listener discord.ext.commands.hybrid_command discord.ext.tasks.loop "
        "discord.ui.button nextcord.slash_command nextcord.ext.commands.command nextcord.ext.commands.Cog.listener",
    ),
    *_rows(_DISCORD, "subclass", _DISCORD_CLIENTS, "on_*", "setup_hook"),
    *_rows(
        _TELEGRAM,
        "argument",
        "telegram.ext.CommandHandler telegram.ext.MessageHandler telegram.ext.ConversationHandler",
        1,
        "callback",
    ),
    *_rows(
        _TELEGRAM,
        "argument",
        "telegram.ext.CallbackQueryHandler telegram.ext.InlineQueryHandler telegram.ext.TypeHandler",
        0,
        "callback",
    ),
    *_rows(
        Context("aiogram", "callback", "threadpool"),
        "decorator",
        _methods(
            "aiogram.Dispatcher aiogram.Router", ("message", "callback_query", "edited_message", "inline_query")
        ),
    ),
    *_rows(Context("aiogram", "callback", "loop"), "decorator", "aiogram.Dispatcher.message_handler"),
    *_rows(
        Context("pyTelegramBotAPI", "callback", "own", asynchronous="never"),
        "decorator",
        "telebot.TeleBot.message_handler telebot.TeleBot.callback_query_handler",
    ),
    *_rows(
        Context("pyTelegramBotAPI", "callback", "loop"),
        "decorator",
        "telebot.async_telebot.AsyncTeleBot.message_handler telebot.async_telebot.AsyncTeleBot.callback_query_handler",
    ),
    *_rows(_SLACK, "decorator", _methods("slack_bolt.App", _SLACK_EVENTS)),
    *_rows(
        _SLACK_ASYNC,
        "decorator",
        _methods("slack_bolt.async_app.AsyncApp slack_bolt.app.async_app.AsyncApp", _SLACK_EVENTS),
    ),
    *_rows(
        _TEAMS,
        "subclass",
        "botbuilder.core.ActivityHandler botbuilder.core.teams.TeamsActivityHandler",
        "on_turn",
        "on_message_activity",
        "on_members_added_activity",
        "on_teams_*",
    ),
    *_rows(
        _TEAMS,
        "decorator",
        "teams.Application.activity teams.Application.message teams.ai.Application.activity "
        "microsoft_agents.hosting.core.AgentApplication.activity microsoft_agents.hosting.core.AgentApplication.message",
    ),
    *_rows(
        Context("FastAgency", "callback", "threadpool"),
        "decorator",
        "fastagency.runtimes.ag2.Workflow.register fastagency.runtimes.autogen.AutoGenWorkflows.register "
        "fastagency.runtimes.ag2.AutoGenWorkflows.register",
    ),
]

# --- Tools of agents -----------------------------------------------------------------------------------------

_AGENTCHAT_TOOL = Context("AutoGen tool", "tool", "threadpool")
_CLASSIC_TOOL = Context(
    "AutoGen tool", "tool", "own"
)  # a sync chat calls it in its own thread, an async one on the loop
_FRAMEWORK_TOOL = Context("Agent Framework tool", "tool", "threadpool")
_MCP = Context("MCP server", "tool", "loop")

_TOOLS = [
    *_rows(_AGENTCHAT_TOOL, "argument", "autogen_agentchat.agents.AssistantAgent", 2, "tools"),
    *_rows(
        _AGENTCHAT_TOOL,
        "argument",
        "autogen_core.tools.FunctionTool autogen_core.components.tools.FunctionTool",
        0,
        "func",
    ),
    *_rows(
        Context("AutoGen human input", "tool", "threadpool"),
        "argument",
        "autogen_agentchat.agents.UserProxyAgent",
        2,
        "input_func",
    ),
    *_rows(
        Context("AutoGen team", "tool", "loop"),
        "argument",
        "autogen_agentchat.teams.SelectorGroupChat",
        "selector_func",
        "candidate_func",
    ),
    *_rows(
        Context("AutoGen runtime", "callback", "loop", asynchronous="loop"),
        "decorator",
        "autogen_core.message_handler autogen_core.event autogen_core.rpc autogen_core.components.message_handler",
    ),
    *_rows(
        Context("AutoGen runtime", "callback", "loop"),
        "argument",
        "autogen_core.ClosureAgent.register_closure",
        2,
        "closure",
    ),
    *_rows(_CLASSIC_TOOL, "argument", "autogen.register_function autogen.agentchat.register_function", 0, "f"),
    *_rows(
        _CLASSIC_TOOL,
        "decorator",
        "autogen.ConversableAgent.register_for_llm autogen.ConversableAgent.register_for_execution autogen.tools.tool "
        "autogen.AssistantAgent.register_for_llm autogen.UserProxyAgent.register_for_execution",
    ),
    *_rows(
        _CLASSIC_TOOL,
        "argument",
        "autogen.ConversableAgent autogen.AssistantAgent autogen.UserProxyAgent",
        "function_map",
        "functions",
    ),
    *_rows(_CLASSIC_TOOL, "argument", "autogen.ConversableAgent.register_function", 0, "function_map"),
    *_rows(_CLASSIC_TOOL, "argument", "autogen.ConversableAgent.register_reply", 1, "reply_func"),
    *_rows(_FRAMEWORK_TOOL, "decorator", "agent_framework.ai_function agent_framework.tool"),
    *_rows(_FRAMEWORK_TOOL, "argument", "agent_framework.Agent agent_framework.ChatAgent", "tools"),
    *_rows(
        _FRAMEWORK_TOOL,
        "argument",
        _methods("agent_framework.BaseChatClient", ("as_agent", "create_agent")),
        "tools",
    ),
    *_rows(
        Context("Agent Framework workflow", "callback", "loop"),
        "decorator",
        "agent_framework.handler agent_framework.executor",
    ),
    *_rows(
        _MCP,
        "decorator",
        _methods("mcp.server.fastmcp.FastMCP mcp.server.FastMCP fastmcp.FastMCP", ("tool", "resource", "prompt")),
    ),
    *_rows(
        _MCP,
        "decorator",
        _methods(
            "mcp.server.Server mcp.server.lowlevel.Server",
            ("call_tool", "list_tools", "read_resource", "get_prompt"),
        ),
    ),
]

# --- Threads, signals, command lines, tests --------------------------------------------------------------------

_TEST = Context("pytest", "test", "own", "one")
_SCRIPT = Context("command line", "script", "own", "one", "never")

_PROGRAM = [
    *_rows(Context("gRPC", "request", "threadpool"), "subclass", "*Servicer", "*"),
    *_rows(_TEST, "decorator", "pytest.fixture pytest_asyncio.fixture"),
    *_rows(_TEST, "name", "", "test_*"),
    *_rows(
        _TEST, "subclass", "unittest.TestCase unittest.IsolatedAsyncioTestCase", "test*", "setUp", "asyncSetUp"
    ),
    *_rows(
        _SCRIPT,
        "decorator",
        "typer.Typer.command typer.Typer.callback click.command click.group click.Group.command cyclopts.App.command "
        "cyclopts.App.default",
    ),
    *_rows(_SCRIPT, "argument", "typer.run fire.Fire", 0, "function", "component"),
    *_rows(
        Context("signal handler", "callback", "own", asynchronous="never"),
        "argument",
        "signal.signal",
        1,
        "handler",
    ),
    *_rows(Context("exit handler", "startup", "own", "one", "never"), "argument", "atexit.register", 0, "func"),
    *_rows(Context("exit handler", "startup", "own", "one", "never"), "decorator", "atexit.register"),
    *_rows(
        Context("watchdog", "thread", "own", asynchronous="never"),
        "subclass",
        "watchdog.events.FileSystemEventHandler watchdog.events.PatternMatchingEventHandler",
        "on_*",
    ),
    *_rows(Context("thread", "thread", "own", asynchronous="never"), "subclass", "threading.Thread", "run"),
    *_rows(Context("process", "script", "own", "one", "never"), "subclass", "multiprocessing.Process", "run"),
    *_rows(
        Context("Tk", "callback", "own", "one", "never"),
        "argument",
        "tkinter.Button tkinter.ttk.Button",
        "command",
    ),
    *_rows(
        Context("CustomTkinter", "callback", "own", "one", "never"),
        "argument",
        "customtkinter.CTkButton",
        "command",
    ),
    *_rows(
        Context("Textual", "callback", "loop", "one"), "subclass", "textual.app.App", "on_*", "action_*", "compose"
    ),
]

REGISTRATIONS: tuple[Registration, ...] = (
    *_WEB_ASYNC,
    *_FLASK_LIKE,
    *_DJANGO_ROWS,
    *_WEB_OTHERS,
    *_INTERFACES,
    *_QUEUES,
    *_SERVERLESS,
    *_CHAT,
    *_TOOLS,
    *_PROGRAM,
)
