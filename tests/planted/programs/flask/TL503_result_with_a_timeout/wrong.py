import asyncio
import concurrent.futures
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
client = OpenAIChatCompletionClient(model="gpt-4o-mini")


async def plan(goal: str) -> str:
    planner, doer = AssistantAgent("planner", client), AssistantAgent("doer", client)
    result = await RoundRobinGroupChat([planner, doer], max_turns=6).run(task=goal)
    return result.messages[-1].to_text()


@app.post("/plans")
def plans():
    future = asyncio.run_coroutine_threadsafe(plan(request.json["goal"]), loop)
    try:
        return jsonify(plan=future.result(timeout=1))
    except concurrent.futures.TimeoutError:
        return jsonify(error="took too long"), 504
