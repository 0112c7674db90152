"""Drives a Streamlit app as browsers do: one websocket a user, over which he types, clicks and reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from google.protobuf.message import Message
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from .plant import Visit
from .setting import Setting, free_port, listening
from .traffic import Sent

_RERUN = ForwardMsg.FINISHED_EARLY_FOR_RERUN  # the script asked for another run of itself: the next one counts


async def drive(setting: Setting, names: Iterator[str]) -> list[Sent]:
    """Start the app, let the visits' users in, each with a session of his own, and stop it.

    Raises:
        ProgramFailed: it did not start.
    """
    port = free_port()
    sent: list[Sent] = []
    async with setting.running(setting.command(port)) as process:
        await listening(setting, process, port)
        for group in setting.plant.visits:
            await asyncio.sleep(group.wait)
            users = [_Browser(port, group, next(names), number) for number in range(group.users)]
            for answers in await asyncio.gather(*(user.stay() for user in users)):
                sent += answers
        await asyncio.sleep(setting.plant.settle)
    return sent


class _Browser:
    """One user's page: the widgets that it shows, and what it says."""

    def __init__(self, port: int, group: Visit, word: str, number: int) -> None:
        self.address = f"ws://127.0.0.1:{port}/_stcore/stream"
        self.group = group
        self.word = word
        self.number = number
        self.elements: list[Message] = []

    async def stay(self) -> list[Sent]:
        await asyncio.sleep(self.number * self.group.apart)
        async with connect(self.address, subprotocols=["streamlit"], max_size=None) as socket:  # type: ignore[list-item]
            async with asyncio.timeout(self.group.timeout):
                await self._run(socket, BackMsg(rerun_script={}))
            return [await self.ask(socket, turn) for turn in range(1, self.group.turns + 1)]

    async def ask(self, socket: ClientConnection, turn: int) -> Sent:
        started = time.monotonic()
        prompt = self.group.prompt.replace("{word}", self.word).replace("{turn}", str(turn))
        status: int | None = None
        try:
            async with asyncio.timeout(self.group.leave_after or self.group.timeout):
                await self._run(socket, BackMsg(rerun_script={"widget_states": {"widgets": self._typed(prompt)}}))
            text = "\n".join(self._texts())
            status = 500 if any(_kind(element) == "exception" for element in self.elements) else 200
        except TimeoutError:
            text = "TimeoutError"
        return Sent(self.word, f"{self.word}-{turn}", status, text, time.monotonic() - started)

    async def _run(self, socket: ClientConnection, order: BackMsg) -> None:
        """Let the script run once, and keep what it shows."""
        self.elements = []
        await socket.send(order.SerializeToString())
        while True:
            message = ForwardMsg.FromString(await socket.recv(decode=False))
            if message.WhichOneof("type") == "delta" and message.delta.WhichOneof("type") == "new_element":
                self.elements.append(message.delta.new_element)
            # a script that asks for another run of itself has not finished
            if message.WhichOneof("type") == "script_finished" and message.script_finished != _RERUN:
                return

    def _typed(self, prompt: str) -> list[dict[str, object]]:
        """What the page sends when the user has typed, and pressed the first button or Enter."""
        states: list[dict[str, object]] = []
        clicked = False
        for element in self.elements:
            kind = _kind(element)
            widget = getattr(element, kind)
            if kind == "chat_input":
                states.append({"id": widget.id, "chat_input_value": {"data": prompt}})
            elif kind in {"text_input", "text_area"}:
                states.append({"id": widget.id, "string_value": prompt})
            elif kind == "button" and not clicked:
                states.append({"id": widget.id, "trigger_value": True})
                clicked = True
        return states

    def _texts(self) -> Iterator[str]:
        for element in self.elements:
            kind = _kind(element)
            if kind in {"markdown", "text", "alert", "exception", "code"}:
                shown = getattr(element, kind)
                yield str(getattr(shown, "body", "") or getattr(shown, "message", ""))


def _kind(element: Message) -> str:
    return str(element.WhichOneof("type"))
