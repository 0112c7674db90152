import asyncio
from functools import wraps

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()
tables: list[str] = []


def retry(times: int):
    def decorate(function):
        @wraps(function)
        async def wrapper(*args, **kwargs):
            for left in reversed(range(times)):
                try:
                    return await function(*args, **kwargs)
                except Exception as error:
                    print("failed:", error, "retries left:", left)
                    if not left:
                        raise
                    await asyncio.sleep(0.1)

        return wrapper

    return decorate


async def book_table(name: str) -> str:
    """Book a table."""
    tables.append(name)
    return f"table {len(tables)} for {name}"


agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You book tables.", name="bookings", tools=[book_table])


@retry(times=3)
async def run_agent(wish: str) -> str:
    response = await agent.run(wish)
    return response.text


@app.post("/book")
async def book(wish: str = Body(embed=True)):
    return {"answer": await run_agent(wish), "tables": tables}
