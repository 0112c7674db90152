import asyncio
from threading import Thread

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request


class Agents:
    """Runs coroutines on a loop of its own, for code that is not async."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        Thread(target=self.loop.run_forever, daemon=True).start()
        self.client = OpenAIChatCompletionClient(model="gpt-4o-mini")

    def wait_for(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=60)

    async def ask_accountant(self, question: str) -> str:
        agent = AssistantAgent("accountant", self.client)
        return (await agent.run(task=question)).messages[-1].to_text()

    def ask_boss(self, question: str) -> str:
        async def accountant(question: str) -> str:
            """Ask the accountant."""
            return await self.ask_accountant(question)

        agent = AssistantAgent("boss", self.client, tools=[accountant])
        return self.wait_for(agent.run(task=question)).messages[-1].to_text()


agents = Agents()
app = Flask(__name__)


@app.post("/chat")
def chat():
    return jsonify(reply=agents.ask_boss(request.json["message"]))
