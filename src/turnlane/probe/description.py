"""The program's own description of itself: its OpenAPI document, where it has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx2

from turnlane.probe.reach import verification
from turnlane.probe.target import Target

PATH: Final = "/openapi.json"
_BOUND: Final = 5.0


async def description(target: Target) -> Mapping[str, Any]:
    """The OpenAPI document at the usual place; empty if there is none."""
    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=_BOUND, verify=verification(target.host)) as http:
            answer = await http.get(target.origin + PATH, headers=dict(target.headers))
            found = answer.json() if answer.status_code == 200 else {}
    except (httpx2.HTTPError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
