import asyncio

import nest_asyncio
from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()
client = OpenAIChatCompletionClient("gpt-4o-mini")


@app.on_event("startup")
async def allow_nested_loops():
    nest_asyncio.apply()


def answer(question: str) -> str:
    agent = Agent(client, "Answer from the FAQ.", name="faq")
    return asyncio.get_event_loop().run_until_complete(agent.run(question)).text


@app.post("/faq")
async def faq(q: str = Body(embed=True)):
    return {"a": answer(q)}
