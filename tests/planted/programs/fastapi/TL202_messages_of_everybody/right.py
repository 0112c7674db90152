import asyncio
import logging
from collections import defaultdict
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel

histories: dict[str, list[TextMessage]] = defaultdict(list)
locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


class UserMessage(BaseModel):
    text: str
    user_id: str


class Tutor(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs):
        answer = await super().create(*args, **kwargs)
        if answer.finish_reason != "stop":
            raise ValueError(f"cut off by {answer.finish_reason}")
        return answer


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = Tutor(model="gpt-4o-mini", timeout=10, max_retries=1)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/api/chat")
async def chat(body: UserMessage):
    async with locks[body.user_id]:
        history = [*histories[body.user_id], TextMessage(content=body.text, source="user")]
        tutor = AssistantAgent("tutor", app.state.client, system_message="You are a patient maths tutor.")
        try:
            response = await asyncio.wait_for(tutor.on_messages(history, CancellationToken()), timeout=25)
        except Exception as e:
            logging.exception("tutor failed for %s", body.user_id)
            return JSONResponse({"error": type(e).__name__}, status_code=502)
        histories[body.user_id] = [*history, response.chat_message]
    return {"user_id": body.user_id, "answer": response.chat_message.content}
