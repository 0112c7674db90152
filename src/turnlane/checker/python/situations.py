"""In what surroundings code runs: on whose thread, with or without a loop, for whose request."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal[
    "request",
    "callback",
    "task",
    "session",
    "startup",
    "tool",
    "thread",
    "process",
    "page",  # a Streamlit script: run from top to bottom for each user and each click
    "cell",  # a notebook
    "script",  # under `if __name__ == "__main__"`, or a command
    "import",  # the top level of a file
    "test",
    "library",  # nobody in the project calls it
]


class Situation(NamedTuple):
    """The surroundings of a call."""

    host: str
    """`FastAPI`, `notebook`, `Celery`: as a message names it; empty for plain Python."""
    kind: Kind
    loop: bool | None
    """Whether an event loop runs on this thread; None: that depends on the caller."""
    users: Literal["many", "one", "unknown"]
    """Whether several people's requests pass here."""
    thread: bool = False
    """True on a thread that this program started."""

    @property
    def serves(self) -> bool:
        """Whether code here runs for one request of many.

        A tool does too, but inside a run: what it shares is that run's.
        """
        return self.users == "many" and self.kind in _SERVING and self.host not in _INSIDE_A_PROGRAM


_INSIDE_A_PROGRAM = frozenset({"AutoGen runtime", "AutoGen reply function", "Agent Framework workflow"})
"""Hosts whose handlers run in whatever program made the runtime: whose requests they serve is not known."""

_SERVING = frozenset({"request", "callback", "session", "page", "task", "thread", "process"})
