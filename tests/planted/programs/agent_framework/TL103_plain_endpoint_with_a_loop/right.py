from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You are a waiter.", name="waiter")


@app.post("/chat")
async def chat(message: str = Body(embed=True)):
    response = await agent.run(message)
    return {"text": response.text}
