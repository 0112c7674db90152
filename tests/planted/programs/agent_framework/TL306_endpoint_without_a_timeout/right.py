import asyncio
import logging
from typing import Annotated

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI, HTTPException

logger = logging.getLogger(__name__)
app = FastAPI()
translator = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "Translate into Italian.", name="translator")


async def translated(text: str) -> str:
    async with asyncio.timeout(8):
        response = await translator.run(text)
    if response.finish_reason != "stop":
        raise ValueError(f"the translation ends with {response.finish_reason}")
    return response.text


@app.post("/translate")
async def translate(text: Annotated[str, Body(embed=True)]) -> dict[str, str]:
    try:
        return {"text": await translated(text)}
    except Exception as error:
        logger.exception("no translation")
        raise HTTPException(502, f"no translation: {type(error).__name__}") from error
