import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


async def plan(goal):
    client = OpenAIChatCompletionClient(model="gpt-4o")

    async def ask_specialists(question: str) -> str:
        """Ask two specialists a question."""
        specialists = [AssistantAgent(name, client) for name in ("lawyer", "engineer")]
        result = await RoundRobinGroupChat(specialists, max_turns=2).run(task=question)
        return result.messages[-1].to_text()

    planner = AssistantAgent("planner", client, tools=[ask_specialists])
    critic = AssistantAgent("critic", client)
    team = RoundRobinGroupChat([planner, critic], max_turns=2)
    try:
        return (await team.run(task=goal)).messages[-1].to_text()
    finally:
        await client.close()


@app.route("/plan", methods=["POST"])
def plan_view():
    return jsonify({"plan": asyncio.run(plan(request.json["goal"]))})
