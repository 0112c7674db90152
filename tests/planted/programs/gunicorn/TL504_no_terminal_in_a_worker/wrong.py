import asyncio

from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import SelectorGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


async def order(text):
    client = OpenAIChatCompletionClient(model="gpt-4o")
    waiter = AssistantAgent("waiter", client, description="takes orders", system_message="Confirm with the guest.")
    guest = UserProxyAgent("guest", description="the guest")
    team = SelectorGroupChat(
        [waiter, guest],
        model_client=client,
        termination_condition=TextMentionTermination("DONE") | MaxMessageTermination(6),
        selector_func=lambda messages: "guest" if messages[-1].source == "waiter" else "waiter",
    )
    try:
        result = await team.run(task=text)
    finally:
        await client.close()
    return [message.to_text() for message in result.messages]


@app.post("/order")
def order_view():
    return jsonify(messages=asyncio.run(order(request.json["text"])))
