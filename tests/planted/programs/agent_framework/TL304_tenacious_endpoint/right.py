from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI
from openai import AsyncOpenAI

app = FastAPI()
tables: list[str] = []


async def book_table(name: str) -> str:
    """Book a table."""
    tables.append(name)
    return f"table {len(tables)} for {name}"


client = OpenAIChatCompletionClient("gpt-4o-mini", async_client=AsyncOpenAI(max_retries=3, timeout=20))
agent = Agent(client, "You book tables.", name="bookings", tools=[book_table])


async def run_agent(wish: str) -> str:
    response = await agent.run(wish)
    return response.text


@app.post("/book")
async def book(wish: str = Body(embed=True)):
    return {"answer": await run_agent(wish), "tables": tables}
