import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
client = OpenAIChatCompletionClient(model="gpt-4o-mini")


async def disk_usage(path: str) -> str:
    """Say how much space is used."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", "sleep 0.6; df -h /", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return output.decode()


async def operate(message):
    agent = AssistantAgent("operator", client, tools=[disk_usage])
    return (await agent.run(task=message)).messages[-1].to_text()


@app.post("/ops")
def ops():
    future = asyncio.run_coroutine_threadsafe(operate(request.json["message"]), loop)
    return jsonify(reply=future.result(60))
