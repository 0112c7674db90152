"""What known functions do to loops, threads and processes: who starts a loop, blocks it, leaves its thread.

Symbols are dotted names as user code would import them; methods stand under the class that they belong to
(`asyncio.AbstractEventLoop.run_until_complete`). `made_by` says which class a call gives, so that a receiver can
be followed to it; `by_method` serves receivers of unknown type where the method's name alone leaves no doubt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

EffectKind = Literal[
    "runs loop",  # drives a loop until its argument is done; fails where a loop runs already (TL101, TL102, TL104)
    "runs loop forever",  # the same, without an argument
    "gets loop",  # fails or warns in a thread without a loop (TL103, TL104)
    "makes loop",  # a private loop: clients used in it die with it (TL103, TL112)
    "sets loop",
    "closes loop",
    "patches loop",  # nest_asyncio.apply (TL105)
    "spawns task",  # starts a coroutine that nobody waits for unless its task is kept (TL501)
    "spawns kept task",  # as above, but an owner waits for it
    "calls on loop",  # a plain function that the loop's thread will call
    "submits to loop",  # into a loop that runs in another thread; `.result()` on the loop's own hangs (TL110)
    "to sync",  # makes a plain function of an async one, or calls it so: drives a loop of its own
    "to thread",  # runs its argument in a thread without a loop; is awaited
    "starts thread",  # the same, without being awaited
    "to process",  # runs its argument in another process
    "forks",  # the process is copied, clients and loops included (TL301)
    "blocks",  # holds its thread until something outside answers (TL108)
    "reads stdin",  # blocks for a human (TL504)
    "caches",  # a decorator: what the function returns lives on and is shared by all callers (TL201)
    "caches per user",  # a decorator or mapping: one value for each user's session
    "gathers",  # awaits several things at once (TL204, TL303)
    "times out",  # cancels what it awaits (TL503)
    "shields",
    "limits",  # at most so many at once
    "retries",  # a decorator or wrapper that calls again on an exception (TL304, TL305)
    "locks",  # asyncio.Lock: one at a time
    "locks thread",
]


class Effect(NamedTuple):
    """What calling a symbol does, or decorating with it."""

    symbol: str
    kind: EffectKind
    argument: int = -1
    """Which positional argument (without self) is the function or coroutine concerned; -1: none, or decorated."""
    keyword: str = ""
    """The same argument by keyword."""
    awaited: bool = False
    """Whether the call has to be awaited to happen."""


def effect(symbol: str) -> Effect | None:
    """What calling `symbol` does; None when nothing is known."""
    return _BY_SYMBOL.get(symbol)


def by_method(name: str) -> Effect | None:
    """What `anything.name(...)` does, where `name` can hardly mean anything else."""
    return _BY_METHOD.get(name)


def made_by(symbol: str) -> str:
    """The class of what calling `symbol` gives, for receivers in this table; empty when unknown."""
    return MADE_BY.get(symbol, "")


_LOOP = "asyncio.AbstractEventLoop"

_RUNS_LOOP = (
    ("asyncio.run", 0, "main"),
    ("asyncio.Runner.run", 0, "coro"),
    (f"{_LOOP}.run_until_complete", 0, "future"),
    ("anyio.run", 0, "func"),
    ("trio.run", 0, "async_fn"),
    ("uvloop.run", 0, "main"),
    ("curio.run", 0, "corofunc"),
    ("tornado.ioloop.IOLoop.run_sync", 0, "func"),
)

_TO_THREAD = (
    ("asyncio.to_thread", 0, "func"),
    (f"{_LOOP}.run_in_executor", 1, "func"),
    ("anyio.to_thread.run_sync", 0, "func"),
    ("trio.to_thread.run_sync", 0, "sync_fn"),
    ("starlette.concurrency.run_in_threadpool", 0, "func"),
    ("fastapi.concurrency.run_in_threadpool", 0, "func"),
    ("asyncer.asyncify", 0, "function"),
    ("asgiref.sync.sync_to_async", 0, "func"),
    ("channels.db.database_sync_to_async", 0, "func"),
    ("chainlit.make_async", 0, ""),
    ("chainlit.sync.make_async", 0, ""),
    ("quart.utils.run_sync", 0, "func"),
    ("litestar.concurrency.sync_to_thread", 0, "fn"),
    ("nicegui.run.io_bound", 0, "callback"),
    ("tornado.ioloop.IOLoop.run_in_executor", 1, "func"),
)

_STARTS_THREAD = (
    ("threading.Thread", 1, "target"),
    ("threading.Timer", 1, "function"),
    ("_thread.start_new_thread", 0, "function"),
    ("concurrent.futures.ThreadPoolExecutor.submit", 0, "fn"),
    ("concurrent.futures.ThreadPoolExecutor.map", 0, "fn"),
    ("multiprocessing.pool.ThreadPool.apply", 0, "func"),
    ("multiprocessing.pool.ThreadPool.apply_async", 0, "func"),
    ("multiprocessing.pool.ThreadPool.map", 0, "func"),
    ("multiprocessing.pool.ThreadPool.map_async", 0, "func"),
    ("multiprocessing.pool.ThreadPool.imap", 0, "func"),
    ("multiprocessing.pool.ThreadPool.starmap", 0, "func"),
)

_TO_PROCESS = (
    ("multiprocessing.Process", 1, "target"),
    ("multiprocessing.context.Process", 1, "target"),
    ("concurrent.futures.ProcessPoolExecutor.submit", 0, "fn"),
    ("concurrent.futures.ProcessPoolExecutor.map", 0, "fn"),
    *(
        (f"multiprocessing.{pool}.{method}", 0, "func")
        for pool in ("Pool", "pool.Pool")
        for method in (
            "apply",
            "apply_async",
            "map",
            "map_async",
            "imap",
            "imap_unordered",
            "starmap",
            "starmap_async",
        )
    ),
    ("nicegui.run.cpu_bound", 0, "callback"),
    ("anyio.to_process.run_sync", 0, "func"),
)

_SPAWNS = (
    ("asyncio.create_task", 0, "coro"),
    ("asyncio.ensure_future", 0, "coro_or_future"),
    (f"{_LOOP}.create_task", 0, "coro"),
    ("asyncio.Task", 0, "coro"),
    ("nicegui.background_tasks.create", 0, "coroutine"),
    ("tornado.ioloop.IOLoop.spawn_callback", 0, "callback"),
)

_SPAWNS_KEPT = (
    ("asyncio.TaskGroup.create_task", 0, "coro"),
    ("anyio.abc.TaskGroup.start_soon", 0, "func"),
    ("anyio.abc.TaskGroup.start", 0, "func"),
    ("trio.Nursery.start_soon", 0, "async_fn"),
    ("trio.Nursery.start", 0, "async_fn"),
    ("asyncer.TaskGroup.soonify", 0, "async_function"),
    ("quart.Quart.add_background_task", 0, "func"),
    ("aiojobs.Scheduler.spawn", 0, "coro"),
)

_CALLS_ON_LOOP = (
    (f"{_LOOP}.call_soon", 0, "callback"),
    (f"{_LOOP}.call_soon_threadsafe", 0, "callback"),
    (f"{_LOOP}.call_later", 1, "callback"),
    (f"{_LOOP}.call_at", 1, "callback"),
    (f"{_LOOP}.add_reader", 1, "callback"),
    (f"{_LOOP}.add_writer", 1, "callback"),
    (f"{_LOOP}.add_signal_handler", 1, "callback"),
    ("asyncio.Task.add_done_callback", 0, "fn"),
    ("asyncio.Future.add_done_callback", 0, "fn"),
    ("tornado.ioloop.IOLoop.add_callback", 0, "callback"),
)

_TO_SYNC = (
    ("asgiref.sync.async_to_sync", 0, "awaitable"),
    ("asyncer.syncify", 0, "async_function"),
    ("asyncer.runnify", 0, "async_function"),
    ("anyio.from_thread.run", 0, "func"),
    ("chainlit.run_sync", 0, "co"),
    ("chainlit.sync.run_sync", 0, "co"),
)

_GATHERS = (
    ("asyncio.gather", 0, "coros_or_futures"),
    ("asyncio.wait", 0, "fs"),
    ("asyncio.as_completed", 0, "fs"),
    ("tqdm.asyncio.tqdm.gather", 0, "fs"),
    ("tqdm.asyncio.tqdm_asyncio.gather", 0, "fs"),
    ("tqdm.asyncio.tqdm.as_completed", 0, "fs"),
    ("tqdm.asyncio.tqdm_asyncio.as_completed", 0, "fs"),
)

_REQUESTS = ("get", "post", "put", "patch", "delete", "head", "options", "request")

_BLOCKS = (
    "time.sleep",
    *(f"requests.{verb}" for verb in _REQUESTS),
    *(f"requests.Session.{verb}" for verb in (*_REQUESTS, "send")),
    *(f"requests.sessions.Session.{verb}" for verb in _REQUESTS),
    *(f"httpx.{verb}" for verb in (*_REQUESTS, "stream")),
    *(f"httpx2.{verb}" for verb in (*_REQUESTS, "stream")),
    *(f"httpx.Client.{verb}" for verb in (*_REQUESTS, "send", "stream")),
    *(f"httpx2.Client.{verb}" for verb in (*_REQUESTS, "send", "stream")),
    "urllib.request.urlopen",
    "urllib.request.urlretrieve",
    "urllib3.PoolManager.request",
    "urllib3.request",
    "http.client.HTTPConnection.request",
    "http.client.HTTPSConnection.request",
    "http.client.HTTPConnection.getresponse",
    "http.client.HTTPSConnection.getresponse",
    "subprocess.run",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "subprocess.Popen.wait",
    "subprocess.Popen.communicate",
    "os.system",
    "os.popen",
    "os.wait",
    "os.waitpid",
    "socket.create_connection",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.socket.connect",
    "socket.socket.recv",
    "socket.socket.accept",
    "socket.socket.sendall",
    "select.select",
    "smtplib.SMTP",
    "smtplib.SMTP_SSL",
    "smtplib.SMTP.send_message",
    "smtplib.SMTP.sendmail",
    "smtplib.SMTP_SSL.send_message",
    "smtplib.SMTP_SSL.sendmail",
    "imaplib.IMAP4_SSL",
    "ftplib.FTP",
    "psycopg2.connect",
    "pymysql.connect",
    "mysql.connector.connect",
    "pyodbc.connect",
    "yfinance.download",
    "queue.Queue.get",
    "queue.Queue.join",
    "threading.Thread.join",
    "threading.Event.wait",
    "multiprocessing.Process.join",
    "concurrent.futures.wait",
    "concurrent.futures.Future.result",
    "concurrent.futures.Future.exception",
)

_READS_STDIN = (
    "input",
    "builtins.input",
    "getpass.getpass",
    "sys.stdin.read",
    "sys.stdin.readline",
    "sys.stdin.readlines",
    "click.prompt",
    "click.confirm",
    "typer.prompt",
    "typer.confirm",
    "rich.prompt.Prompt.ask",
    "rich.prompt.Confirm.ask",
    "rich.prompt.IntPrompt.ask",
    "prompt_toolkit.prompt",
    "prompt_toolkit.PromptSession.prompt",
    "inquirer.prompt",
)

_CACHES = (
    "functools.lru_cache",
    "functools.cache",
    "functools.cached_property",
    "async_lru.alru_cache",
    "cachetools.cached",
    "cachetools.func.lru_cache",
    "cachetools.func.ttl_cache",
    "streamlit.cache_resource",
    "streamlit.cache_data",
    "streamlit.cache",
    "streamlit.experimental_singleton",
    "streamlit.experimental_memo",
    "chainlit.cache",
    "panel.cache",
    "panel.io.cache.cache",
    "joblib.Memory.cache",
    "aiocache.cached",
    "django.utils.functional.cached_property",
    "fastapi_cache.decorator.cache",
    "flask_caching.Cache.cached",
    "flask_caching.Cache.memoize",
)

_RETRIES = (
    "tenacity.retry",
    "tenacity.Retrying",
    "tenacity.AsyncRetrying",
    "backoff.on_exception",
    "backoff.on_predicate",
    "stamina.retry",
    "stamina.retry_context",
    "stamina.RetryingCaller",
    "stamina.AsyncRetryingCaller",
    "retry.retry",
    "retry.api.retry",
    "retry.retry_call",
    "retrying.retry",
    "celery.app.task.Task.retry",
    "celery.Task.retry",
    "opnieuw.retry",
    "opnieuw.retry_async",
)

_OTHERS: tuple[Effect, ...] = (
    Effect(f"{_LOOP}.run_forever", "runs loop forever"),
    Effect("asyncio.get_event_loop", "gets loop"),
    Effect("asyncio.get_running_loop", "gets loop"),
    Effect("asyncio.get_event_loop_policy", "gets loop"),
    Effect("tornado.ioloop.IOLoop.current", "gets loop"),
    Effect("asyncio.new_event_loop", "makes loop"),
    Effect("uvloop.new_event_loop", "makes loop"),
    Effect("asyncio.Runner", "makes loop"),
    Effect("asyncio.SelectorEventLoop", "makes loop"),
    Effect("asyncio.ProactorEventLoop", "makes loop"),
    Effect("asyncio.set_event_loop", "sets loop", 0, "loop"),
    Effect(f"{_LOOP}.close", "closes loop"),
    Effect("nest_asyncio.apply", "patches loop", 0, "loop"),
    Effect("nest_asyncio2.apply", "patches loop", 0, "loop"),
    Effect("asyncio.run_coroutine_threadsafe", "submits to loop", 0, "coro"),
    Effect("asyncio.wait_for", "times out", 0, "fut", awaited=True),
    Effect("asyncio.timeout", "times out"),
    Effect("asyncio.timeout_at", "times out"),
    Effect("async_timeout.timeout", "times out"),
    Effect("anyio.fail_after", "times out"),
    Effect("anyio.move_on_after", "times out"),
    Effect("trio.fail_after", "times out"),
    Effect("trio.move_on_after", "times out"),
    Effect("asyncio.shield", "shields", 0, "arg", awaited=True),
    Effect("asyncio.Semaphore", "limits"),
    Effect("asyncio.BoundedSemaphore", "limits"),
    Effect("anyio.Semaphore", "limits"),
    Effect("anyio.CapacityLimiter", "limits"),
    Effect("trio.CapacityLimiter", "limits"),
    Effect("aiolimiter.AsyncLimiter", "limits"),
    Effect("asyncio.Lock", "locks"),
    Effect("anyio.Lock", "locks"),
    Effect("threading.Lock", "locks thread"),
    Effect("threading.RLock", "locks thread"),
    Effect("multiprocessing.Lock", "locks thread"),
    Effect("filelock.FileLock", "locks thread"),
    Effect("os.fork", "forks"),
    Effect("os.forkpty", "forks"),
    Effect("streamlit.session_state", "caches per user"),
    Effect("chainlit.user_session", "caches per user"),
    Effect("chainlit.user_session.set", "caches per user", 1, "value"),
    Effect("flask.session", "caches per user"),
    Effect("flask.g", "caches per user"),
    Effect("contextvars.ContextVar", "caches per user"),
    Effect("threading.local", "caches per user"),
    Effect("nicegui.app.storage.user", "caches per user"),
    Effect("nicegui.app.storage.client", "caches per user"),
    Effect("nicegui.app.storage.tab", "caches per user"),
    Effect("gradio.State", "caches per user"),
    Effect("panel.state.cache", "caches"),
    Effect("panel.state.as_cached", "caches", 1, "fn"),
)

_LOOP_MAKERS = (
    "asyncio.get_event_loop",
    "asyncio.get_running_loop",
    "asyncio.new_event_loop",
    "asyncio.SelectorEventLoop",
    "asyncio.ProactorEventLoop",
    "asyncio.Runner.get_loop",
    "uvloop.new_event_loop",
    "asyncio.get_event_loop_policy.get_event_loop",
    "asyncio.get_event_loop_policy.new_event_loop",
)

MADE_BY: Mapping[str, str] = {
    **dict.fromkeys(_LOOP_MAKERS, _LOOP),
    "asyncio.create_task": "asyncio.Task",
    "asyncio.ensure_future": "asyncio.Task",
    f"{_LOOP}.create_task": "asyncio.Task",
    "asyncio.TaskGroup.create_task": "asyncio.Task",
    "asyncio.run_coroutine_threadsafe": "concurrent.futures.Future",
    "concurrent.futures.ThreadPoolExecutor.submit": "concurrent.futures.Future",
    "concurrent.futures.ProcessPoolExecutor.submit": "concurrent.futures.Future",
    "anyio.create_task_group": "anyio.abc.TaskGroup",
    "asyncer.create_task_group": "asyncer.TaskGroup",
    "trio.open_nursery": "trio.Nursery",
    "concurrent.futures.thread.ThreadPoolExecutor": "concurrent.futures.ThreadPoolExecutor",
    "concurrent.futures.process.ProcessPoolExecutor": "concurrent.futures.ProcessPoolExecutor",
    "requests.session": "requests.Session",
    "requests.Session": "requests.Session",
    "tornado.ioloop.IOLoop.current": "tornado.ioloop.IOLoop",
    "tornado.ioloop.IOLoop.instance": "tornado.ioloop.IOLoop",
    "threading.Thread": "threading.Thread",
    "subprocess.Popen": "subprocess.Popen",
}
"""The class of what a call gives: a function's result, or a class under the name used in this table."""


