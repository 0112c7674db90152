import logging
import os

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()
log = logging.getLogger("uvicorn.error")
DSN = os.environ.get("BANK_DSN", "postgresql://teller:s3cret@bank-db.internal/ledger")


class LedgerDown(Exception):
    pass


async def balance(account: str) -> str:
    """The balance of an account."""
    try:
        raise LedgerDown(f"could not connect to {DSN}")
    except LedgerDown:
        log.exception("no balance of %s", account)
        return "ledger_unavailable"


agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You are a teller.", name="teller", tools=[balance])


@app.post("/bank")
async def bank(text: str = Body(embed=True)):
    return {"text": (await agent.run(text)).text}
