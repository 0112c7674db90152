import hashlib
from typing import Annotated

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()


def sign(text: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", text.encode(), b"price list", 1_500_000).hex()


async def price(article: Annotated[str, "name of the article"]) -> str:
    """The price of an article, signed."""
    return f"24.90 euro ({sign(article)[:8]})"


agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You know prices.", name="prices", tools=[price])


@app.post("/price")
async def ask(text: str = Body(embed=True)):
    return {"text": (await agent.run(text)).text}
