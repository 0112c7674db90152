"""TL202: a list or dict of the program that holds one user's text, which is now in another user's prompt.

Three things must be seen together: another request brought the text, the container holds it, and the model is
asked with it. A store that is keyed by conversation never shows the last.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import re
import sys
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, Final, NamedTuple

from turnlane.guard import journals, locks, requests, runs, stacks
from turnlane.guard.journal import Sighting
from turnlane.guard.long_lived import Captured, Kept, captured, containers, joined, last_items, texts
from turnlane.guard.long_lived import forget as forget_containers
from turnlane.guard.lost_updates import frames_of
from turnlane.guard.meetings import different_users, is_mixed, with_stacks
from turnlane.guard.requests import Request
from turnlane.guard.stacks import Stack

MAX_REQUESTS: Final = 50
MIN_TEXT: Final = 8
"""Characters below which two users may well say the same."""

MAX_PROMPT: Final = 500_000


FIRST_CALLS: Final = 40
"""So many model calls are looked at whatever they hold; later ones only if a foreign text may be in the prompt."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9 ,.:;?!-]+")
"""What JSON leaves as it is, however it is written."""


class Said(NamedTuple):
    """What a request brought, and where it asked the model."""

    request: Request
    own: frozenset[str]
    stack: Stack


class Recent:
    """What the last requests brought."""

    def __init__(self) -> None:
        self._said: OrderedDict[Request, Said] = OrderedDict()
        self._texts: dict[str, int] = {}
        """How many of them brought it."""

    def add(self, request: Request, own: frozenset[str]) -> None:
        """One more, in the place of the oldest."""
        if request in self._said:
            return
        self._said[request] = Said(request, own, _stack())
        for text in own:
            self._texts[text] = self._texts.get(text, 0) + 1
        if len(self._said) > MAX_REQUESTS:
            _, oldest = self._said.popitem(last=False)
            for text in oldest.own:
                self._texts[text] -= 1
                if not self._texts[text]:
                    del self._texts[text]

    def may_be_in(self, prompt: bytes, own: frozenset[str]) -> bool:
        """Whether `prompt` may hold a text that is none of `own`."""
        return any(_plain(text) in prompt for text in self._texts if text not in own)

    def others(self, request: Request) -> list[Said]:
        """What other requests brought, in their order."""
        return [said for said in self._said.values() if said.request is not request]

    def clear(self) -> None:
        """Forget them."""
        self._said.clear()
        self._texts.clear()


_recent = Recent()
_states: dict[str, tuple[int, int, int]] = {}
_captured: dict[str, Any] = {}
"""What functions have captured, as last seen: held, so that nothing that is made later has its identity."""
_told: set[str] = set()
_calls = itertools.count(1)
_lock = locks.free_after_fork()


def asked(body: bytes) -> None:
    """The model is asked, with this body, in the present request."""
    request = requests.current.get()
    if request is None or not request.of_a_server:
        return
    own = own_texts(request)
    with _lock:
        if own:
            _recent.add(request, own)
        if next(_calls) > FIRST_CALLS and not _recent.may_be_in(body, own):
            return
        others = _recent.others(request)
    found: list[Kept | Captured] = [*containers(), *captured(_waiting())]
    changed = [kept for kept in found if _has_changed(kept)]
    # What a shared agent remembers is in its prompt by itself, whoever else keeps it as well.
    if others and changed and len(body) <= MAX_PROMPT and not is_mixed(runs.enclosing()):
        _look(request, own, others, body, _stack(), changed)


