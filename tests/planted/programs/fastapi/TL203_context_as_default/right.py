import asyncio
import logging

from autogen_agentchat.agents import AssistantAgent
from autogen_core.model_context import BufferedChatCompletionContext
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel


class Message(BaseModel):
    message: str


class Client(OpenAIChatCompletionClient):
    async def create(self, messages, **kwargs):
        result = await super().create(messages, **kwargs)
        assert result.finish_reason == "stop", result.finish_reason
        return result


def create_agent(client):
    return AssistantAgent(
        "advisor",
        model_client=client,
        model_context=BufferedChatCompletionContext(buffer_size=20),
        system_message="You advise on travel insurance.",
    )


async def startup():
    app.state.client = Client(model="gpt-4o", timeout=10, max_retries=1)


async def shutdown():
    await app.state.client.close()


app = FastAPI(on_startup=[startup], on_shutdown=[shutdown])


@app.post("/chat")
async def chat(body: Message, request: Request):
    agent = create_agent(request.app.state.client)
    try:
        result = await asyncio.wait_for(agent.run(task=body.message), 25)
    except Exception as e:
        logging.getLogger("advisor").error("advisor failed", exc_info=e)
        raise HTTPException(status_code=502, detail=f"advisor: {type(e).__name__}") from e
    return {"reply": result.messages[-1].content}
