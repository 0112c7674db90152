"""What it means when a run enters an object: rules over what is known, each says one hazard or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from turnlane.guard import holders, journals, objects, requests, retries, runs
from turnlane.guard.journal import Sighting
from turnlane.guard.objects import TITLES, Watched
from turnlane.guard.requests import Request
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Stack

rules: list[Callable[[Run, Sequence[Run]], Sighting | None]] = []
"""What frameworks know better: asked before the rules here."""

ONE_USER = ("pytest", "ipython", "jupyter")
"""Hosts whose units of work are all of one person: a test's or a cell's agent may go on in the next."""


def entered(run: Run, met: Sequence[Run]) -> Sighting | None:
    """What a run shows by entering its own object, where the runs `met` are already."""
    watched = run.watched
    forked = after_fork(run)
    if forked is not None or watched.role == "client":  # many calls at once are what a client is for
        return forked
    for rule in rules:
        sighting = rule(run, met)
        if sighting is not None:
            return sighting
    again = next((other for other in met if other in tuple(run.ancestors())), None)
    if again is not None:
        return reentered(run, again)
    if met and not run.stateless and not waits(run, met[0]):
        return overlapped(run, met[0])
    recursion = recursed(run)
    if recursion is not None:
        return recursion
    before = retries.failed_before(run)
    if before is not None:
        return retried(run, before)
    if watched.last is not None and watched.dirty:
        return left_over(run, watched, run.label)
    return None


LOCKS: Final = ("Lock", "RLock", "lock", "Semaphore", "BoundedSemaphore", "Condition", "CapacityLimiter")
"""Types of asyncio, anyio and threading, by name."""


def waits(run: Run, other: Run) -> bool:
    """Whether an object lets the runs of one conversation wait for each other: with a lock of its own, or as
    Turnlane does it. Users who are not the same do not belong in one object, one after the other neither."""
    thing = run.watched.ref() if run.watched.ref is not None else None
    if thing is None or different_users(run.request, other.request):
        return False
    return any(
        type(value).__name__ in LOCKS or getattr(value, "__module__", "").startswith("turnlane.runtime.")
        for value in getattr(thing, "__dict__", {}).values()
    )


def replacing(thing: object, entry: str, stack: Stack) -> Run | None:
    """Somebody begins to reset an object, or to give it another state: nobody else may be in it meanwhile.

    Raises:
        HazardError: somebody is, and the settings are strict.
    """
    watched = objects.known(thing)
    if watched is None or watched.role not in ("agent", "team"):
        return None
    run = Run(watched, watched.name(thing), entry, stack)
    run.request = requests.current.get()
    active = [other for other in watched.active if other.running]
    watched.active.append(run)
    if active:
        journals.report(overlapped(run, active[0]))
    return run


def replaced(run: Run) -> None:
    """What `replacing` began is done."""
    run.outcome = "ended"
    if run in run.watched.active:
        run.watched.active.remove(run)


def used(run: Run, watched: Watched, thing: object, met: Sequence[Run]) -> Sighting | None:
    """What a run shows by working on an object that is not its own: a context, a memory, a session."""
    ancestors = tuple(run.ancestors())
    others = [
        other
        for other in met
        if other is not run and other not in ancestors and not (other.watched is run.watched and waits(run, other))
    ]
    if watched.role == "session":
        return used_session(run, watched, thing, others)
    if watched.role == "memory":
        return used_memory(run, watched, thing)
    if others:
        return shared_part(run, others[0], watched, watched.name(thing))
    last = watched.last
    # A team resets its termination condition when it ends: only two at once spoil each other's count.
    if last is None or not watched.dirty or last.watched is run.watched or watched.role == "termination":
        return None
    if different_users(last.request, run.request) and not kept_by_key(run, last, watched):
        return shared_part(run, last, watched, watched.name(thing))
    return None


def used_memory(run: Run, watched: Watched, thing: object) -> Sighting | None:
    """What a run shows by reading a memory: knowledge for all is right, what another user said is not."""
    writers: Sequence[Run] = watched.notes.get("writers", ())
    writer = next((one for one in writers if different_users(one.request, run.request)), None)
    if writer is None or kept_by_key(run, writer, watched):
        return None
    return shared_part(run, writer, watched, watched.name(thing))


def used_session(run: Run, watched: Watched, thing: object, others: Sequence[Run]) -> Sighting | None:
    """What a run shows by continuing a session, the history of one conversation that a stateless agent is handed.

    Two turns of one conversation at once are no hazard where the framework itself lets them wait for each other
    (`watched.notes["serialised"]`), nor where one run handed the session to several of its own parts.
    """
    family = {step for step in run.ancestors() if watched in step.uses}
    for other in others:
        if family.intersection(other.ancestors()):
            continue
        if different_users(other.request, run.request) and not kept_by_key(run, other, watched):
            return shared_part(run, other, watched, watched.name(thing))
        if not watched.notes.get("serialised"):
            return overlapped(run, other, watched, watched.name(thing))
    last = watched.last
    if last is not None and lost_its_reader(last):
        return left_by_reader(run, last, watched, watched.name(thing))
    if last is None or not watched.dirty or not run.leftover or not different_users(last.request, run.request):
        return None
    return None if kept_by_key(run, last, watched) else shared_part(run, last, watched, watched.name(thing))


def tell(run: Run, sightings: Sequence[Sighting]) -> None:
    """Report the first: when two runs meet in one agent, that its parts meet too is no news."""
    for sighting in sightings[:1]:
        # What the parts of a run show, when the run itself has shown it, is the same mistake seen from inside.
        if sighting.code != "TL402" and any("told" in outer.notes for outer in run.ancestors()):
            continue
        run.notes["told"] = sighting.code
        if sighting.code in ("TL201", "TL203"):
            for watched in (run.watched, *run.uses):
                watched.notes["mixed"] = True
        journals.report(sighting)


def is_mixed(run: Run | None) -> bool:
    """Whether a run works on an object that is known to hold several users' texts."""
    if run is None:
        return False
    return any(
        watched.notes.get("mixed") for step in (run, *run.ancestors()) for watched in (step.watched, *step.uses)
    )


