import asyncio
import threading
from collections import defaultdict

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
model = OpenAIChatCompletionClient(model="gpt-4o-mini")
states = {}
turns = defaultdict(threading.Lock)


async def weather(city: str) -> str:
    """The weather in a city."""
    await asyncio.sleep(0.1)
    return f"{city}: sunny"


async def turn(session_id, message):
    agent = AssistantAgent("guide", model, tools=[weather], reflect_on_tool_use=True)
    if session_id in states:
        await agent.load_state(states[session_id])
    result = await agent.run(task=message)
    states[session_id] = await agent.save_state()
    return result.messages[-1].to_text()


@app.post("/s/<session_id>")
def say(session_id):
    with turns[session_id]:
        reply = asyncio.run_coroutine_threadsafe(turn(session_id, request.json["message"]), loop).result(30)
    return jsonify(reply=reply)
