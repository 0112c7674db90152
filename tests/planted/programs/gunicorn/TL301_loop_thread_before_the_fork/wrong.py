import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request


class Backend:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.client = OpenAIChatCompletionClient(model="gpt-4o-mini", timeout=5)
        self.call(self.client.create([UserMessage(content="ping", source="start")]))

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=4)

    def ask(self, question):
        agent = AssistantAgent("expert", self.client)
        return self.call(agent.run(task=question)).messages[-1].content


def create_app():
    app = Flask(__name__)
    backend = Backend()

    @app.post("/ask")
    def ask():
        return jsonify(answer=backend.ask(request.json["question"]))

    return app