def different_users(one: Request | None, other: Request | None) -> bool:
    """Whether two requests are different people's, as far as anything says so: unlike ids, or no ids at all."""
    if one is None or other is None or one is other or one.id == other.id:
        return False
    if one.host in ONE_USER or nested(one, other) or nested(other, one):
        return False
    return not one.same_conversation(other)


def nested(inner: Request, outer: Request) -> bool:
    """Whether `inner` was begun inside `outer`: an HTTP call of a program to itself in one process."""
    step = inner.parent
    while step is not None:
        if step is outer:
            return True
        step = step.parent
    return False


def overlapped(run: Run, other: Run, watched: Watched | None = None, label: str | None = None) -> Sighting:
    """Two runs are in one agent or team, or continue one session, at once."""
    watched, label = watched or run.watched, label or run.label
    kind = TITLES[watched.role]
    if different_users(run.request, other.request) and not kept_by_key(run, other, watched):
        code = "TL201"
        message = (
            f"Two requests run one {kind} at once: {label} is in {ids(other, run)}; each sees the other's text."
        )
    else:
        code = "TL204"
        whose = (
            f" of one conversation ({run.request.conversation})"
            if run.request and run.request is not other.request
            else ""
        )
        message = f"Two runs{whose} overlap in one {kind}, {label}; messages mix or get lost."
    return sighting_of_two(code, message, run, other, watched, label=label)


def shared_part(run: Run, other: Run, watched: Watched, label: str) -> Sighting:
    """Two runs of different agents work on one context, memory or termination condition."""
    kind = TITLES[watched.role]
    if watched.role == "context" and other.running and of_one_conversation(run, other):
        return overlapped(run, other, watched, label)
    at_once = "at once" if other.running else "one after the other, with what the first has left in it"
    # Who writes to a memory directly is in a run of the memory itself.
    first = "A call from outside" if other.label == label else other.label
    message = f"{first} and {run.label} use one {kind}, {label}, {at_once}."
    return sighting_of_two("TL203", message, run, other, watched, label=label)


def of_one_conversation(run: Run, other: Run) -> bool:
    """Whether two requests say that they belong to one conversation: what their agents share is its history."""
    if run.request is None or other.request is None or run.request is other.request:
        return False
    return bool(run.request.same_conversation(other.request))


def reentered(run: Run, outer: Run) -> Sighting:
    """A run was entered from inside its own tool."""
    depth = sum(1 for step in run.ancestors() if step.watched is run.watched) or 1
    tool = next((step.tool for step in (run, *run.ancestors()) if step.tool is not None), None)
    name = f" {tool.name!r}" if tool is not None else ""
    message = (
        f"The tool{name} of {run.label} runs {run.label} again, inside the run that called it (depth {depth})."
    )
    sighting = sighting_of_two("TL402", message, run, outer, run.watched, first="the run that called the tool")
    sighting.measures["depth"] = depth
    return sighting


def recursed(run: Run) -> Sighting | None:
    """Runs of objects made at one place are inside each other's tools, again and again."""
    if run.tool is None or not run.watched.made:
        return None
    made = run.watched.made[:1]
    same = [step for step in run.ancestors() if step.watched.made[:1] == made]
    if len(same) + 1 < runs.RECURSION or not all(step.tool is not None for step in same[:-1]):
        return None
    message = (
        f"{run.label} runs inside a tool of its own kind, {len(same)} deep: "
        f"the tool {run.tool.name!r} calls a run again."
    )
    sighting = sighting_of_two("TL402", message, run, same[-1], run.watched, first="the outermost run")
    sighting.measures["depth"] = len(same)
    return sighting


