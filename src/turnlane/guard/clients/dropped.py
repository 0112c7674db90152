"""Clients that are made for a piece of work, used, and dropped without being closed (TL302)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import math
import threading
import time
import weakref
from collections import Counter
from typing import Any, Final

from turnlane.guard import journals, loop_owners, objects, requests, stacks
from turnlane.guard.clients.belonging import label_of
from turnlane.guard.journal import Sighting
from turnlane.guard.loop_owners import Owner
from turnlane.guard.requests import Request
from turnlane.guard.stacks import Stack

SUSPICIOUS: Final = 3
"""So many clients of one place that are used and not closed may be a leak, or one for each session."""
ENOUGH: Final = 2
"""So many dropped ones of one place, while the program goes on, are a leak."""
MOST_COLLECTIONS: Final = 5


class Held:
    """One client, until it is closed or dropped."""

    __slots__ = ("began", "closed", "place", "ref", "request", "used", "work")

    def __init__(self, client: Any, place: Place) -> None:
        self.place = place
        self.used = self.closed = False
        self.request: Request | None = requests.current.get()
        self.began = self.request.started if self.request is not None else time.monotonic()
        self.work = _task() or (self.request.id if self.request is not None else None)
        self.ref = weakref.ref(client, self._gone)

    def _gone(self, _: object) -> None:
        self.place.held.discard(self)
        if self.used and not self.closed and not self.place.told:
            self.place.drop(self)


class Patience:
    """How many clients must be open until the collector is asked, the first time and again."""

    __slots__ = ("collections", "next")

    def __init__(self) -> None:
        self.next = SUSPICIOUS
        self.collections = 0

    def collect(self, place: Place) -> None:
        """Ask it. Only when it has found nothing, it was asked in vain."""
        before = place.open
        gc.collect()
        self.collections += place.open == before
        self.next = max(place.open + ENOUGH, place.open * 3 // 2)


class Place:
    """One line of a program that makes clients."""

    __slots__ = ("again", "at_end", "dropped", "first_end", "held", "label", "made", "threads", "told", "working")

    def __init__(self, made: Stack, label: str) -> None:
        self.made = made
        self.label = label
        self.held: set[Held] = set()
        self.dropped: list[int | str | None] = []
        self.first_end = math.inf
        """When the first piece of work that had used one was done."""
        self.again = 0
        """How many were dropped by work that began after that."""
        self.threads: set[int] = set()
        self.working, self.at_end = Patience(), Patience()
        self.told = False

    @property
    def open(self) -> int:
        """How many of its clients are used and neither closed nor dropped; the only one of a request that goes on
        has its work to do."""
        found = [held for held in tuple(self.held) if held.used and not held.closed]
        of_request = Counter(held.request for held in found)
        return sum(
            1 for held in found if held.request is None or held.request.ended or of_request[held.request] > 1
        )

    def drop(self, held: Held) -> None:
        """One was used, and nobody holds it any more."""
        self.first_end = min(self.first_end, time.monotonic())
        self.again += held.began > self.first_end
        self.dropped.append(held.work)

    def ended(self, request: Request) -> None:
        """A request is done."""
        if math.isinf(self.first_end) and any(held.used and held.request is request for held in tuple(self.held)):
            self.first_end = time.monotonic()

    @property
    def goes_on(self) -> bool:
        """Whether each piece of work drops its own. Threads that fill a cache at once do it once, and keep one."""
        kept = len(self.threads) > 1 and any(held.used for held in tuple(self.held))
        return self.again >= ENOUGH or not kept

    @property
    def suspicious(self) -> bool:
        """Whether it is worth a judgement, while the program works."""
        return not self.told and (self.open >= self.working.next or len(self.dropped) >= ENOUGH)


_places: dict[stacks.Place, Place] = {}
_held: weakref.WeakKeyDictionary[Any, Held] = weakref.WeakKeyDictionary()


def install() -> None:
    """Listen to what ends."""
    requests.ending.append(_request_ended)
    loop_owners.stopping.append(_loop_stopped)


def forget() -> None:
    """For tests."""
    _places.clear()


def made(client: Any) -> None:
    """A client was made, by whoever."""
    request = requests.current.get()
    if not hasattr(client, "aclose") and (request is None or not request.of_a_server):
        return  # a script's own, which blocks: closed in order when it is dropped
    watched = objects.watch(client, "client")
    if not _by_user(watched.made):
        return
    where = stacks.place_of(watched.made)
    place = _places.get(where)
    if place is None:
        place = _places[where] = Place(watched.made, label_of(watched))
    place.threads.add(threading.get_ident())
    held = Held(client, place)
    place.held.add(held)
    _held[client] = held


def used(client: Any) -> None:
    """A client is about to send a request."""
    held = _held.get(client)
    if held is not None and not held.used:
        held.used = True
        if held.place.suspicious:
            judge(held.place)


def closed(client: Any) -> None:
    """A client is being closed, as it should be."""
    held = _held.get(client)
    if held is not None:
        held.closed = True
        held.place.held.discard(held)


def judge(place: Place, *, at_end: bool = False) -> None:
    """Tell whether clients of a place are dropped, or only many.

    Only the collector knows whether the program still holds them: it is asked a few times at most.
    """
    if place.told:
        return
    patience = place.at_end if at_end else place.working
    if patience.collections < MOST_COLLECTIONS and place.open >= patience.next:
        patience.collect(place)
    enough = len(set(place.dropped)) > ENOUGH if at_end else len(place.dropped) >= ENOUGH
    if at_end and enough and not place.goes_on:
        patience.collect(place)
    if enough and place.goes_on:
        place.told = True
        journals.report_aside(_sighting(place))


def _sighting(place: Place) -> Sighting:
    count = len(place.dropped)
    return Sighting(
        code="TL302",
        message=f"{place.label} was made here, used, and dropped without close() {count} times: what closes its "
        "connections then is the garbage collector, at any moment, also in the middle of other requests.",
        stack=place.made,
        stacks=[("made here", place.made)],
        object=place.label,
        measures={"dropped": count},
    )


def _request_ended(request: Request) -> None:
    for place in tuple(_places.values()):
        place.ended(request)
        if place.suspicious:
            judge(place)


def _loop_stopped(_: Owner) -> None:
    """What a program's end drops is no leak; what its pieces of work have made each for itself is."""
    for place in tuple(_places.values()):
        if not place.told and place.open + len(place.dropped) > ENOUGH:
            judge(place, at_end=True)


def _by_user(made: Stack) -> bool:
    """Whether the user's code made it, directly or through constructors, and not a framework while it runs."""
    for code, _ in made:
        if stacks.is_users(code.co_filename):
            return True
        if code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
            return False
    return False


def _task() -> int:
    with contextlib.suppress(RuntimeError):
        return id(asyncio.current_task())
    return 0
