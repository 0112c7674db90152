import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
model = OpenAIChatCompletionClient(model="gpt-4o-mini")
sessions = {}


async def weather(city: str) -> str:
    """The weather in a city."""
    await asyncio.sleep(0.1)
    return f"{city}: sunny"


@app.post("/s/<session_id>")
def say(session_id):
    agent = sessions.get(session_id)
    if agent is None:
        agent = sessions[session_id] = AssistantAgent("guide", model, tools=[weather], reflect_on_tool_use=True)
    run = asyncio.run_coroutine_threadsafe(agent.run(task=request.json["message"]), loop)
    return jsonify(reply=run.result(30).messages[-1].to_text())
