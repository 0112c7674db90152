import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

client = OpenAIChatCompletionClient("gpt-4o-mini")
cook = Agent(client, "You are the cook.", name="cook")


async def ask_the_cook(question: str) -> str:
    """Ask the cook."""
    loop = asyncio.get_running_loop()
    answer = asyncio.run_coroutine_threadsafe(cook.run(question), loop)
    return answer.result(timeout=60).text


waiter = Agent(client, "You are the waiter.", name="waiter", tools=[ask_the_cook])
app = FastAPI()


@app.post("/menu")
async def menu(text: str = Body(embed=True)):
    return {"text": (await waiter.run(text)).text}
