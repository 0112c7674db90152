"""The loop stands still because one callback does not return (TL108).

A thread of the guard looks at every running loop twice per threshold: nothing is added to the loop itself. Looks
that find the loop in one and the same callback prove that it has held the loop for the time between them. What
holds a loop without harm, and what only seems to hold it, is for `block_verdict` to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
import weakref
from types import FrameType
from typing import Any, Final

from turnlane.guard import block_verdict, journals, locks, loop_owners, requests, stacks
from turnlane.guard.journal import Sighting
from turnlane.guard.loop_owners import Owner
from turnlane.guard.meetings import with_stacks
from turnlane.guard.thread_times import ThreadTimes, times_of

LOOKS: Final = 2
"""Looks per threshold."""
LONGEST_PAUSE: Final = 0.25
LONG: Final = 4.0
"""A callback that still goes on after so many thresholds is told without waiting for its end."""
IDLE_LOOKS: Final = 40
"""After so many looks without a loop the thread ends; the next loop starts another."""
MAX_FRAMES: Final = 80

_ASYNCIO: Final = os.path.dirname(asyncio.__file__) + os.sep


class Ping:
    """Asks a loop that is no Python code whether it has come round: until then, all that is ready has its turn."""

    def __init__(self, task: asyncio.Task[Any] | None) -> None:
        self.answered = False
        self._task = None if task is None else weakref.ref(task)

    def is_of(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether it was sent while this task had its turn, or while none had."""
        return (None if self._task is None else self._task()) is task

    def answer(self) -> None:
        """Called by the loop."""
        self.answered = True


class Look:
    """What one look at a loop saw.

    Attributes:
        callback: what stands for the callback that runs, the same as long as it does; None when none runs.
        frame: the innermost frame.
        position: the instruction that it is at.
        ours: whether the guard itself is at work there.
        times: those of the loop's thread.
        process: seconds that all threads have computed.
    """

    __slots__ = ("callback", "frame", "ours", "position", "process", "time", "times")

    def __init__(self, callback: Any, frame: FrameType | None, times: ThreadTimes | None) -> None:
        self.time = time.monotonic()
        self.callback = callback
        self.frame = frame
        self.position = (id(frame), frame.f_lasti) if frame is not None else None
        self.ours = frame is not None and stacks.is_ours(frame.f_code)
        self.times = times
        self.process = time.process_time()


class Block:
    """One callback that holds its loop, from the first look that saw it.

    Attributes:
        moved: how often it was elsewhere than at the look before.
        ours: how often the guard itself was at work.
    """

    __slots__ = (
        "_seen",
        "callback",
        "last",
        "looks",
        "moved",
        "ours",
        "process",
        "request",
        "started",
        "tell_at",
        "times",
        "told",
    )

    def __init__(self, look: Look) -> None:
        self.callback = look.callback
        self.started = look.time
        self.times = look.times
        self.process = look.process
        self.last = look
        self.looks, self.moved, self.ours = 1, 0, int(look.ours)
        self.told = False
        self.tell_at = 0.0
        self.request = request_of(look.callback)
        self._seen: dict[stacks.Place, list[stacks.Stack]] = {}
        self._see(look)

    def _see(self, look: Look) -> None:
        stack = stacks.of_frame(look.frame, limit=MAX_FRAMES)
        self._seen.setdefault(stacks.place_of(stack), []).append(stack)
        look.frame = None

    @property
    def stack(self) -> stacks.Stack:
        """Where it was at most of the looks, innermost frame first."""
        return max(self._seen.values(), key=len)[-1]

    def goes_on(self, look: Look) -> None:
        """Another look saw the same callback."""
        self.looks += 1
        self.moved += look.position != self.last.position
        self.ours += look.ours
        self.last = look
        if not self.told:
            self._see(look)
        look.frame = None

    @property
    def seconds(self) -> float:
        """For how long it is known to hold the loop."""
        return self.last.time - self.started

    @property
    def cpu(self) -> float | None:
        """Share of that time in which its thread computed; None where nobody knows."""
        return self._share("cpu")

    @property
    def starved(self) -> float:
        """Share of that time in which its thread wanted to compute, and the machine was busy."""
        return self._share("starved") or 0.0

    @property
    def others(self) -> float:
        """Share of one processor that other threads computed in that time."""
        all_of_them = (self.last.process - self.process) / self.seconds if self.seconds > 0 else 0.0
        return all_of_them - (self.cpu or 0.0)

    def _share(self, name: str) -> float | None:
        if self.times is None or self.last.times is None or self.seconds <= 0:
            return None
        spent: float = getattr(self.last.times, name) - getattr(self.times, name)
        return spent / self.seconds


