import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, render_template_string, request

app = Flask(__name__)
PAGE = "<h1>Blog writer</h1><form method=post><input name=topic></form><pre>{{ text }}</pre>"


async def write_post(topic):
    client = OpenAIChatCompletionClient(model="gpt-4o")
    writer = AssistantAgent("writer", client)
    editor = AssistantAgent("editor", client)
    team = RoundRobinGroupChat([writer, editor], termination_condition=MaxMessageTermination(3))
    result = await team.run(task=f"Write a post about {topic}")
    await client.close()
    return result.messages[-1].to_text()


@app.route("/", methods=["GET", "POST"])
def index():
    text = ""
    if request.method == "POST":
        loop = asyncio.get_event_loop()
        text = loop.run_until_complete(write_post(request.form["topic"]))
    return render_template_string(PAGE, text=text)
