import json
from contextlib import asynccontextmanager
from pathlib import Path

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

STATE = Path("team_state.json")


class Body(BaseModel):
    message: str
    user_id: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(body: Body):
    team = RoundRobinGroupChat([AssistantAgent("tutor", app.state.client)], max_turns=1)
    try:
        await team.load_state(json.loads(STATE.read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        pass
    result = await team.run(task=body.message)
    STATE.write_text(json.dumps(await team.save_state()))
    return {"reply": result.messages[-1].to_text()}
