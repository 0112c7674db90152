"""What the benchmarks serve: the agent of the workload, and one that sleeps without a model."""

import asyncio
import os
from collections.abc import Sequence

from autogen_agentchat.agents import AssistantAgent, BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane import App
from workload import assistant as make_assistant

SECONDS = float(os.environ.get("TURNLANE_BENCH_SLEEP", "1.0"))

app = App()


class Sleeper(BaseChatAgent):
    """Takes a second to answer, and no CPU."""

    produced_message_types = (TextMessage,)

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        await asyncio.sleep(SECONDS)
        return Response(chat_message=TextMessage(content="done", source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None: ...


@app.agent
def assistant() -> AssistantAgent:
    return make_assistant(OpenAIChatCompletionClient(model="gpt-4o-mini"))


@app.agent
def sleeper() -> Sleeper:
    return Sleeper("sleeper", "sleeps")
