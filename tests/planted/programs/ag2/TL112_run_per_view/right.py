import asyncio

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from flask import Flask, jsonify, request

app = Flask(__name__)


async def ask(message):
    async with httpx2.AsyncClient(timeout=20) as http:
        config = OpenAIConfig("gpt-4o-mini", http_client=http, max_retries=0)
        return await Agent("helper", "Be kind.", config=config).ask(message)


@app.post("/chat")
def chat():
    reply = asyncio.run(ask(request.json["message"]))
    return jsonify(text=reply.body)
