"""Where requests become turns: the one place that decides whether a turn may be accepted.

Front ends (HTTP, chat, tests) call `submit`; they need an engine and the names of the agents, not a worker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from turnlane.runtime.agent import ActiveRuns, ReentrantRun
from turnlane.runtime.app import AgentSpec
from turnlane.runtime.conversation import NewTurn
from turnlane.runtime.engine import Accepted, Engine, Refused
from turnlane.telemetry.events import emit


class Draining(Refused):
    """The server is stopping and takes no new turns. `retry_after` is in seconds."""

    retry_after = 5.0

    def __init__(self) -> None:
        super().__init__("the server is stopping and takes no new turns; try again in a few seconds")


class UnknownAgent(Refused):
    """No agent has this name."""

    def __init__(self, name: str, known: Mapping[str, object]) -> None:
        super().__init__(f"no agent {name!r}; there are: {', '.join(sorted(known))}")


class Intake:
    """Accepts turns for the agents of an app."""

    def __init__(self, engine: Engine, agents: Mapping[str, AgentSpec], active: ActiveRuns | None = None) -> None:
        self.engine = engine
        self.agents = agents
        # Not `or`: an empty one is false.
        self.active = ActiveRuns() if active is None else active
        self.draining = False

    def agent(self, name: str) -> AgentSpec:
        """Raises UnknownAgent."""
        try:
            return self.agents[name]
        except KeyError:
            raise UnknownAgent(name, self.agents) from None

    async def submit(
        self, new: NewTurn, *, peer: tuple[str, int] | None = None, port: int | None = None
    ) -> Accepted:
        """Accept a turn; durable on return.

        Args:
            peer: the address and port at the other end of the HTTP connection, to notice that a tool of
                this process calls back into its own conversation.
            port: the port at our end.

        Raises:
            Refused: one of its kinds; nothing was stored.
            ReentrantRun: the request comes out of a run of the same conversation (TL402).
        """
        try:
            if self.draining:
                raise Draining
            self.agent(new.agent)
            self._refuse_reentry(new, peer, port)
            accepted = await self.engine.accept(new)
        except (Refused, ReentrantRun) as refusal:
            emit(
                "turn.refused",
                reason=type(refusal).__name__,
                message=str(refusal),
                conversation=new.conversation,
                agent=new.agent,
            )
            raise
        if accepted.joined:
            emit(
                "turn.joined",
                turn=accepted.turn.id,
                conversation=new.conversation,
                agent=new.agent,
                request_id=new.request_id,
            )
        elif accepted.created:
            emit(
                "turn.accepted",
                turn=accepted.turn.id,
                conversation=new.conversation,
                agent=new.agent,
                request_id=new.request_id,
                status=accepted.turn.status,
            )
        return accepted

    def _refuse_reentry(self, new: NewTurn, peer: tuple[str, int] | None, port: int | None) -> None:
        run = self.active.of(new.conversation)
        # Only code of the user's own can call back: while none runs, a client in this process is just a client.
        if run is None or not run.foreign_code or peer is None or not is_own_socket(peer, port):
            return
        raise ReentrantRun(
            f"a tool or agent of turn {run.claim.turn.id} called back into its own conversation "
            f"{new.conversation}: the turn would wait for itself. Return the data to the running turn instead."
        )


def is_own_socket(peer: tuple[str, int], port: int | None = None) -> bool:
    """Whether the other end of a loopback connection is a socket of this very process (Linux; else False).

    Found through /proc, so it works for every HTTP library a tool may use.

    Args:
        peer: the other end.
        port: our end. The other end's port alone names no connection: a model call of ours may have the same
            port as somebody's client, towards another server.
    """
    host, theirs = peer
    if not (host.startswith("127.") or host == "::1"):
        return False
    inodes = {inode for local, remote, inode in _connections() if local == theirs and port in (None, remote)}
    if not inodes:
        return False
    try:
        descriptors = os.listdir("/proc/self/fd")
    except OSError:
        return False
    sockets = {f"socket:[{inode}]" for inode in inodes}
    return any(_link(f"/proc/self/fd/{number}") in sockets for number in descriptors)


def _connections() -> Iterator[tuple[int, int, str]]:
    """Local port, remote port and inode of the machine's TCP connections."""
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            if columns[9] != "0":
                yield _port(columns[1]), _port(columns[2]), columns[9]


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
