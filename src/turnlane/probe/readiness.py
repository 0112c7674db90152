"""Whether a program that accepts connections also answers: a pre-fork server listens before its workers can."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from turnlane.probe.program import Program

_PAUSE: Final = 0.1


async def first_answer(origin: str, program: Program, bound: float) -> None:
    """Wait until the server at `origin` refuses what is no request, at most `bound` seconds, or until the program
    has ended.

    A program that never does may still answer what the users say; whether it does is the first message's matter.
    """
    parts = urlsplit(origin)
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    deadline = time.monotonic() + bound
    while program.status is None and (left := deadline - time.monotonic()) > 0:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(left):
                await ask_for_nothing(parts.hostname or "", port, tls=tls)
                return
        await asyncio.sleep(_PAUSE)


async def ask_for_nothing(host: str, port: int, *, tls: bool = False) -> None:
    """Send what is no request, and wait until it is refused.

    The server's own code does that: no handler of the program runs, which might not bear a request that it never
    expects.

    Raises:
        OSError: it cannot be sent.
    """
    reader, writer = await asyncio.open_connection(host, port, ssl=_anybody() if tls else None)
    try:
        writer.write(b"NO REQUEST\r\n\r\n")
        await reader.read(1)
    finally:
        writer.close()


def _anybody() -> ssl.SSLContext:
    """Nothing is told to whoever answers, so it may be anybody."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
