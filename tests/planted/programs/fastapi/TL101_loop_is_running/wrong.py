import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o")


class Topic(BaseModel):
    topic: str


class Ideas:
    def __init__(self):
        self.agent = AssistantAgent("ideas", client)

    def run(self, topic):
        loop = asyncio.get_event_loop()
        return loop.run_until_complete(self.agent.run(task=topic)).messages[-1].to_text()


@app.post("/idea")
async def idea(body: Topic):
    try:
        return {"idea": Ideas().run(body.topic)}
    except Exception as e:
        raise HTTPException(status_code=500, detail=str(e))
