"""Builders of fixes for Python: each makes a `Fix` from a program and a place, or None where it is not sure.

A rule parses the file with `parse(source, cells)` and gives spans as the facts have them::

    code = edits.parse(project.sources[path], module.cells)
    fix = code and edits.insert_await(code, call.span)
"""

TYPE_CHECKING = False  # the constant of `typing`, without importing it
if TYPE_CHECKING:
    from turnlane.checker.edits.awaits import (
        async_sleep,
        async_twin,
        insert_await,
        make_async,
        unwrap_runner,
    )
    from turnlane.checker.edits.code import Change, Code, parse
    from turnlane.checker.edits.imports import add_import, bind_module
    from turnlane.checker.edits.inspection import coroutine_test
    from turnlane.checker.edits.loops import legacy_loop, remove_nest_asyncio
    from turnlane.checker.edits.modules import factory_for_module_object, main_guard
    from turnlane.checker.edits.tasks import keep_task

_MODULES = {
    "Change": "code",
    "Code": "code",
    "add_import": "imports",
    "async_sleep": "awaits",
    "async_twin": "awaits",
    "bind_module": "imports",
    "coroutine_test": "inspection",
    "factory_for_module_object": "modules",
    "insert_await": "awaits",
    "keep_task": "tasks",
    "legacy_loop": "loops",
    "main_guard": "modules",
    "make_async": "awaits",
    "parse": "code",
    "remove_nest_asyncio": "loops",
    "unwrap_runner": "awaits",
}
"""Where each name is. Rules import this package, but most runs find nothing to fix: then `ast` is not needed."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


__all__ = [
    "Change",
    "Code",
    "add_import",
    "async_sleep",
    "async_twin",
    "bind_module",
    "coroutine_test",
    "factory_for_module_object",
    "insert_await",
    "keep_task",
    "legacy_loop",
    "main_guard",
    "make_async",
    "parse",
    "remove_nest_asyncio",
    "unwrap_runner",
]
