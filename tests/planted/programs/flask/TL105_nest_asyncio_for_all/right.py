import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, name="agents", daemon=True).start()

app = Flask(__name__)
client = OpenAIChatCompletionClient(model="gpt-4o")


async def answer(question):
    agent = AssistantAgent(name="assistant", model_client=client)
    result = await agent.run(task=question)
    return result.messages[-1].content


@app.route("/ask", methods=["POST"])
def ask():
    future = asyncio.run_coroutine_threadsafe(answer(request.json["question"]), loop)
    return jsonify({"answer": future.result(timeout=60)})
