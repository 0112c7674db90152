"""What models say in the worker's tests, and an agent that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import TextMessage

from turnlane.practice import Answer, ToolCall
from turnlane.runtime.conversation import Turn


def calls(*asked: Any) -> Callable[[Any], Any]:
    """A model that calls the tool `act` with each of these in turn (a tuple: at once), and then is done."""

    def script(request: Any) -> Any:
        step = 0
        for deeds in asked:
            deeds = deeds if isinstance(deeds, tuple) else (deeds,)
            if len(tool_texts(request)) == step:
                return Answer(tool_calls=[ToolCall("act", {"deed": deed}) for deed in deeds])
            step += len(deeds)
        return f"all done: {request.user_message}"

    return script


def tool_texts(request: Any) -> list[str]:
    """What tools have answered since the user's last message."""
    messages = list(request.messages)
    users = [number for number, message in enumerate(messages) if message["role"] == "user"]
    return [message["content"] for message in messages[users[-1] :] if message["role"] == "tool"]


def text_of(turn: Turn) -> str:
    return str(turn.output[-1]["text"])


def by_name(request: Any) -> str:
    return f"{request.system}: {request.user_message}"


class Waiter(BaseChatAgent):
    """An agent of the user's own, which waits for ever the first time."""

    produced_message_types = (TextMessage,)

    def __init__(self, reached: asyncio.Event) -> None:
        super().__init__("waiter", "waits")
        self._reached = reached

    async def on_messages(self, messages: Any, cancellation_token: Any) -> Response:
        if not self._reached.is_set():
            self._reached.set()
            await asyncio.Event().wait()
        return Response(chat_message=TextMessage(content="waited", source=self.name))

    async def on_reset(self, cancellation_token: Any) -> None: ...
