"""Loops that are started where one runs (TL101, TL102), elsewhere (TL103), at import (TL113), or with no coroutine
(TL109). Other rules about loops have their own files."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

from turnlane.guard import (
    at_import,
    blocked,
    journals,
    legacy_loops,
    loop_owners,
    nesting,
    patching,
    requests,
    self_deadlock,
    stacks,
    unawaited,
)
from turnlane.guard.imports import when_imported
from turnlane.guard.journal import HazardError, Sighting
from turnlane.guard.loop_owners import Owner
from turnlane.guard.meetings import with_stacks
from turnlane.guard.patching import replace
from turnlane.guard.stacks import Stack

_ASYNCIO: Final = os.path.dirname(asyncio.__file__) + os.sep
_MACHINERY: Final = (_ASYNCIO, *stacks.OURS)
_AWAITED: Final = re.compile(r"(?:object|a coroutine was expected, got) (\w+)(?: can't be used in 'await'|\()")
CHATS: Final = ("ChatResult", "RunResponse", "ChatCompletion", "ParsedChatCompletion")


def install() -> None:
    """Watch every way to start a loop."""
    _patch_runners()
    _patch_loop_class(asyncio.BaseEventLoop)
    when_imported("uvloop", lambda module: _patch_loop_class(module.Loop))
    nesting.install(_watch_again)
    # `anyio` itself imports the name after this module of it has run.
    when_imported("anyio._core._eventloop", lambda module: replace(module, "run", _watched_start("anyio.run")))
    when_imported(
        "asgiref.sync", lambda module: replace(module.AsyncToSync, "__call__", _watched_start("async_to_sync"))
    )
    legacy_loops.install()
    self_deadlock.install()
    at_import.install()
    blocked.install()
    _note_the_running_loop()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=loop_owners.forked)


def uninstall() -> None:
    """Stop the watch."""
    blocked.uninstall()
    nesting.uninstall()
    loop_owners.started.clear()
    loop_owners.stopping.clear()


def _note_the_running_loop() -> None:
    """In a notebook, or by `guard.install()` inside a coroutine, the loop runs before the guard does."""
    loop = asyncio._get_running_loop()
    if loop is not None:
        loop_owners.begins(loop, stacks.NO_STACK)


def _patch_runners() -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def run(main: Any, *args: Any, **kwargs: Any) -> Any:
            fresh = before("asyncio.run", main, only_coroutines=True)
            return _run(fresh, original, main, *args, **kwargs)

        return run

    wrapped = make(asyncio.run)
    for module in (asyncio.runners, asyncio):
        replace(module, "run", lambda _: wrapped)

    def make_method(original: Any) -> Any:
        @functools.wraps(original)
        def run(self: Any, coro: Any, *args: Any, **kwargs: Any) -> Any:
            fresh = before("Runner.run", coro, only_coroutines=True)
            return _run(fresh, original, self, coro, *args, **kwargs)

        return run

    replace(asyncio.Runner, "run", make_method)


@stacks.unseen_by_warnings
def _run(fresh: bool, original: Any, *args: Any, **kwargs: Any) -> Any:
    """Start a loop; what leaves it may say that a finished chat was awaited."""
    try:
        return original(*args, **kwargs)
    except (TypeError, ExceptionGroup) as error:
        if fresh:
            look_at(error)
        raise


def _patch_loop_class(kind: type) -> None:
    """A class of loops, whose methods may be its own or those of a native base."""
    _put(kind, "run_until_complete", _watched_until_complete)
    _put(kind, "run_forever", _watched_forever)


def _put(kind: type, name: str, make: Any) -> None:
    if name in vars(kind):
        replace(kind, name, make)
    elif not getattr(getattr(kind, name), patching.MARK, False):
        made = make(getattr(kind, name))
        setattr(made, patching.MARK, True)
        patching.add(kind, name, made)


def _watch_again(kind: type) -> None:
    """Somebody's own functions stand in the place of the watched ones."""
    _patch_runners()
    _patch_loop_class(kind)


def _watched_until_complete(original: Any) -> Any:
    @functools.wraps(original)
    def run_until_complete(self: Any, future: Any) -> Any:
        fresh = before("run_until_complete", future, loop=self)
        if nesting.is_allowed(self) and asyncio._get_running_loop() is None:
            return _owned(self, _run, fresh, original, self, future)
        return _run(fresh, original, self, future)

    return run_until_complete


def _watched_forever(original: Any) -> Any:
    @functools.wraps(original)
    def run_forever(self: Any) -> Any:
        before("run_forever", None, loop=self)
        if self.is_running() or asyncio._get_running_loop() is not None:
            return original(self)  # raises
        return _owned(self, original, self)

    return run_forever


def _owned(loop: Any, run: Any, *args: Any) -> Any:
    """Run `loop`, with its owner known."""
    owner = loop_owners.begins(loop, stacks.capture(limit=80))
    try:
        return run(*args)
    finally:
        loop_owners.ends(owner)


def before(entry: str, main: Any, *, loop: Any = None, only_coroutines: bool = False) -> bool:
    """What a call that starts a loop shows before it is done.

    Returns:
        Whether it is the program's own call: not asyncio's, from inside one that has been looked at.

    Raises:
        HazardError: strict mode.
    """
    try:
        if sys._getframe(2).f_code.co_filename.startswith((*_MACHINERY, *nesting.MACHINERY)):
            return False
        owner = loop_owners.owner_here()
        if owner is None and loop is None and inspect.iscoroutine(main) and not at_import.importing():
            return True
        stack = stacks.capture(2)
        sighting = _seen(entry, main, stack, owner, loop, only_coroutines)
        if sighting is not None:
            # The coroutine will never run: that is this mistake's doing, and no second one.
            unawaited.excuse(main)
            journals.report(sighting)
    except HazardError:
        raise
    except Exception as error:
        journals.trouble(f"before {entry}", error)
    return True


