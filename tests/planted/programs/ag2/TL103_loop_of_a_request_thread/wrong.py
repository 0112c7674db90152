import asyncio

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from flask import Flask, request

app = Flask(__name__)


async def facts_about(topic: str) -> str:
    async with httpx2.AsyncClient(timeout=30) as http:
        agent = Agent("encyclopaedia", "Three facts.", config=OpenAIConfig("gpt-4o-mini", http_client=http))
        return (await agent.ask(topic)).body


@app.post("/facts")
def facts():
    loop = asyncio.get_event_loop()
    return {"facts": loop.run_until_complete(facts_about(request.json["topic"]))}
