import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
client = OpenAIChatCompletionClient(model="gpt-4o")
tokens = {}


async def crawl(query: str) -> str:
    """Crawl the web for something."""
    for _ in range(50):
        await asyncio.sleep(0.5)
    return f"25 pages about {query}"


async def work(job_id, task):
    tokens[job_id] = CancellationToken()
    agent = AssistantAgent("crawler", client, tools=[crawl])
    try:
        result = await agent.run(task=task, cancellation_token=tokens[job_id])
        return result.messages[-1].to_text()
    finally:
        del tokens[job_id]


@app.post("/jobs/<job_id>")
def start(job_id):
    return jsonify(text=asyncio.run_coroutine_threadsafe(work(job_id, request.json["task"]), loop).result())


@app.post("/jobs/<job_id>/stop")
def stop(job_id):
    loop.call_soon_threadsafe(tokens[job_id].cancel)
    return jsonify(stopped=job_id)
