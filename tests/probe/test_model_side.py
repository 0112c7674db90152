"""The provider's side of a probe."""

from __future__ import annotations

import asyncio
import contextlib

import httpx2
import pytest

from turnlane.practice import Fault
from turnlane.probe.conditions import Conditions
from turnlane.probe.model_side import PracticeSide, idle

pytestmark = pytest.mark.anyio


async def asks(side: PracticeSide, times: int) -> None:
    """One call after the other, with a moment between two."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        for number in range(times):
            messages = [{"role": "user", "content": f"job {number}"}]
            await http.post(f"{side.base_url}/chat/completions", json={"model": "m", "messages": messages})
            await asyncio.sleep(0.02)


async def test_what_takes_work_from_a_queue_is_waited_for() -> None:
    side = PracticeSide()
    await side.start()
    try:
        assert await idle(side, 2.0)
        queue = asyncio.create_task(asks(side, 3))
        await side.provider.wait_for(1, 10)
        assert await idle(side, 30.0, quiet=0.3)
        assert queue.done()
        side.prepare(Conditions(faults=(Fault("hang"),)))
        hanging = asyncio.create_task(asks(side, 1))
        await side.provider.wait_for(4, 10)
        assert not await idle(side, 0.3)
        hanging.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await hanging
    finally:
        await side.stop()
