import json
import sqlite3
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Text(BaseModel):
    user_id: str
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    app.state.db = sqlite3.connect("coach.db", isolation_level=None)
    app.state.db.execute("create table if not exists agent_state (id integer primary key, state text)")
    yield
    app.state.db.close()
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/coach")
async def coach(body: Text):
    db = app.state.db
    agent = AssistantAgent("coach", app.state.client, system_message="You are a coach.")
    row = db.execute("select state from agent_state where id = 1").fetchone()
    if row:
        await agent.load_state(json.loads(row[0]))
    result = await agent.run(task=body.text)
    state = json.dumps(await agent.save_state())
    db.execute("insert or replace into agent_state (id, state) values (1, ?)", (state,))
    return {"reply": result.messages[-1].to_text()}