def left_over(run: Run, watched: Watched, label: str) -> Sighting | None:
    """An object is used again, one run after the other, with state that nobody has reset or replaced."""
    last: Run = watched.last
    if last.outcome in ("failed", "cancelled") and watched.role in ("agent", "team", "chat"):
        if watched.role == "agent" and run.leftover == last.leftover:
            return None  # it ended before it had written anything
        if retries.for_the_loop(last):
            return None  # its client belongs to another loop: that is told, and to throw the agent away is no help
        why = "failed" if last.outcome == "failed" else "was cancelled"
        if lost_its_reader(last):
            return left_by_reader(run, last, watched, label)
        message = (
            f"{label} is used again after a run that {why}; it was neither thrown away nor given its state anew."
        )
        sighting = sighting_of_two("TL207", message, run, last, watched, first=f"the run that {why}")
        if "open_calls" in watched.notes:
            sighting.measures["open_calls"] = watched.notes["open_calls"]
        return sighting
    if not run.leftover or not different_users(last.request, run.request) or kept_by_key(run, last, watched):
        return None
    kind = TITLES[watched.role]
    message = (
        f"One {kind}, {label}, serves different requests one after the other and still holds the text of the one "
        f"before ({ids(last, run)})."
    )
    return sighting_of_two("TL201", message, run, last, watched, first="the earlier run")


def lost_its_reader(run: Run) -> bool:
    """Whether a stream was stopped because its client went away."""
    return run.outcome == "cancelled" and bool(run.notes.get("stream")) and run.reader_left


def left_by_reader(run: Run, last: Run, watched: Watched, label: str) -> Sighting:
    """An agent or team goes on that was in the middle of a run when the reader of its stream went away."""
    message = (
        f"The reader of {label}'s stream left before its end, and it is used again without the rest of that run."
    )
    return sighting_of_two("TL502", message, run, last, watched, first="the run whose reader left")


def retried(run: Run, before: Run) -> Sighting:
    """A run that failed is done again as a whole, with the same text."""
    again = "the same" if before.watched is run.watched else "a like"
    message = (
        f"{run.label} failed with {retries.name_of(before)} and is run again with the same text, as {again} "
        f"{TITLES[run.watched.role]}: the message is sent again and its tools run again."
    )
    sighting = sighting_of_two("TL304", message, run, before, run.watched, first="the run that failed")
    sighting.measures["attempt"] = retries.attempts(run)
    return sighting


MAX_ASKED: Final = 3
"""So often it is looked who holds an object: the first of many is alone in the beginning."""


def kept_by_key(run: Run, other: Run, watched: Watched) -> bool:
    """Whether the object is one of many that the program keeps by a key: then both runs are of one conversation,
    also where nothing in the requests says so in a way that the guard understands."""
    if run.request is None or other.request is None or watched.request is None:
        return False
    if run.request.same_conversation(other.request) is not None or watched.ref is None:
        return False
    keys = watched.notes.get("keys", ())
    if len(keys) < 2 and (asked := watched.notes.get("asked", 0)) < MAX_ASKED:
        parts = watched.notes.get("parts", (watched.ref,))  # a chat is held by nobody but its agents
        keys = max((holders.keys_of(ref())[:2] for ref in parts), key=len)
        watched.notes.update(keys=keys, asked=asked + 1)
    if len(keys) == 1 and not other.running:  # the first conversation, or what all use that asked for the same
        return run.request.brought(str(keys[0]))
    return len(keys) > 1


def after_fork(run: Run) -> Sighting | None:
    """An object is used in another process than it was made in."""
    watched = run.watched
    if watched.pid == os.getpid() or watched.role not in ("client", "agent", "team"):
        return None
    code = "TL605" if journals.where_is("preload") else "TL301"
    message = (
        f"{run.label} was made in process {watched.pid} before it forked, and is used in process {os.getpid()}: "
        "both share its connections."
    )
    watched.pid = os.getpid()  # told once; what else this object shows must not be hidden by it
    return Sighting(
        code=code,
        message=message,
        stack=watched.made or run.place_stack,
        stacks=with_stacks(("made here, before the fork", watched.made), ("used here, after it", run.stack)),
        object=run.label,
        request=run.request.id if run.request else None,
        task=run.task_name,
    )


def sighting_of_two(
    code: str,
    message: str,
    run: Run,
    other: Run,
    watched: Watched,
    *,
    label: str | None = None,
    first: str = "the first run",
) -> Sighting:
    """One hazard with both stacks and that of the object's construction."""
    name = label or run.label
    met = [one.request for one in (other, run) if one.request is not None]
    return Sighting(
        code=code,
        message=message,
        stack=run.place_stack,
        stacks=with_stacks(
            (f"{first}: {other.label}.{other.entry} in {other.who}", other.place_stack),
            (f"this run: {run.label}.{run.entry} in {run.who}", run.place_stack),
            (f"{name} was made here", watched.made),
        ),
        object=name,
        request=run.request.id if run.request else None,
        conversation=run.request.conversation if run.request else None,
        requests=list(dict.fromkeys(one.id for one in met)),
        task=run.task_name,
    )


def with_stacks(*pairs: tuple[str, Stack]) -> list[tuple[str, Stack]]:
    """Those that are known."""
    return [(title, stack) for title, stack in pairs if stack]


def ids(one: Run, other: Run) -> str:
    """Both requests, for people."""
    return " and ".join(f"{run.request.name} {run.request.id}" if run.request else run.who for run in (one, other))
