import datetime
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Message(BaseModel):
    message: str


async def book_desk(day: str) -> str:
    """Book a desk for a day, given as YYYY-MM-DD. Says `error: ...` if it cannot."""
    try:
        date = datetime.date.fromisoformat(day)
    except ValueError:
        return f"error: {day!r} is no date; write it as YYYY-MM-DD"
    if date.weekday() > 4:
        return "error: the office is closed on weekends"
    return f"booked for {date:%d %B}"


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/desk")
async def desk(body: Message):
    office = AssistantAgent("office", app.state.client, tools=[book_desk], reflect_on_tool_use=True)
    team = RoundRobinGroupChat([office], termination_condition=MaxMessageTermination(4), max_turns=1)
    result = await team.run(task=body.message)
    return {"reply": result.messages[-1].to_text()}
