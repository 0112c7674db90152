import json
from typing import Annotated

from agent_framework import Agent, tool
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI
from pydantic import Field

app = FastAPI()
FLIGHTS = json.loads('{"KL1234": {"gate": "B7"}, "SN200": {"gate": "A1"}}')


@tool
def gate(flight: Annotated[str, Field(description="flight number")]) -> str:
    """The gate of a flight."""
    return FLIGHTS[flight]["gate"]


agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You are an airport desk.", name="desk", tools=[gate])


@app.post("/gate")
async def ask(text: str = Body(embed=True)):
    response = await agent.run(text)
    return {"text": response.text}
