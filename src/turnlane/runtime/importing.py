"""Imports a user's file or module. What goes wrong in it becomes one sentence with the user's own line."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import sysconfig
import traceback
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from turnlane.runtime.app import AppError
from turnlane.runtime.versions import INSTALL

EXTRAS: Final[Mapping[str, str]] = dict.fromkeys(
    ("autogen_agentchat", "autogen_core", "autogen_ext", "openai"), INSTALL
)
"""Package that a user's file imports: the command that installs it."""

LOOP_RUNS: Final = ("running event loop", "event loop is already running", "another loop is running")
"""What asyncio says to code that starts a loop inside a loop."""

NO_KEY: Final = ("Missing credentials", "api_key client option must be set")
"""What the openai package says, in its versions, when there is no OPENAI_API_KEY."""

_OURS: Final = f"{Path(__file__).resolve().parent.parent}{os.sep}"
_STDLIB: Final = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib"))
_NOT_THE_USERS: Final = ("<frozen", _OURS, *_STDLIB)


def import_file(place: str) -> types.ModuleType:
    """Import a Python file by its path, as `python FILE` would find its neighbours; never its `__main__` part.

    Raises:
        AppError
    """
    path = Path(place).resolve()
    if not path.is_file():
        raise AppError(f"there is no file {place}{_neighbours(path)}")
    _refuse_shadow(path)
    _put_on_path(path.parent)
    known = sys.modules.get(_module_name(path))
    if known is not None:
        return known
    return _guarded(place, lambda: _execute(path))


def import_module(name: str) -> types.ModuleType:
    """Import a module by its dotted name; the current folder is searched first.

    Raises:
        AppError
    """
    _put_on_path(Path.cwd())
    return _guarded(name, lambda: importlib.import_module(name))


def _guarded(place: str, load: Callable[[], types.ModuleType]) -> types.ModuleType:
    try:
        return _inside_a_loop(load)
    except SyntaxError as error:
        line = f": {error.text.strip()}" if error.text else ""
        raise AppError(f"{error.filename}:{error.lineno}: {error.msg}{line}") from error
    except ModuleNotFoundError as error:
        raise AppError(_missing_module(place, error)) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a script that parses arguments when it is imported
        raise AppError(_broken_import(place, error)) from error


def _inside_a_loop(load: Callable[[], types.ModuleType]) -> types.ModuleType:
    """Run `load` where a loop runs, so that a file which runs its agents at import fails at once.

    Without a loop it would hold its whole conversation, paid for, before it is served.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:

        async def loading() -> types.ModuleType:
            return load()

        with asyncio.Runner() as runner:
            return runner.run(loading())
    return load()


def _execute(path: Path) -> types.ModuleType:
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise AppError(f"{path} can't be imported: it must be a Python file, NAME.py")
    module = importlib.util.module_from_spec(spec)
    # Before it runs: dataclasses and string annotations look their module up by name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module_name(path: Path) -> str:
    """The file's own name, so that its neighbours import the same module; but never that of another module."""
    if path.stem.isidentifier() and _found_by_name(path):
        return path.stem
    return f"turnlane_app_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"


def _found_by_name(path: Path) -> bool:
    """Whether `import NAME` means this very file, and not that of another folder."""
    known = sys.modules.get(path.stem)
    if known is not None:
        return getattr(known, "__file__", None) == str(path)
    try:
        spec = importlib.util.find_spec(path.stem)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin == str(path)


def _refuse_shadow(path: Path) -> None:
    """A file `openai.py` would be what everybody's `import openai` finds from now on, ours included."""
    elsewhere = [folder for folder in sys.path if Path(folder or ".").resolve() != path.parent]
    spec = importlib.machinery.PathFinder.find_spec(path.stem, elsewhere)
    installed = spec is not None and spec.origin is not None and "site-packages" in spec.origin
    if installed or path.stem in sys.stdlib_module_names:
        raise AppError(f"{path.name} has the name of the package {path.stem!r} and would hide it; rename the file")


def _put_on_path(folder: Path) -> None:
    """First on `sys.path`, where Python itself puts the folder of a script."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()


# --- what to say ---


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor a folder {path.parent})"
    files = sorted(file.name for file in path.parent.glob("*.py"))
    return f"; there are {', '.join(files[:8])}" if files else ""


def _missing_module(place: str, error: ModuleNotFoundError) -> str:
    name = error.name or str(error)
    if name == place or place.startswith(f"{name}."):
        hint = f"; did you mean the file {place}.py?" if Path(f"{place}.py").is_file() else ""
        return f"there is no module {place!r}{hint}; a file is given with .py at its end"
    package = name.partition(".")[0]
    if package in EXTRAS:
        return f"{where(error)}{package} is not installed: {EXTRAS[package]}"
    return f"{where(error)}{name} is not installed, and there is no {name} beside {place}"


def _broken_import(place: str, error: BaseException) -> str:
    if isinstance(error, AppError):  # a wrong setting in @app.agent(...)
        return f"{where(error)}{error}"
    if isinstance(error, SystemExit):
        return (
            f"{where(error)}{place} ends the program when it is imported; put what it does into a function, "
            "and its call under  if __name__ == '__main__':"
        )
    if any(words in str(error) for words in LOOP_RUNS):
        _close_coroutines(error)
        return (
            f"{where(error)}{place} starts an event loop when it is imported (TL113, see `turnlane explain "
            "TL113`); put that line under  if __name__ == '__main__':"
        )
    if "Can't patch loop" in str(error):
        return f"{where(error)}nest_asyncio can't be used in a server (TL105, see `turnlane explain TL105`)"
    frame = _user_frame(error)
    line = f" (in: {frame.line})" if frame is not None and frame.line else ""
    return f"{where(error)}{type(error).__name__}: {error}{line}{without_a_key(error)}"


def where(error: BaseException) -> str:
    """`FILE:LINE: ` of the innermost line that the user wrote, to begin a sentence with; or nothing."""
    frame = _user_frame(error)
    return f"{frame.filename}:{frame.lineno}: " if frame is not None else ""


def without_a_key(error: BaseException) -> str:
    """To end a sentence about `error` with: what to do when it is openai's, about a missing key; else nothing."""
    missing = any(words in str(error) for words in NO_KEY)
    return "; or try it without a key: --practice" if missing else ""


def _user_frame(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost line that the user wrote: not ours, not Python's, not of an installed package."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return next((frame for frame in frames if _is_the_users(frame.filename)), None)


def _is_the_users(filename: str) -> bool:
    return not filename.startswith(_NOT_THE_USERS) and "site-packages" not in filename


def _close_coroutines(error: BaseException) -> None:
    """The coroutine that was to be run never will be; closed, Python doesn't complain about it as well."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if inspect.iscoroutine(value) and inspect.getcoroutinestate(value) == inspect.CORO_CREATED:
                value.close()
