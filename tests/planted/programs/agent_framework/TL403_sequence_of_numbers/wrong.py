import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()


class Books:
    last = {"2025": 311, "2026": 18}

    async def next_number(self, series: str) -> str:
        """The next invoice number of a series."""
        number = self.last[series]
        await asyncio.sleep(0.02)  # the archive
        self.last[series] = number + 1
        return f"{series}-{number + 1:04}"


books = Books()
client = OpenAIChatCompletionClient("gpt-4o-mini")


@app.post("/invoices")
async def invoice(text: str = Body(embed=True)):
    clerk = Agent(client, "You write invoices.", name="clerk", tools=[books.next_number])
    response = await clerk.run(text)
    return {"text": response.text, "last": books.last["2026"]}