class Watch:
    """The thread that looks."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.pause = min(threshold / LOOKS, LONGEST_PAUSE)
        self._stopped = threading.Event()
        self._blocks: dict[int, Block] = {}
        self._pings: dict[int, Ping] = {}
        self._times: dict[int, ThreadTimes] = {}
        self._thread = threading.Thread(target=self._run, name="turnlane guard watch", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End, soon."""
        self._stopped.set()

    def _run(self) -> None:
        idle = 0
        before = time.monotonic()
        own = times_of(threading.get_native_id())
        while idle < IDLE_LOOKS or not _retire(self):
            if self._stopped.wait(self.pause):
                return
            late = time.monotonic() - before - self.pause
            now = times_of(threading.get_native_id())
            starved = now.starved - own.starved if now is not None and own is not None else 0.0
            own, before = now, time.monotonic()
            owners = loop_owners.running()
            idle = 0 if owners else idle + 1
            try:
                self.look(owners, unseen=late - starved if now is not None else 0.0)
            except Exception as error:
                journals.trouble("loop watch", error)

    def look(self, owners: list[Owner], unseen: float = 0.0) -> None:
        """One look at every loop.

        Args:
            unseen: seconds that this thread could not look although the machine had time for it: something held
                the interpreter.
        """
        frames = sys._current_frames()
        for owner in owners:
            self._look_at(owner, frames.get(owner.thread), unseen)
        threads = {owner.thread for owner in owners}
        for table in (self._blocks, self._pings, self._times):
            for thread in table.keys() - threads:
                table.pop(thread, None)

    def _look_at(self, owner: Owner, frame: FrameType | None, unseen: float) -> None:
        times = times_of(owner.native)
        callback = callback_of(frame)
        if callback is NATIVE:
            callback = self._ping(owner)
        look = Look(callback, frame, times)
        block = self._blocks.get(owner.thread)
        if block is not None and callback is not None and callback is block.callback:
            block.goes_on(look)
            if block.seconds >= max(self.threshold * LONG, block.tell_at):
                self._tell(owner, block, ended=False)
        else:
            if block is not None and block.seconds >= self.threshold:
                self._tell(owner, block, ended=True)
            self._begin(owner, look, unseen)
        if times is not None:
            self._times[owner.thread] = times

    def _begin(self, owner: Owner, look: Look, unseen: float) -> None:
        if look.callback is None:
            self._blocks.pop(owner.thread, None)
            return
        block = self._blocks[owner.thread] = Block(look)
        before = self._times.get(owner.thread)
        if before is None or look.times is None or unseen < self.threshold:
            return
        # The processor time of the loop's thread says that it was the one, and it is in the same callback still:
        # native code is left at the line that called it.
        if look.times.cpu - before.cpu >= self.threshold:
            block.started, block.times = look.time - unseen, before
            self._tell(owner, block, ended=False)

    def _ping(self, owner: Owner) -> Ping:
        """The same object as long as the loop has not come round, and is in the same task."""
        ping, task, loop = self._pings.get(owner.thread), task_of(owner), owner.loop()
        if ping is None or ping.answered or not ping.is_of(task):
            ping = self._pings[owner.thread] = Ping(task)
            with contextlib.suppress(RuntimeError):
                if loop is not None:
                    loop.call_soon_threadsafe(ping.answer)
        return ping

    def _tell(self, owner: Owner, block: Block, *, ended: bool) -> None:
        if block.told:
            return
        inside = inside_callback(block.stack)
        harm = block_verdict.harm(owner, block, inside, self)
        if harm is None:
            block.tell_at = 2 * block.seconds  # a machine that was busy may let it go on later
            return
        block.told = True
        place = stacks.place_of(inside)
        request = block.request
        task = None if ended else task_of(owner)
        journals.report_aside(
            Sighting(
                code="TL108",
                message=f"The event loop has stood still for at least {block.seconds:.2f} s"
                f"{'' if ended else ' so far'}: {harm} in {place.function} "
                f"({os.path.basename(place.file)}:{place.line}) holds it, and nothing else of the process runs.",
                stack=inside,
                stacks=with_stacks(("this holds the loop", inside), ("the loop was started here", owner.stack)),
                request=request.id if request else None,
                conversation=request.conversation if request else None,
                task=None if task is None else task.get_name(),
                thread=owner.thread_name,
                measures={"seconds": round(block.seconds, 3), "ended": ended},
            )
        )


_watch: Watch | None = None
_lock = locks.free_after_fork()


def install() -> None:
    """Watch every loop from when it begins to run."""
    loop_owners.started.append(_started)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forked)


def uninstall() -> None:
    """End the thread."""
    global _watch
    with _lock:
        if _watch is not None:
            _watch.stop()
        _watch = None


def _started(owner: Owner) -> None:
    global _watch
    with _lock:
        if _watch is None:
            _watch = Watch(journals.settings().threshold)
            _watch.start()


def _retire(watch: Watch) -> bool:
    """A program without loops needs no watch."""
    global _watch
    with _lock:
        if _watch is watch and not loop_owners.running():
            _watch = None
        return _watch is not watch


def _forked() -> None:
    global _watch
    _watch = None


NATIVE: Final = object()
"""Stands for a callback of a loop that shows no frame of its own."""


def callback_of(frame: FrameType | None) -> Any:
    """The frame of the callback that runs, `NATIVE`, or None while the loop waits or does its own work.

    A callback's own frame is empty when it has ended, so that to keep it keeps nothing of the program's alive.
    """
    innermost = frame
    while frame is not None:
        code = frame.f_code
        if code is stacks.CALLBACK:
            return frame
        if code.co_name == "run_forever" and stacks.is_ours(code):
            native = not isinstance(frame.f_locals.get("self"), asyncio.BaseEventLoop)
            return NATIVE if native and frame is not innermost else None
        frame = frame.f_back
    return None


def inside_callback(stack: stacks.Stack) -> stacks.Stack:
    """The part of a stack that is the callback's."""
    for number, (code, _) in enumerate(stack):
        if code is stacks.CALLBACK or (
            code.co_filename.startswith(_ASYNCIO) and code.co_name in ("run_until_complete", "run_forever", "run")
        ):
            return stack[:number]
    return stack


def request_of(callback: Any) -> requests.Request | None:
    """Whose work the callback does."""
    if isinstance(callback, FrameType):
        with contextlib.suppress(Exception):
            handle: Any = callback.f_locals.get("self")
            found = handle._context.get(requests.current)
            return found if isinstance(found, requests.Request) else None
    only = tuple(requests.active)
    return only[0] if len(only) == 1 else None


def task_of(owner: Owner) -> asyncio.Task[Any] | None:
    """The task that runs in the loop at this moment."""
    loop = owner.loop()
    with contextlib.suppress(Exception):
        return asyncio.current_task(loop) if loop is not None else None
    return None
