import asyncio
import json
import uuid

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
waiting = {}


async def clerk(text, state=None):
    client = OpenAIChatCompletionClient(model="gpt-4o")
    try:
        agent = AssistantAgent("clerk", client, system_message="Propose a decision; the manager decides.")
        if state:
            await agent.load_state(json.loads(state))
        result = await agent.run(task=text)
        return result.messages[-1].to_text(), json.dumps(await agent.save_state())
    finally:
        await client.close()


@app.post("/approve")
def approve_view():
    proposal, state = asyncio.run(clerk(request.json["request"]))
    number = uuid.uuid4().hex
    waiting[number] = state
    return jsonify(proposal=proposal, answer_at=f"/approve/{number}")


@app.post("/approve/<number>")
def decide(number):
    reply, _ = asyncio.run(clerk(request.json["decision"], waiting.pop(number)))
    return jsonify(reply=reply)
