import json
import sqlite3
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel


class Text(BaseModel):
    user_id: str
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    app.state.db = sqlite3.connect("coach.db", isolation_level=None)
    app.state.db.execute("create table if not exists agent_state (user text primary key, turn integer, state text)")
    yield
    app.state.db.close()
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/coach")
async def coach(body: Text):
    db = app.state.db
    agent = AssistantAgent("coach", app.state.client, system_message="You are a coach.")
    row = db.execute("select turn, state from agent_state where user = ?", (body.user_id,)).fetchone()
    turn = row[0] if row else 0
    if row:
        await agent.load_state(json.loads(row[1]))
    result = await agent.run(task=body.text)
    state = json.dumps(await agent.save_state())
    if row:
        saved = db.execute(
            "update agent_state set turn = turn + 1, state = ? where user = ? and turn = ?", (state, body.user_id, turn)
        )
    else:
        saved = db.execute("insert or ignore into agent_state values (?, 1, ?)", (body.user_id, state))
    if not saved.rowcount:
        raise HTTPException(409, "two messages at once")
    return {"reply": result.messages[-1].to_text()}
