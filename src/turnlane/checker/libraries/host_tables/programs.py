"""Command lines, tests, signals and the program's own threads."""

from __future__ import annotations

from turnlane.checker.libraries.registration import Context, Registration, methods, rows

_SCRIPT = Context("command line", "script", "own", "one", "never")
_EXIT = Context("exit handler", "startup", "own", "one", "never")
_TEST = Context("pytest", "test", "own", "one", "own loop")
_UNITTEST = Context("unittest", "test", "own", "one", "own loop")
_THREAD = Context("thread", "thread", "own", asynchronous="never")

ROWS: list[Registration] = [
    *rows(_SCRIPT, "decorator", "typer.Typer.command typer.Typer.callback"),
    *rows(_SCRIPT, "decorator", "click.command click.group click.Group.command click.Group.group"),
    *rows(_SCRIPT, "argument", "typer.run", "0 function"),
    *rows(_SCRIPT, "argument", "fire.Fire", "0 component"),
    *rows(Context("command line", "script", "own", "one", "own loop"), "decorator", "cyclopts.App.command"),
    *rows(Context("command line", "script", "own", "one", "own loop"), "decorator", "cyclopts.App.default"),
    *rows(_TEST, "decorator", "pytest.fixture pytest_asyncio.fixture"),
    *rows(_TEST, "name", "*", "test_*"),
    *rows(
        _UNITTEST, "subclass", methods("unittest", "TestCase IsolatedAsyncioTestCase"), "test* setUp asyncSetUp"
    ),
    *rows(Context("signal handler", "callback", "own", "one", "never"), "argument", "signal.signal", "1 handler"),
    *rows(_EXIT, "argument", "atexit.register", "0 func"),
    *rows(_EXIT, "decorator", "atexit.register"),
    *rows(_THREAD, "subclass", "threading.Thread threading.Timer", "run"),
    *rows(_THREAD, "subclass", "PyQt5.QtCore.QThread PyQt6.QtCore.QThread PySide6.QtCore.QThread", "run"),
    *rows(
        _THREAD,
        "subclass",
        methods("watchdog.events", "FileSystemEventHandler PatternMatchingEventHandler"),
        "on_*",
    ),
    *rows(Context("process", "script", "own", "one", "never"), "subclass", "multiprocessing.Process", "run"),
]
