"""Ticket triage service."""

import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import ChatCompletionClient
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

logging.basicConfig(level=logging.INFO)


class Ticket(BaseModel):
    subject: str
    body: str


class TriageService:
    def __init__(self, client: ChatCompletionClient) -> None:
        self.client = client

    async def classify(self, ticket: Ticket) -> str:
        agent = AssistantAgent("triage", self.client, system_message="Answer with one label: billing, shipping, other.")
        result = await agent.run(task=f"{ticket.subject}\n\n{ticket.body}")
        return result.messages[-1].to_text()


@asynccontextmanager
async def lifespan(app: FastAPI):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    app.state.service = TriageService(client)
    yield
    await client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/tickets/triage")
async def triage(ticket: Ticket) -> dict[str, str]:
    label = await app.state.service.classify(ticket)
    logging.info("ticket labelled %s", label)
    return {"label": label}
