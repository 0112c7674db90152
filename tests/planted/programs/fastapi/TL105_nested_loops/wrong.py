import asyncio

import nest_asyncio
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

nest_asyncio.apply()

app = FastAPI()
model_client = OpenAIChatCompletionClient(model="gpt-4o")


def get_answer(question: str) -> str:
    agent = AssistantAgent(name="assistant", model_client=model_client)
    loop = asyncio.get_event_loop()
    result = loop.run_until_complete(agent.run(task=question))
    return result.messages[-1].content


@app.post("/ask")
async def ask(question: str = Body(embed=True)):
    return {"answer": get_answer(question)}
