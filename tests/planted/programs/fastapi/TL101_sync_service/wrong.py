"""Ticket triage service."""

import asyncio
import logging
from dataclasses import dataclass

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

logging.basicConfig(level=logging.INFO)


class Ticket(BaseModel):
    subject: str
    body: str


@dataclass
class TriageService:
    model: str = "gpt-4o-mini"

    def classify(self, ticket: Ticket) -> str:
        return asyncio.run(self._classify(ticket))

    async def _classify(self, ticket: Ticket) -> str:
        client = OpenAIChatCompletionClient(model=self.model)
        try:
            agent = AssistantAgent("triage", client, system_message="Answer with one label: billing, shipping, other.")
            result = await agent.run(task=f"{ticket.subject}\n\n{ticket.body}")
            return result.messages[-1].to_text()
        finally:
            await client.close()


app = FastAPI()
service = TriageService()


@app.post("/tickets/triage")
async def triage(ticket: Ticket) -> dict[str, str]:
    label = service.classify(ticket)
    logging.info("ticket labelled %s", label)
    return {"label": label}
