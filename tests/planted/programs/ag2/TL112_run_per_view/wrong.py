import asyncio

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from flask import Flask, jsonify, request

app = Flask(__name__)
http = httpx2.AsyncClient(timeout=20)
agent = Agent("helper", "Be kind.", config=OpenAIConfig("gpt-4o-mini", http_client=http, max_retries=0))


@app.post("/chat")
def chat():
    reply = asyncio.run(agent.ask(request.json["message"]))
    return jsonify(text=reply.body)
