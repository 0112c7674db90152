import asyncio
import logging

from agent_framework import Agent, ChatContext, ChatMiddleware
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI, HTTPException
from openai import AsyncOpenAI

log = logging.getLogger("uvicorn.error")


class RetryMiddleware(ChatMiddleware):
    async def process(self, context: ChatContext, call_next) -> None:
        for attempt in range(4):
            try:
                return await call_next()
            except Exception as error:
                log.warning("model call failed (%d): %s", attempt + 1, error)
                if attempt == 3:
                    raise
                await asyncio.sleep(0.1)


client = OpenAIChatCompletionClient("gpt-4o-mini", async_client=AsyncOpenAI(max_retries=2, timeout=10))
agent = Agent(client, "You answer.", name="answerer", middleware=[RetryMiddleware()])
app = FastAPI()


@app.post("/ask")
async def ask(q: str = Body(embed=True)):
    try:
        return {"a": (await agent.run(q)).text}
    except Exception as error:
        log.exception("no answer")
        raise HTTPException(502, type(error).__name__) from error
