import asyncio
import threading
from functools import cached_property

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request


class Backend:
    """Its loop and its client are made by the first request, so each worker has its own."""

    lock = threading.Lock()

    @cached_property
    def loop(self):
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        return loop

    @cached_property
    def client(self):
        return OpenAIChatCompletionClient(model="gpt-4o-mini", timeout=5)

    async def answer(self, question):
        agent = AssistantAgent("expert", self.client)
        return (await agent.run(task=question)).messages[-1].content

    def ask(self, question):
        with self.lock:
            loop = self.loop
        return asyncio.run_coroutine_threadsafe(self.answer(question), loop).result(timeout=4)


def create_app():
    app = Flask(__name__)
    backend = Backend()

    @app.post("/ask")
    def ask():
        return jsonify(answer=backend.ask(request.json["question"]))

    return app
