import asyncio

from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


def read_line(prompt: str) -> str:
    return input(prompt)


async def approve(text):
    client = OpenAIChatCompletionClient(model="gpt-4o")
    manager = UserProxyAgent("manager", input_func=read_line)
    clerk = AssistantAgent("clerk", client)
    team = RoundRobinGroupChat([clerk, manager], termination_condition=TextMentionTermination("OK"), max_turns=4)
    result = await team.run(task=text)
    await client.close()
    return result.messages[-1].to_text()


@app.post("/approve")
def approve_view():
    return jsonify(decision=asyncio.run(approve(request.json["request"])))
