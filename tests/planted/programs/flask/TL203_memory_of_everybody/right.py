import asyncio
import threading
from collections import defaultdict

from autogen_agentchat.agents import AssistantAgent
from autogen_core.memory import ListMemory, MemoryContent, MemoryMimeType
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
preferences = defaultdict(list)
locks = defaultdict(threading.Lock)


async def talk(user, text):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        memory = ListMemory(name="preferences")
        for preference in preferences[user]:
            await memory.add(MemoryContent(content=preference, mime_type=MemoryMimeType.TEXT))
        agent = AssistantAgent("companion", client, memory=[memory])
        result = await agent.run(task=text)
        preferences[user].append(text)
        return result.messages[-1].to_text()
    finally:
        await client.close()


@app.post("/remember")
def remember():
    user = request.json["user"]
    with locks[user]:
        return jsonify(answer=asyncio.run(talk(user, request.json["text"])))
