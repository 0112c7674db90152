import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_core.memory import ListMemory, MemoryContent, MemoryMimeType
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
user_memory = ListMemory(name="preferences")


async def talk(text):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        await user_memory.add(MemoryContent(content=text, mime_type=MemoryMimeType.TEXT))
        agent = AssistantAgent("companion", client, memory=[user_memory])
        result = await agent.run(task=text)
        return result.messages[-1].to_text()
    finally:
        await client.close()


@app.post("/remember")
def remember():
    return jsonify(answer=asyncio.run(talk(request.json["text"])))
