"""celery -A summaries worker"""

import asyncio
import os
from functools import cache

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from celery import Celery

celery = Celery("summaries", broker=os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"))
celery.conf.task_track_started = True


@cache
def runner() -> asyncio.Runner:
    return asyncio.Runner()


@cache
def model_client() -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(model="gpt-4o-mini", max_retries=0)


async def _summarise(text: str) -> str:
    agent = AssistantAgent("summariser", model_client=model_client())
    result = await agent.run(task=f"Summarise: {text}")
    return result.messages[-1].to_text()


@celery.task(name="tasks.summarise")
def summarise(text: str) -> str:
    return runner().run(_summarise(text))
