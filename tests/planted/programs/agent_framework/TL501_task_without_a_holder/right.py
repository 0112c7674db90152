from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You write digests.", name="digest")


@app.post("/digest")
async def digest(text: str = Body(embed=True)):
    response = await agent.run(f"Write a digest: {text}")
    return {"digest": response.text}
