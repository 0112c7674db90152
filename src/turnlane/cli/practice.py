"""`turnlane practice`: the practice provider alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from turnlane.cli.complaint import FAILED, Complaint
from turnlane.practice import PortUnavailable, PracticeProvider, ScriptError, serve


def practice(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 8089,
    script: Path | None = None,
) -> int:
    """Run the practice provider: OpenAI's chat API with scripted answers, latency and faults.

    Parameters
    ----------
    host
        Address to listen on.
    port
        Port to listen on; 0: any free one.
    script
        Script, YAML or Python. Without it: the built-in one.
    """
    try:
        serve(host, port, script, ready=_announce)
    except ScriptError as error:
        raise Complaint(str(error)) from None
    except PortUnavailable as error:
        raise Complaint(error.strerror or str(error), FAILED) from None
    return 0


def _announce(provider: PracticeProvider) -> None:
    sys.stdout.write(
        f"practice provider on {provider.base_url}\n"
        f"  script: {provider.script.name}\n"
        f"  use it: export OPENAI_BASE_URL={provider.base_url} OPENAI_API_KEY=none-needed\n"
    )
    sys.stdout.flush()  # a parent process waits for these lines
