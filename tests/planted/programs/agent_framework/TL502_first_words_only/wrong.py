from collections import defaultdict

from agent_framework import Agent, AgentSession
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You write teasers.", name="teaser")
sessions: dict[str, AgentSession] = defaultdict(agent.create_session)


class Preview(BaseModel):
    text: str
    session_id: str


@app.post("/preview")
async def preview(body: Preview):
    words = ""
    async for update in agent.run(body.text, session=sessions[body.session_id], stream=True):
        words += update.text
        if len(words) > 20:
            break
    return {"preview": words}