def _seen(
    entry: str, main: Any, stack: Stack, owner: Owner | None, loop: Any, only_coroutines: bool
) -> Sighting | None:
    if (sighting := at_import.started(entry, stack)) is not None:
        return sighting
    if owner is not None:
        return None if nesting.by_program else nested(entry, stack, owner)
    if loop is not None and loop.is_running():
        return runs_elsewhere(entry, stack, loop)
    if main is not None and not _runnable(main, only_coroutines):
        return no_coroutine(entry, main, stack)
    if loop is not None:
        return legacy_loops.run(loop, stack)
    return None


def _runnable(main: Any, only_coroutines: bool) -> bool:
    if only_coroutines and sys.version_info < (3, 14):
        # A future is refused too, but that is not a finished call.
        return asyncio.iscoroutine(main) or asyncio.isfuture(main)
    return inspect.isawaitable(main) or asyncio.isfuture(main)


def nested(entry: str, stack: Stack, owner: Owner) -> Sighting:
    """A loop is started in a thread whose loop runs."""
    notebook = loop_owners.in_notebook()
    whose = "the notebook's loop runs in this thread already" if notebook else "a loop runs in this thread already"
    outcome = "Python refuses, and the coroutine never runs"
    loop = asyncio._get_running_loop()
    if nesting.is_allowed(loop):
        outcome = "nest_asyncio, which a package of the program applies, runs it inside the first one"
    elif entry == "run_until_complete" and not isinstance(loop, asyncio.BaseEventLoop):
        outcome = "it is refused, and the coroutine runs in the background, where nobody waits for it"
    return _sighting(
        "TL102" if notebook else "TL101",
        f"{entry} is called where {whose} ({owner.who}): {outcome}.",
        stack,
        ("the first owner: this loop was started here", owner.stack),
        ("the second: a loop is started here", stack),
    )


def runs_elsewhere(entry: str, stack: Stack, loop: Any) -> Sighting:
    """A loop is to be run that another thread runs."""
    owner = loop_owners.owner_of(loop)
    return _sighting(
        "TL103",
        f"{entry} is called for a loop that another thread runs"
        + (f" ({owner.who})" if owner else "")
        + ": only that thread may run it.",
        stack,
        ("the first owner: this loop was started here", owner.stack if owner else ()),
        ("the second: the same loop is started here", stack),
    )


def no_coroutine(entry: str, main: Any, stack: Stack) -> Sighting:
    """A loop is started with the result of a call that has been done."""
    kind = type(main).__name__
    return _sighting(
        "TL109",
        f"{entry} was given {_a(kind)}, not a coroutine: {_what_of(main)}",
        stack,
        ("here", stack),
        object=kind,
    )


def _what_of(made: Any) -> str:
    if hasattr(made, "__await__") or hasattr(made, "__aiter__"):
        return "it has to be awaited or iterated in a coroutine."
    return "the call that made it has run to its end, and its result is lost."


def look_at(error: BaseException | None) -> None:
    """An exception that left a program or a handler, or that it has caught: was a finished chat awaited?"""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            look_at(one)
    if not isinstance(error, TypeError):
        return
    found = _AWAITED.search(requests.text_of(error))
    kind = found[1] if found is not None else _refused(error)
    if kind is None or not (kind in CHATS or "autogen" in sys.modules):
        return
    stack = stacks.of_exception(error)
    journals.report_aside(
        _sighting(
            "TL109",
            f"{_a(kind)} was awaited: the call that made it has run to its end, and its result is lost.",
            stack,
            ("here", stack),
            object=kind,
        )
    )


def _refused(error: TypeError) -> str | None:
    """The type of what `asyncio.gather` and its like were given to wait for: their error does not say it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames or not frames[-1].f_code.co_filename.startswith(_ASYNCIO):
        return None
    names = frames[-1].f_locals
    given = names.get("coro_or_future", names.get("arg"))  # `gather` puts them into a dict: not all can be hashed
    return None if given is None or inspect.isawaitable(given) else type(given).__name__


def _a(kind: str) -> str:
    return f"{'an' if kind[:1] in 'AEIOUaeiou' else 'a'} {kind}"


def _sighting(
    code: str, message: str, stack: Stack, *titled: tuple[str, Stack], object: str | None = None
) -> Sighting:
    request = requests.current.get()
    return Sighting(
        code=code,
        message=message,
        stack=stack,
        stacks=with_stacks(*titled),
        object=object,
        request=request.id if request else None,
        conversation=request.conversation if request else None,
        task=_task(),
    )


def _task() -> str | None:
    if asyncio._get_running_loop() is None:
        return None
    task = asyncio.current_task()
    return task.get_name() if task is not None else None


def _watched_start(entry: str) -> Callable[[Any], Any]:
    """Makes a wrapper of a function that starts a loop of its own for something that is no coroutine yet."""

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def start(*args: Any, **kwargs: Any) -> Any:
            before(entry, None)
            return original(*args, **kwargs)

        return start

    return make
