from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

client = OpenAIChatCompletionClient("gpt-4o-mini")
cook = Agent(client, "You are the cook.", name="cook")


async def ask_the_cook(question: str) -> str:
    """Ask the cook."""
    answer = await cook.run(question)
    return answer.text


waiter = Agent(client, "You are the waiter.", name="waiter", tools=[ask_the_cook])
app = FastAPI()


@app.post("/menu")
async def menu(text: str = Body(embed=True)):
    return {"text": (await waiter.run(text)).text}
