import asyncio
import logging
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

logging.basicConfig(level=logging.INFO)
app = Flask(__name__)


class Model(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason != "stop":
            raise RuntimeError(f"incomplete answer: {result.finish_reason}")
        return result


class Bot:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        model = Model(model="gpt-4o-mini", timeout=10, max_retries=1)
        self.agent = AssistantAgent("bot", model, system_message="You answer questions about our products.")

    def ask(self, message):
        run = asyncio.wait_for(self.agent.run(task=message), 25)
        return asyncio.run_coroutine_threadsafe(run, self.loop).result().messages[-1].content


bot = Bot()


@app.route("/chat", methods=["POST"])
def chat():
    try:
        return jsonify({"reply": bot.ask(request.json["message"])})
    except Exception as error:
        app.logger.exception("the bot failed")
        return jsonify({"error": type(error).__name__}), 502
