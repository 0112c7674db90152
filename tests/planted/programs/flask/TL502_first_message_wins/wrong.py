import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
client = OpenAIChatCompletionClient(model="gpt-4o")


async def first_idea(theme):
    people = [AssistantAgent(name, client) for name in ("ann", "ben", "cleo")]
    team = RoundRobinGroupChat(people, max_turns=9)
    async for message in team.run_stream(task=theme):
        if isinstance(message, TextMessage) and message.source != "user":
            return message.content


@app.post("/idea")
def idea():
    future = asyncio.run_coroutine_threadsafe(first_idea(request.json["theme"]), loop)
    return jsonify(idea=future.result(30))
