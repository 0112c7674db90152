"""A target that is a name in Python: the probe hosts it behind HTTP in a child process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from turnlane.probe.host import HOST
from turnlane.probe.target import Target
from turnlane.probe.template import Json
from turnlane.probe.trouble import ProbeError

TEMPLATE: Json = {"prompt": "{prompt}", "conversation": "{conversation}", "user": "{user}"}


def function_target(
    name: str,
    template: Json = None,
    *,
    path: str = "/",
    headers: Mapping[str, str] | None = None,
    answer: str | None = None,
) -> Target:
    """The target for `my_app:handler`, `app.py:handler` or an app of either kind. Its port is still to be chosen.

    Args:
        template: the request's JSON, for an app with routes of its own.
        path: the route, likewise.

    Raises:
        ProbeError: it names nothing.
    """
    module, colon, attribute = name.rpartition(":")
    if not colon or not module or not attribute:
        hint = f" Write {name}:handler." if name.endswith(".py") or Path(f"{name}.py").exists() else ""
        raise ProbeError(
            f"{name!r} names no handler.{hint or ' Write my_app:handler or app.py:handler.'} For a program "
            "that is reached through HTTP give --url."
        )
    return Target(
        name=name,
        kind="function",
        url=f"http://{HOST}:{{port}}{path}",
        json=TEMPLATE if template is None else template,
        guessed=template is None,
        headers=headers or {},
        answer=answer,
        command=(sys.executable, "-m", "turnlane.probe.host", name, "{port}"),
    )
