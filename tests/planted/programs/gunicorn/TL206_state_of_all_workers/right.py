import json
import sqlite3
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel


class Body(BaseModel):
    message: str
    user_id: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    app.state.rows = sqlite3.connect("states.db", isolation_level=None, timeout=10)
    app.state.rows.execute("create table if not exists state (user primary key, version, value)")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(body: Body):
    rows = app.state.rows
    found = rows.execute("select version, value from state where user = ?", (body.user_id,)).fetchone()
    version, value = found or (0, None)
    team = RoundRobinGroupChat([AssistantAgent("tutor", app.state.client)], max_turns=1)
    if value:
        await team.load_state(json.loads(value))
    result = await team.run(task=body.message)
    saved = rows.execute(
        "insert into state values (?, ?, ?) on conflict (user) do update set version = excluded.version,"
        " value = excluded.value where state.version = excluded.version - 1",
        (body.user_id, version + 1, json.dumps(await team.save_state())),
    )
    if saved.rowcount == 0:
        raise HTTPException(409, "another message came first")
    return {"reply": result.messages[-1].to_text()}