def _rows(kind: EffectKind, rows: tuple[tuple[str, int, str], ...], *, awaited: bool = False) -> list[Effect]:
    return [Effect(symbol, kind, argument, keyword, awaited) for symbol, argument, keyword in rows]


def _plain(kind: EffectKind, symbols: tuple[str, ...]) -> list[Effect]:
    return [Effect(symbol, kind) for symbol in symbols]


EFFECTS: tuple[Effect, ...] = (
    *_rows("runs loop", _RUNS_LOOP),
    *_rows("to thread", _TO_THREAD, awaited=True),
    *_rows("starts thread", _STARTS_THREAD),
    *_rows("to process", _TO_PROCESS),
    *_rows("spawns task", _SPAWNS),
    *_rows("spawns kept task", _SPAWNS_KEPT),
    *_rows("calls on loop", _CALLS_ON_LOOP),
    *_rows("to sync", _TO_SYNC),
    *_rows("gathers", _GATHERS, awaited=True),
    *_plain("blocks", _BLOCKS),
    *_plain("reads stdin", _READS_STDIN),
    *_plain("caches", _CACHES),
    *_plain("retries", _RETRIES),
    *_OTHERS,
)

_BY_SYMBOL: Mapping[str, Effect] = {row.symbol: row for row in EFFECTS}

_BY_METHOD: Mapping[str, Effect] = {
    name: _BY_SYMBOL[f"{_LOOP}.{name}"]
    for name in ("run_until_complete", "run_forever", "run_in_executor", "call_soon_threadsafe")
}