def _waiting() -> Iterator[FrameType]:
    """Who waits for this model call: in this task or thread, and in the task that the run began in."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back
    run = runs.enclosing()
    outermost = None if run is None else (run, *run.ancestors())[-1]
    task = None if outermost is None else outermost.task
    if task is not None and outermost is not None and outermost.loop is asyncio._get_running_loop():
        yield from frames_of(task.get_coro())


@functools.lru_cache(maxsize=8 * MAX_REQUESTS)
def _plain(text: str) -> bytes:
    """A part of it by which it is quickly looked for in a prompt; empty bytes are in every prompt."""
    longest = max(_PLAIN.findall(text), key=len, default="")
    return longest.encode() if len(longest) >= MIN_TEXT else b""


def _stack() -> Stack:
    """Where the model is asked; where its run began when the program's own code is too far away to be seen."""
    run = runs.enclosing()
    if run is not None and run.watched.role == "client" and stacks.has_users(run.stack):
        return run.stack  # which is where the framework's client was asked
    stack = stacks.capture_near(3)
    return run.stack if run is not None and not stacks.has_users(stack) else stack


def _look(
    request: Request,
    own: frozenset[str],
    others: list[Said],
    body: bytes,
    stack: Stack,
    changed: list[Kept | Captured],
) -> None:
    prompt = _prompt(body)
    for kept in changed:
        value = kept.value()
        found = _foreign(request, own, others, joined(value), prompt, certain=isinstance(value, dict))
        if found is not None:
            _told.add(kept.name)
            _report(request, kept, found, stack)
            return


def _has_changed(kept: Kept | Captured) -> bool:
    """Whether it is another than at the last model call: most containers of a program are constants.

    One that a function has captured must be the same object as then: it may be made anew for each request.
    """
    value = kept.value()
    if kept.name in _told or not issubclass(type(value), list | deque | dict):
        return False
    if isinstance(value, dict):
        inner = last_items(value)
        now = (id(value), len(value), sum(map(len, inner)) if _holds_lists(inner) else 0)
    else:
        now = (id(value), len(value), id(value[-1]) if value else 0)
    before, _states[kept.name] = _states.get(kept.name), now
    if isinstance(kept, Captured):
        seen, _captured[kept.name] = _captured.get(kept.name), value
        if seen is not value:
            return False
    return before is not None and before != now


def _holds_lists(values: Iterable[Any]) -> bool:
    return all(isinstance(item, list | dict | deque) for item in values)


def _foreign(
    request: Request, own: frozenset[str], others: list[Said], kept: str, prompt: str, *, certain: bool
) -> Said | None:
    """The other user whose text is in both; in a dict, only one who is known to be another."""
    for said in reversed(others):
        if not different_users(said.request, request):
            continue
        if certain and said.request.same_conversation(request) is not False:
            continue
        for text in said.own - own:
            if text in kept and text in prompt and not any(text in mine for mine in own):
                return said
    return None


def _prompt(body: bytes) -> str:
    try:
        return "\0".join(texts(json.loads(body), depth=8))
    except ValueError:
        return ""


def own_texts(request: Request) -> frozenset[str]:
    """What a request brought: texts of its body, form, query or arguments, but not those that say whose it is."""
    known = request.notes.get("own")
    if known is None:
        keys = set(request.keys.values())
        brought = (text.strip() for text in texts(request.notes.get("brought"), depth=5) if text not in keys)
        known = frozenset(text for text in brought if len(text) >= MIN_TEXT)
        if known:
            request.notes["own"] = known
    return known if isinstance(known, frozenset) else frozenset()


def _report(request: Request, kept: Kept | Captured, found: Said, stack: Stack) -> None:
    journals.report(
        Sighting(
            code="TL202",
            message=(
                f"{kept.name} holds the text of {found.request.name} {found.request.id}, and {request.name} "
                f"{request.id}, of another user, sends it to the model."
            ),
            stack=stack,
            stacks=with_stacks(
                ("the request whose text it is asked the model here", found.stack),
                ("the other request sends it here", stack),
            ),
            object=kept.name,
            request=request.id,
            conversation=request.conversation,
            requests=[found.request.id, request.id],
        )
    )


def install() -> None:
    """Nothing to patch: the HTTP clients' watch tells of each model call."""


def uninstall() -> None:
    """Forget everything. For tests."""
    global _calls
    _calls = itertools.count(1)
    _recent.clear()
    _states.clear()
    _captured.clear()
    _told.clear()
    forget_containers()
