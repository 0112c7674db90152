import asyncio

from autogen_core.models import AssistantMessage, SystemMessage, UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
history = [SystemMessage(content="You are a librarian.")]


async def reply_to(text):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        history.append(UserMessage(content=text, source="user"))
        answer = await client.create(history)
        history.append(AssistantMessage(content=answer.content, source="librarian"))
        return answer.content
    finally:
        await client.close()


@app.post("/chat")
def chat():
    return jsonify(reply=asyncio.run(reply_to(request.json["message"])))
