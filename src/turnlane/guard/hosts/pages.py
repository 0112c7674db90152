"""Pages with a session on the server: Streamlit and Chainlit. Each run of a page is a request of its session."""

from __future__ import annotations

import functools
import itertools
import os
import sys
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from turnlane.guard.hosts.calls import watch, wrapped
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import replace
from turnlane.guard.requests import Request

_numbers = itertools.count(1)
_tested: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""By the state of a tested session: its number."""


def install() -> None:
    """Wait for both."""
    when_imported("streamlit.runtime.scriptrunner.script_runner", _streamlit)
    when_imported("chainlit.utils", _chainlit)


def _streamlit(module: ModuleType) -> None:
    watch(module.ScriptRunner, "_run_script", _script_run)


def _script_run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
    runner = args[0]
    name = os.path.basename(getattr(runner, "_main_script_path", "") or "page")
    return Request("streamlit", f"run of {name}", keys={"session": _session_of(runner)})


def _session_of(runner: Any) -> str:
    """The id of a session; `AppTest` gives all of its own the same one, and each its own state."""
    tested = getattr(runner, "session_state", None)
    if tested is None:
        return str(runner._session_id)
    return f"{runner._session_id} {_tested.setdefault(tested, next(_numbers))}"


def _chainlit(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def wrap_user_function(user_function: Any, *args: Any, **kwargs: Any) -> Any:
            # Inside the session's context, which its own wrapper of the callback has.
            whose = functools.partial(_callback, getattr(user_function, "__name__", "callback"))
            return wrapped(original(user_function, *args, **kwargs), whose)

        return wrap_user_function

    replace(module, "wrap_user_function", make)


def _callback(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
    context = sys.modules.get("chainlit.context")
    known = context.context_var.get(None) if context is not None else None
    if known is None:  # at the application's start, say
        return None
    return Request("chainlit", name, keys={"session": str(known.session.id)})
