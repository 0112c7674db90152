"""Whether a program that accepts connections also answers: a pre-fork server listens before its workers can."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import httpx2

from turnlane.probe.program import Program
from turnlane.probe.reach import verification

_PAUSE: Final = 0.1


async def first_answer(origin: str, program: Program, bound: float) -> None:
    """Wait until `origin` answers anything to `GET /`, at most `bound` seconds, or until the program has ended.

    A program that never does may still answer what the users say; whether it does is the first message's matter.
    """
    deadline = time.monotonic() + bound
    async with httpx2.AsyncClient(trust_env=False, verify=verification(urlsplit(origin).hostname or "")) as http:
        while program.status is None and (left := deadline - time.monotonic()) > 0:
            with suppress(httpx2.HTTPError):
                # The head of an answer is enough: the page may be a stream without an end.
                async with http.stream("GET", f"{origin}/", timeout=left):
                    return
            await asyncio.sleep(_PAUSE)
