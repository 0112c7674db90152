import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
batch = threading.Lock()  # batches share the plan's limit


async def label(client, review):
    labeller = AssistantAgent("labeller", client, system_message="positive, negative or neutral?")
    return (await labeller.run(task=review)).messages[-1].content


async def label_all(reviews):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    labels = []
    try:
        for start in range(0, len(reviews), 4):  # four a second is what our plan allows
            labels += await asyncio.gather(*[label(client, r) for r in reviews[start : start + 4]])
            await asyncio.sleep(0.9)
    finally:
        await client.close()
    return labels


@app.post("/label")
def label_view():
    with batch:
        return jsonify(asyncio.run(label_all(request.json["reviews"])))
