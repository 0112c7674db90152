"""A blocking client that asks a model in the loop's own thread (TL108), or is awaited (TL109)."""

from __future__ import annotations

from turnlane.guard import block_verdict, finished_calls, journals, loop_owners, requests, stacks
from turnlane.guard.clients.belonging import outermost
from turnlane.guard.journal import Sighting
from turnlane.guard.meetings import with_stacks


def asked() -> None:
    """A client that blocks is about to ask a model.

    Raises:
        HazardError: strict mode.
    """
    owner = loop_owners.owner_here()
    if owner is None:
        return
    stack = stacks.capture()
    finished_calls.look("the call of a blocking client", "Ask with the async client of the same SDK.", stack)
    if block_verdict.excused(stack) or not block_verdict.anybody_waits(owner):
        return
    run = outermost()
    request = requests.current.get()
    journals.report(
        Sighting(
            code="TL108",
            message=(f"{run.label}.{run.entry} asks" if run else "A blocking client asks")
            + " a model in the event loop's own thread: the loop stands still until the model has answered, and "
            "nothing else of the process runs.",
            stack=stack,
            stacks=with_stacks(("this holds the loop", stack), ("the loop was started here", owner.stack)),
            object=run.label if run else None,
            request=request.id if request else None,
            conversation=request.conversation if request else None,
        )
    )
