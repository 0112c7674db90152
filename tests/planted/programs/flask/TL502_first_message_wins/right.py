import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
client = OpenAIChatCompletionClient(model="gpt-4o")


async def first_idea(theme):
    people = [AssistantAgent(name, client) for name in ("ann", "ben", "cleo")]
    team = RoundRobinGroupChat(people, termination_condition=MaxMessageTermination(2))
    result = await team.run(task=theme)
    return result.messages[-1].to_text()


@app.post("/idea")
def idea():
    future = asyncio.run_coroutine_threadsafe(first_idea(request.json["theme"]), loop)
    return jsonify(idea=future.result(30))
