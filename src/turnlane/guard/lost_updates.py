"""Two tool calls at once that change the same entry of state outside them, one of them from what it had read
before the other changed it (TL403)."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Generator
from typing import Any, Final

from turnlane.guard import journals, meetings, tools
from turnlane.guard.journal import HazardError, Sighting
from turnlane.guard.runs import ToolCall
from turnlane.guard.tool_state import Root, changed, entries, roots_of

_LOCK_FILES: Final = ("asyncio/locks.py", "anyio/_core/_synchronization.py", "anyio/_backends/_asyncio.py")

_roots: weakref.WeakKeyDictionary[Any, tuple[Root, ...]] = weakref.WeakKeyDictionary()
_written: dict[tuple[int, str], list[tuple[Any, int, ToolCall]]] = {}
"""For each name: the entries that the calls which go on have written, in order: entry, step, call."""
_steps = 0


class Watch:
    """What is known of one call: its roots, and when it last took up its work anew."""

    __slots__ = ("after", "before", "fresh", "roots", "steps", "threads")

    def __init__(self, roots: tuple[Root, ...], *, threads: bool) -> None:
        self.roots = roots
        self.threads = threads
        self.fresh = _steps
        """No write before this step can have been missed: it began, or got a lock, after that."""
        self.steps = 0
        self.before = {root.identity: entries(root.read()) for root in roots} if threads else {}
        self.after: dict[tuple[int, str], dict[Any, Any] | None] = {}


def install() -> None:
    """Listen to tool calls."""
    tools.beginning.append(began)
    tools.ending.append(ended)


def began(call: ToolCall, function: Any) -> None:
    """Listens to the beginning of tool calls."""
    if function is None or call.run is None:
        return
    roots = _roots_of(function)
    if not roots:
        return
    import inspect

    threads = not inspect.iscoroutinefunction(inspect.unwrap(function))
    call.notes["state"] = Watch(roots, threads=threads)
    if not threads:
        call.notes["steps"] = lambda coroutine: Stepped(call, coroutine)


def ended(call: ToolCall, error: BaseException | None) -> None:
    """Listens to the end of tool calls."""
    watch = call.notes.pop("state", None)
    if watch is None:
        return
    if watch.threads and error is None:
        _compare_threads(call, watch)
    if not any("state" in other.notes for other in tools.going):
        _written.clear()


class Stepped:
    """Runs a tool's coroutine from one wait to the next: what changes between two waits, this call has changed."""

    def __init__(self, call: ToolCall, coroutine: Any) -> None:
        self.call = call
        self.coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            before = self._look()
            try:
                if thrown is not None:
                    error, thrown = thrown, None
                    waited = self.coroutine.throw(error)
                else:
                    waited = self.coroutine.send(sent)
            except StopIteration as stop:
                self._compare(before)
                return stop.value
            except BaseException:
                self._compare(before)
                raise
            self._compare(before)
            locking = _waits_for_lock(self.coroutine)
            try:
                sent = yield waited
            except GeneratorExit:
                self.coroutine.close()
                raise
            except BaseException as error:
                thrown = error
            watch = self.call.notes.get("state")
            if locking and watch is not None:
                watch.fresh = _steps

    def _look(self) -> dict[tuple[int, str], dict[Any, Any] | None]:
        watch = self.call.notes.get("state")
        if watch is None:
            return {}
        return {root.identity: entries(root.read()) for root in watch.roots}

    def _compare(self, before: dict[tuple[int, str], dict[Any, Any] | None]) -> None:
        watch = self.call.notes.get("state")
        if watch is None:
            return
        try:
            for root in watch.roots:
                for entry in changed(before.get(root.identity), entries(root.read())):
                    _wrote(self.call, watch, root, entry)
        except Exception as error:
            if isinstance(error, HazardError):
                raise
            journals.trouble("tool state", error)


def _wrote(call: ToolCall, watch: Watch, root: Root, entry: Any) -> None:
    global _steps
    _steps += 1
    log = _written.setdefault(root.identity, [])
    missed = next(
        (other for key, step, other in reversed(log) if key == entry and other is not call and step > watch.fresh),
        None,
    )
    log.append((entry, _steps, call))
    del log[:-200]
    if root.stale and missed is not None:
        _report(call, missed, root, entry)


def _compare_threads(call: ToolCall, watch: Watch) -> None:
    """A plain function runs in a thread: two that changed one entry while both ran are told by their arguments."""
    global _steps
    for root in watch.roots:
        if not root.stale:
            continue
        log = _written.setdefault(root.identity, [])
        for entry in changed(watch.before.get(root.identity), entries(root.read())):
            if not _is_its_own(call, entry):
                continue
            _steps += 1
            missed = next((other for key, step, other in log if key == entry and step > watch.fresh), None)
            log.append((entry, _steps, call))
            if missed is not None:
                _report(call, missed, root, entry)


def _is_its_own(call: ToolCall, entry: Any) -> bool:
    """Whether a call may be the one that changed an entry: it was given its key, or knows it itself."""
    if entry == "":
        return True
    code = call.notes.get("code")
    given = call.notes.get("arguments", ())
    return entry in given or (code is not None and entry in code.co_consts)


def _waits_for_lock(coroutine: Any) -> bool:
    """Whether what a coroutine waits for is a lock, however deep."""
    step = coroutine
    for _ in range(32):
        inner = getattr(step, "cr_await", None) or getattr(step, "gi_yieldfrom", None)
        if inner is None:
            return False
        code = getattr(inner, "cr_code", None) or getattr(inner, "gi_code", None)
        if (
            code is not None
            and code.co_filename.replace("\\", "/").endswith(_LOCK_FILES)
            and "acquire" in code.co_name
        ):
            return True
        step = inner
    return False


def _report(call: ToolCall, other: ToolCall, root: Root, entry: Any) -> None:
    run, first = call.run, other.run
    assert run is not None
    what = f"{root.name}[{entry!r}]" if entry != "" else root.name
    ids = list(
        dict.fromkeys(one.request.id for one in (first, run) if one is not None and one.request is not None)
    )
    journals.report(
        Sighting(
            code="TL403",
            message=f"Two calls at once changed {what}: the tool {call.name!r} wrote it from what it had read before "
            f"{other.name!r} changed it. One of the updates is lost.",
            stack=tools.defined(call) or run.place_stack,
            stacks=meetings.with_stacks(
                ("the tool", tools.defined(call)),
                ("the run that called it", run.place_stack),
                ("the run that called it at the same time", first.place_stack if first is not None else ()),
            ),
            object=f"tool {call.name!r} of {run.label}",
            request=run.request.id if run.request else None,
            conversation=run.request.conversation if run.request else None,
            requests=ids,
            task=run.task_name,
        )
    )


def _roots_of(function: Any) -> tuple[Root, ...]:
    try:
        return _roots[function]
    except (KeyError, TypeError):
        pass
    found = roots_of(function)
    with contextlib.suppress(TypeError):
        _roots[function] = found
    return found
