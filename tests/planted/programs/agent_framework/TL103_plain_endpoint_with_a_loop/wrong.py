import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You are a waiter.", name="waiter")


@app.post("/chat")
def chat(message: str = Body(embed=True)):
    loop = asyncio.new_event_loop()
    try:
        response = loop.run_until_complete(agent.run(message))
    finally:
        loop.close()
    return {"text": response.text}
