"""`await` before a call that is no coroutine: it is done, and paid for, before `await` refuses what it returns."""

from __future__ import annotations

import dis
import functools
import inspect
import sys
from types import CodeType

from turnlane.guard import journals, stacks
from turnlane.guard.journal import Sighting
from turnlane.guard.stacks import Stack


def look(call: str, advice: str, stack: Stack) -> None:
    """Report, before the call is done, that the program's line awaits what it returns (TL109).

    Args:
        call: what is called, for people.
        advice: a sentence on what to do instead.
        stack: of the call.
    """
    if not _awaits(stack):
        return
    journals.report(
        Sighting(
            code="TL109",
            message=f"`await` stands before {call}, which is a plain function: it runs to its end and is paid "
            f"for, then `await` fails on what it returns. {advice}",
            stack=stack,
        )
    )


def _awaits(stack: Stack) -> bool:
    """Whether the innermost line of the program in this stack awaits what its call returns."""
    caller = next((code for code, _ in stack if stacks.is_users(code.co_filename)), None)
    if caller is None or not caller.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        return False
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code is not caller:
        frame = frame.f_back
    return frame.f_code is caller and _is_awaited(caller, frame.f_lasti)


@functools.lru_cache(maxsize=256)
def _is_awaited(code: CodeType, call: int) -> bool:
    """Whether the result of the call at this offset is what the next instruction awaits."""
    following = (instruction.opname for instruction in dis.get_instructions(code) if instruction.offset > call)
    return next(following, "") == "GET_AWAITABLE"
