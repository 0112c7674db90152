import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import TimeoutTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


async def debate(motion):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini", timeout=20)
    team = RoundRobinGroupChat(
        [AssistantAgent("pro", client), AssistantAgent("con", client)],
        termination_condition=TimeoutTermination(0.5),
        max_turns=8,
    )
    try:
        result = await team.run(task=motion)
        return [m.to_text() for m in result.messages]
    finally:
        await client.close()


@app.post("/debate")
def debate_view():
    return jsonify(asyncio.run(debate(request.json["motion"])))
