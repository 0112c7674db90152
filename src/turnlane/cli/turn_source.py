"""Where `turnlane turns` finds turns: a running server, or a data folder whose server is stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from turnlane.cli.complaint import FAILED, Complaint
from turnlane.cli.connection import Connection, Json
from turnlane.runtime.conversation import NewTurn, Status, Turn, new_id
from turnlane.runtime.engine import Engine, EngineError
from turnlane.runtime.engines.embedded import DATABASE, EmbeddedEngine
from turnlane.server.input_items import with_ids_of_turn
from turnlane.server.routes.operations import turn_json, whole_turn

T = TypeVar("T")


class Turns(Protocol):
    """Turns as JSON, in the shape of `GET /turns`. Every method may raise Complaint."""

    def list(self, *, status: Status | None, conversation: str | None, limit: int) -> list[Json]: ...
    def show(self, turn: str) -> Json: ...
    def cancel(self, turn: str) -> Json: ...
    def rerun(self, turn: str) -> Json: ...


class ServedTurns:
    """Turns of a running server."""

    def __init__(self, url: str, api_key: str | None) -> None:
        self._connection = Connection(url, api_key)

    def list(self, *, status: Status | None, conversation: str | None, limit: int) -> list[Json]:
        found = self._connection.get("/turns", status=status, conversation=conversation, limit=limit)
        turns: list[Json] = found["turns"]
        return turns

    def show(self, turn: str) -> Json:
        return self._connection.get(f"/turns/{turn}")

    def cancel(self, turn: str) -> Json:
        return self._connection.post(f"/turns/{turn}/cancel")

    def rerun(self, turn: str) -> Json:
        return self._connection.post(f"/turns/{turn}/rerun")


class StoredTurns:
    """Turns in the data folder of a server that is stopped. Nothing runs here: turns wait for its next start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self, *, status: Status | None, conversation: str | None, limit: int) -> list[Json]:
        async def read(engine: Engine) -> list[Json]:
            found = await engine.turns(status=status, conversation=conversation, limit=limit)
            return [_turn_json(turn) for turn in found]

        return self._with(read)

    def show(self, turn: str) -> Json:
        async def read(engine: Engine) -> Json:
            return await whole_turn(engine, await _existing(engine, turn), operator=True)

        return self._with(read)

    def cancel(self, turn: str) -> Json:
        async def change(engine: Engine) -> Json:
            return _turn_json(await engine.cancel(turn) or await _existing(engine, turn))

        return self._with(change)

    def rerun(self, turn: str) -> Json:
        async def change(engine: Engine) -> Json:
            old = await _existing(engine, turn)
            if not old.ended:
                raise Complaint(f"turn {turn} has not ended; it runs at the server's next start")
            return _turn_json((await engine.accept(_again(old))).turn)

        return self._with(change)

    def _with(self, work: Callable[[Engine], Awaitable[T]]) -> T:
        return asyncio.run(self._opened(work))

    async def _opened(self, work: Callable[[Engine], Awaitable[T]]) -> T:
        if not (self._folder / DATABASE).is_file():
            raise Complaint(f"{self._folder} is no data folder: it has no {DATABASE}")
        engine = EmbeddedEngine(self._folder)
        try:
            await engine.open()
            try:
                return await work(engine)
            finally:
                await engine.close()
        except EngineError as error:
            hint = "; while its server runs, use --url" if "process" in str(error) else ""
            raise Complaint(f"{error}{hint}", FAILED) from None


async def _existing(engine: Engine, turn: str) -> Turn:
    found = await engine.turn(turn)
    if found is None:
        raise Complaint(f"no turn {turn!r}; `turnlane turns list` shows what there is", FAILED)
    return found


def _turn_json(turn: Turn) -> Json:
    return turn_json(turn, operator=True)


def _again(old: Turn) -> NewTurn:
    turn = new_id("resp")
    return NewTurn(
        id=turn,
        conversation=old.conversation,
        agent=old.agent,
        input=with_ids_of_turn(old.input, turn),
        key=old.key,
        metadata=old.metadata,
        options={"background": True, "rerun_of": old.id},
        created_at=time.time(),
    )
