import asyncio
import json
import sqlite3
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import Cookie, FastAPI, HTTPException, Response
from uuid import uuid4


class FullAnswers(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason != "stop":
            raise RuntimeError(f"answer ended with {result.finish_reason}")
        return result


class States:
    def __init__(self, path: str):
        self.rows = sqlite3.connect(path, isolation_level=None)
        self.rows.execute("create table if not exists state (id primary key, version, value)")

    def load(self, key: str):
        return self.rows.execute("select version, value from state where id = ?", (key,)).fetchone() or (0, None)

    def save(self, key: str, version: int, value: str) -> bool:
        done = self.rows.execute(
            "insert into state values (?, ?, ?) on conflict (id) do update set version = excluded.version,"
            " value = excluded.value where state.version = excluded.version - 1",
            (key, version + 1, value),
        )
        return done.rowcount == 1


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.model = FullAnswers(model="gpt-4o", timeout=10, max_retries=1)
    app.state.states = States("states.db")
    yield
    await app.state.model.close()


app = FastAPI(lifespan=lifespan)


@app.post("/chat", response_model=TextMessage)
async def chat(request: TextMessage, response: Response, chat_id: str | None = Cookie(None)):
    chat_id = chat_id or str(uuid4())
    response.set_cookie("chat_id", chat_id)
    version, value = app.state.states.load(chat_id)
    agent = AssistantAgent("assistant", app.state.model, system_message="You are a helpful assistant.")
    if value:
        await agent.load_state(json.loads(value))
    try:
        async with asyncio.timeout(25):
            answer = await agent.on_messages([request], CancellationToken())
    except Exception as error:
        raise HTTPException(502, f"{type(error).__name__} in assistant") from error
    if not app.state.states.save(chat_id, version, json.dumps(await agent.save_state())):
        raise HTTPException(409, "another message of this chat came first")
    return answer.chat_message
