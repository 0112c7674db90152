"""`turnlane turns`: look after turns, of a running server or of a data folder whose server is stopped."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from turnlane.cli.complaint import Complaint
from turnlane.cli.turn_page import page, table
from turnlane.cli.turn_page import status as status_of
from turnlane.cli.turn_source import ServedTurns, StoredTurns, Turns
from turnlane.runtime.conversation import Status

DEFAULT_URL: Final = "http://127.0.0.1:8080"

verbs = App(name="turns", help="List, show, cancel and re-run turns.", help_format="plaintext")


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """Where the turns are."""

    url: str | None = None
    """Address of a running server; by default http://127.0.0.1:8080."""
    data: Path | None = None
    """Data folder of a server that is stopped, in place of --url."""
    api_key: str | None = None
    """Key for the server; by default the environment variable TURNLANE_API_KEY."""

    def turns(self) -> Turns:
        """Raises Complaint."""
        if self.data is None:
            return ServedTurns(self.url or DEFAULT_URL, self.api_key)
        if self.url is not None:
            raise Complaint("give --url or --data, not both")
        return StoredTurns(self.data)


AsJson = Annotated[bool, Parameter(name="--json", negative="")]


@verbs.default
@verbs.command(name="list")
def list_turns(
    *,
    status: Status | None = None,
    conversation: str | None = None,
    limit: int = 20,
    as_json: AsJson = False,
    where: Where = Where(),
) -> int:
    """List turns, the newest first.

    Parameters
    ----------
    status
        Only turns of this status.
    conversation
        Only turns of this conversation.
    limit
        How many.
    as_json
        Print JSON, with everything known.
    """
    found = where.turns().list(status=status, conversation=conversation, limit=limit)
    _print(found if as_json else table(found))
    return 0


@verbs.command
def show(turn: str, /, *, as_json: AsJson = False, where: Where = Where()) -> int:
    """Show one turn with its events and the stack of its failure.

    Parameters
    ----------
    turn
        Its id, resp_...
    as_json
        Print JSON, with everything known.
    """
    found = where.turns().show(turn)
    _print(found if as_json else page(found))
    return 0


@verbs.command
def cancel(turn: str, /, *, as_json: AsJson = False, where: Where = Where()) -> int:
    """Cancel a turn that has not ended.

    Parameters
    ----------
    turn
        Its id, resp_...
    as_json
        Print JSON, with everything known.
    """
    found = where.turns().cancel(turn)
    _print(found if as_json else f"{found['id']} {status_of(found)}")
    return 0


@verbs.command
def rerun(turn: str, /, *, as_json: AsJson = False, where: Where = Where()) -> int:
    """Run a turn that has ended once more, as a new turn with the same input at the end of its lane.

    Parameters
    ----------
    turn
        Its id, resp_...
    as_json
        Print JSON, with everything known.
    """
    found = where.turns().rerun(turn)
    _print(found if as_json else f"{found['id']} {found['status']}")
    return 0


def _print(shown: object) -> None:
    text = shown if isinstance(shown, str) else json.dumps(shown, indent=2, ensure_ascii=False)
    sys.stdout.write(f"{text}\n")
